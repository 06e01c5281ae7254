package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/havre-hub/havre/internal/havre"
)

// progress picks how steps are shown: nothing, one changing line on a
// terminal, JSON lines, or plain lines in a pipe.
func (e *env) progress() havre.Progress {
	if e.quiet {
		return havre.NoProgress
	}
	p := &printer{w: e.Err, json: e.json, began: time.Now()}
	if f, ok := e.Err.(*os.File); ok && !e.json && term.IsTerminal(int(f.Fd())) {
		p.terminal = true
	}
	return p
}

// printer shows steps on one stream. A step shorter than a second gets one
// line in a pipe; a longer one gets a line every few seconds.
type printer struct {
	mu       sync.Mutex
	w        io.Writer
	json     bool
	terminal bool
	began    time.Time
}

const (
	terminalEvery = 100 * time.Millisecond
	pipeEvery     = 5 * time.Second
)

func (p *printer) Step(name string, total int64, unit string) havre.Counter {
	now := time.Now()
	s := &step{p: p, name: name, total: total, unit: unit, began: now, shown: now}
	if p.terminal {
		s.show(false)
	}
	return s
}

type step struct {
	p            *printer
	mu           sync.Mutex
	name, unit   string
	done, total  int64
	began, shown time.Time
	ended        bool
}

func (s *step) Add(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.done += n
	every := pipeEvery
	if s.p.terminal {
		every = terminalEvery
	}
	if time.Since(s.shown) >= every {
		s.shown = time.Now()
		s.show(false)
	}
}

func (s *step) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		s.show(true)
	}
}

// show prints the step; the caller holds s.mu.
func (s *step) show(last bool) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	took := time.Since(s.began)
	if s.p.json {
		ev := map[string]any{"step": s.name, "done": s.done, "unit": s.unit, "seconds": took.Seconds(), "ended": last}
		if s.total >= 0 {
			ev["total"] = s.total
		}
		_ = json.NewEncoder(s.p.w).Encode(map[string]any{"progress": ev})
		return
	}
	count := fmt.Sprintf("%d %s", s.done, s.unit)
	if s.total > 0 && !last {
		count = fmt.Sprintf("%d of %d %s (%d %%)%s", s.done, s.total, s.unit, s.done*100/s.total, left(took, s.done, s.total))
	}
	if s.done == 0 {
		count = ""
	}
	line := fmt.Sprintf("%-34s %-36s %6.1f s", s.name, count, took.Seconds())
	switch {
	case s.p.terminal && last:
		fmt.Fprintf(s.p.w, "\r\x1b[K%s\n", line)
	case s.p.terminal:
		fmt.Fprintf(s.p.w, "\r\x1b[K%s", line)
	default:
		fmt.Fprintln(s.p.w, line)
	}
}

// left is the time to go at the speed so far, once it says something.
func left(took time.Duration, done, total int64) string {
	if took < 2*time.Second || done <= 0 || done >= total {
		return ""
	}
	return ", " + (time.Duration(float64(took) * float64(total-done) / float64(done))).Round(time.Second).String() + " left"
}
