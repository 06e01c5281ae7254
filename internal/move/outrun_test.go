package move

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
)

// TestWritersOutrunTheMove: a hub that writes all the time, some times faster
// than the new store takes it, moves all the same; no write fails or is lost.
func TestWritersOutrunTheMove(t *testing.T) {
	from, to := folder(t), folder(t)
	h := newHub(t, from, 4, func(h *hub) {
		h.lines = true
		h.wrap = func(url string, s blob.Store) blob.Store {
			if url == to {
				return slowly{s}
			}
			return s
		}
	})
	_, err := advance(t.Context(), h, to)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	g, _ := errgroup.WithContext(ctx)
	var mu sync.Mutex
	want := map[string]string{}
	began := make(chan struct{})
	for w := range 8 {
		g.Go(func() error {
			<-began
			for i := 0; ctx.Err() == nil && i < 5000; i++ {
				name := fmt.Sprintf("delivery/%d/%06d", w, i)
				if err := h.Live.Put(context.WithoutCancel(ctx), name, []byte(name)); err != nil {
					return err
				}
				mu.Lock()
				want[name] = name
				mu.Unlock()
			}
			return nil
		})
	}
	h.Mover.c.Progress = onStep{"copy", sync.OnceFunc(func() { close(began) })}
	st, err := h.Mover.Run(t.Context(), Pace{Streams: 2})
	stop()
	must(t, g.Wait())
	must(t, err)
	if st.State != Switched || len(want) == 0 || len(want) == 8*5000 {
		t.Errorf("the move is %s, %d were written meanwhile", st.State, len(want))
	}
	got := objects(t, h, to)
	for name := range want {
		if got[name] != name {
			t.Errorf("%s was written, and is %q at the new store", name, got[name])
		}
	}
}

// slowly takes its time to write.
type slowly struct{ blob.Store }

func (s slowly) Put(ctx context.Context, name string, data []byte) error {
	time.Sleep(10 * time.Millisecond)
	return s.Store.Put(ctx, name, data)
}
