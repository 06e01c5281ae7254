package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// A hub that serves has its folder for itself. So that it can be moved while it
// works, it listens on a socket in that folder, which only its owner can reach:
// a step of a move is asked for there, and progress, result or error come back,
// one JSON object a line.
const doorName = "move.sock"

var errNoDoor = errors.New("nobody listens in the hub's folder")

// doorLine is one line of the answer.
type doorLine struct {
	Step   *doorStep   `json:"step,omitempty"`
	Result *MoveResult `json:"result,omitempty"`
	Error  *doorError  `json:"error,omitempty"`
}

type doorStep struct {
	ID    int    `json:"id"`
	Name  string `json:"name,omitempty"` // with the first line of a step
	Unit  string `json:"unit,omitempty"`
	Total int64  `json:"total"`
	Add   int64  `json:"add"`
	Done  bool   `json:"done"`
}

type doorError struct {
	Kind    havre.Kind `json:"kind"`
	Message string     `json:"message"`
	Hint    string     `json:"hint"`
}

// doorPath is the socket's path. A path of a socket has 107 bytes at most, so it
// goes by the open folder; the caller closes that.
func doorPath(dir string) (string, *os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, havre.E("move.door", havre.NotFound, "the hub's folder "+dir+" cannot be opened").Wrap(err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), doorName), f, nil
}

// openDoor listens until the returned function is called. renewed is called
// after the keys were changed, when the hub must be opened again.
func (h *Hub) openDoor(renewed func()) (shut func(), err error) {
	path, dir, err := doorPath(h.home.dir)
	if err != nil {
		return nil, err
	}
	// The folder's lock is ours: a socket that is there was left by a crash.
	if err := os.Remove(filepath.Join(h.home.dir, doorName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(havre.E("move.door", havre.Internal, "the old socket in the hub's folder cannot be removed").Wrap(err), dir.Close())
	}
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, errors.Join(havre.E("move.door", havre.Internal, "nothing can listen in the hub's folder").Wrap(err), dir.Close())
	}
	var steps sync.WaitGroup
	s := &http.Server{Handler: h.door(&steps, renewed), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }()
	return func() {
		_ = s.Close() // a step under way ends as if its user had stopped it
		steps.Wait()
		_ = os.Remove(filepath.Join(h.home.dir, doorName))
		_ = dir.Close()
	}, nil
}

func (h *Hub) door(steps *sync.WaitGroup, renewed func()) http.Handler {
	var over atomic.Bool // the keys were changed: this hub does no more
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		steps.Add(1)
		defer steps.Done()
		if over.Load() {
			panic(http.ErrAbortHandler) // no answer, as if nobody listened: the hub that opens again is asked
		}
		var req MoveRequest
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		d.DisallowUnknownFields()
		out := &doorWriter{w: w, flush: http.NewResponseController(w), enc: json.NewEncoder(w)}
		if err := d.Decode(&req); err != nil {
			out.end(MoveResult{}, havre.E("move", havre.Usage, "the request is of another version of havre").
				WithHint("use the same program as the hub that serves").Wrap(err))
			return
		}
		res, err := h.Move(r.Context(), req, out)
		rekeyed := req.Act == actRekey && err == nil
		if rekeyed {
			over.Store(true) // before the answer, which the next request follows
		}
		out.end(res, err)
		if rekeyed {
			renewed()
		}
	})
}

// doorWriter is the Progress that goes to the other process.
type doorWriter struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	flush *http.ResponseController
	enc   *json.Encoder
	steps int
}

func (d *doorWriter) line(l doorLine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.enc.Encode(l) // who does not read any more has ended the request's context
	_ = d.flush.Flush()
}

func (d *doorWriter) end(res MoveResult, err error) {
	if err != nil {
		d.line(doorLine{Error: &doorError{havre.KindOf(err), err.Error(), havre.HintOf(err)}})
		return
	}
	d.line(doorLine{Result: &res})
}

func (d *doorWriter) Step(name string, total int64, unit string) havre.Counter {
	d.mu.Lock()
	d.steps++
	id := d.steps
	d.mu.Unlock()
	d.line(doorLine{Step: &doorStep{ID: id, Name: name, Unit: unit, Total: total}})
	return &doorCounter{d: d, id: id, told: time.Now()}
}

type doorCounter struct {
	d    *doorWriter
	id   int
	mu   sync.Mutex
	n    int64 // not told yet
	told time.Time
	done bool
}

func (c *doorCounter) Add(n int64) { c.tell(n, false) }
func (c *doorCounter) Done()       { c.tell(0, true) }

func (c *doorCounter) tell(n int64, done bool) {
	const every = 100 * time.Millisecond
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return
	}
	if c.n, c.done = c.n+n, done; !done && time.Since(c.told) < every {
		return
	}
	c.d.line(doorLine{Step: &doorStep{ID: c.id, Add: c.n, Done: done}})
	c.n, c.told = 0, time.Now()
}

// askDoor has the process that serves the hub do the step.
func askDoor(ctx context.Context, dir string, r MoveRequest, p havre.Progress) (MoveResult, error) {
	path, folder, err := doorPath(dir)
	if err != nil {
		return MoveResult{}, err
	}
	defer folder.Close()
	body, err := json.Marshal(r)
	if err != nil {
		return MoveResult{}, havre.E("move.door", havre.Internal, "the request has no JSON form").Wrap(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hub/", bytes.NewReader(body))
	if err != nil {
		return MoveResult{}, havre.E("move.door", havre.Internal, "the request cannot be made").Wrap(err)
	}
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return MoveResult{}, ctx.Err()
		}
		return MoveResult{}, errNoDoor
	}
	defer resp.Body.Close()
	steps := map[int]havre.Counter{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l doorLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return MoveResult{}, havre.E("move.door", havre.Invalid, "the hub that serves answers in another language").
				WithHint("use the same program as the hub that serves").Wrap(err)
		}
		switch {
		case l.Result != nil:
			return *l.Result, nil
		case l.Error != nil:
			return MoveResult{}, havre.E("move", l.Error.Kind, l.Error.Message).WithHint(l.Error.Hint)
		case l.Step != nil:
			c := steps[l.Step.ID]
			if c == nil {
				c = p.Step(l.Step.Name, l.Step.Total, l.Step.Unit)
				steps[l.Step.ID] = c
			}
			if l.Step.Add > 0 {
				c.Add(l.Step.Add)
			}
			if l.Step.Done {
				c.Done()
			}
		}
	}
	if ctx.Err() != nil {
		return MoveResult{}, ctx.Err()
	}
	return MoveResult{}, havre.E("move.door", havre.StoreUnavailable, "the hub that serves has ended in the middle of the step").
		WithHint("start it again; the same command goes on").Wrap(lines.Err())
}
