package spark

import (
	"context"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// Said is what one executor's worker answered to a line.
type Said struct {
	Executor     string // host and process
	Line         string
	Asked, Heard time.Time
}

// asks is how often Ask asks before it gives up on an executor that never gets
// a task.
const asks = 10

// Ask gives one line to a worker on every executor that Spark has now, and
// says how many those are; an executor that got no task in several tries has no
// answer. It starts Spark's application if need be.
func (r *Runner) Ask(ctx context.Context, line string) ([]Said, int, error) {
	if err := r.ready(ctx); err != nil {
		return nil, 0, err
	}
	seen := map[string]Said{}
	executors := 0
	for range asks {
		if err := r.ask(ctx, line, seen); err != nil {
			return nil, 0, err
		}
		var err error
		if executors, err = r.session.executors(ctx); err != nil {
			return nil, 0, err
		}
		if len(seen) >= executors {
			break
		}
	}
	var out []Said
	for _, s := range seen {
		out = append(out, s)
	}
	return out, executors, nil
}

func (r *Runner) ask(ctx context.Context, line string, seen map[string]Said) error {
	o := order{Run: r.next(), Slots: 2 * max(1, r.session.hello.Parallelism), Where: true}
	for range o.Slots {
		o.Chunks = append(o.Chunks, []string{line})
	}
	asked := time.Now()
	if err := r.session.send(o); err != nil {
		return err
	}
	err := r.session.lines(ctx, o.Run, func(answer string) {
		at, text, _ := strings.Cut(answer, " ")
		seen[at] = Said{at, text, asked, time.Now()}
	})
	if ctx.Err() != nil {
		r.session.stop(o.Run)
	}
	return err
}

// executors asks Spark how many it has.
func (s *session) executors(ctx context.Context) (int, error) {
	if err := s.send(map[string]bool{"executors": true}); err != nil {
		return 0, err
	}
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case line, ok := <-s.heard:
			if !ok {
				return 0, s.gone("Spark's application has ended")
			}
			if w, own, err := parseWord(line); own && err == nil && w.Executors != nil {
				return *w.Executors, nil
			} else if err != nil {
				return 0, err
			}
		case <-time.After(stopTime):
			return 0, havre.E("spark", havre.StoreUnavailable, "Spark does not say how many executors it has")
		}
	}
}
