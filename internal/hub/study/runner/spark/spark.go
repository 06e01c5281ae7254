// Package spark runs a study on the user's own Apache Spark. Spark is given task
// lines (a plan, a bucket, a round) and pipes them to `havre worker` on its
// machines; it brings scheduling and retries and sees sealed lines only. There
// is no scheduler here: buckets go out largest first, in chunks that shrink
// towards the end, each chunk one task of Spark, whose answers come back when it
// has ended. Workers live on from chunk to chunk.
package spark

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/runner"
	"github.com/havre-hub/havre/internal/hub/study/runner/worker"
)

// Work makes task lines and reads what workers answer; worker.Plan is one. Safe
// for concurrent use.
type Work interface {
	// Begin is called before the lines of a round are asked for.
	Begin(ctx context.Context, t runner.Task) error
	// Line is the task line of a bucket, Weight what it costs, nearly.
	Line(bucket int) string
	Weight(bucket int) int64
	// Answer reads a worker's line; its error ends the run.
	Answer(line string) (bucket int, partial []byte, err error)
	// Watch lets workers work until ctx ends; another error ends the run.
	Watch(ctx context.Context) error
	// Check samples the answers of a finished round.
	Check(ctx context.Context, t runner.Task) error
	// Stop sees to it that no worker begins a bucket any more.
	Stop(ctx context.Context) error
}

var _ Work = (*worker.Plan)(nil)

// Options say which Spark.
type Options struct {
	Master  string            // spark://HOST:PORT, yarn, k8s://..., local[N]
	Submit  string            // path of spark-submit; "" to look at $SPARK_HOME and $PATH
	Command string            // the worker's command line on every executor, with its full path
	Conf    map[string]string // settings of Spark, as --conf NAME=VALUE
	Slots   int               // chunks out at once; 0 = twice what Spark says it can do at once, at least 16
	Notes   io.Writer         // what spark-submit prints, nil for nowhere
}

// Runner is a runner.Runner. Spark's application starts with the first round
// and serves all; Close ends it. One goroutine uses a Runner at a time.
type Runner struct {
	Options
	Work Work

	starting *starting // nil if nothing is on its way
	session  *session
	run      int
	startup  time.Duration
}

var _ runner.Runner = (*Runner)(nil)

// maxChunk is how many buckets one task does at most: what a killed worker
// loses, and how coarse the progress is.
const maxChunk = 16

// Run is as in runner.Runner.
func (r *Runner) Run(ctx context.Context, t runner.Task) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(t.Buckets) == 0 {
		return nil
	}
	if err := r.ready(ctx); err != nil {
		return err
	}
	if err := r.Work.Begin(ctx, t); err != nil {
		return err
	}
	err := r.round(ctx, t)
	if err == nil {
		if t.Last { // Spark's machines are free for others while the hub checks and finishes
			go func(s *session) { _ = s.close() }(r.session) // Close waits for it, and has its error
		}
		return r.Work.Check(ctx, t)
	}
	over, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if serr := r.Work.Stop(over); serr != nil {
		err = errors.Join(err, serr)
	}
	return err
}

// starting is an application of Spark that is on its way.
type starting struct {
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the rest is set
	session *session
	took    time.Duration
	err     error
}

// Start begins to start Spark's application and does not wait for it: Run does.
// Whoever has something else to do first calls it before that.
func (r *Runner) Start(ctx context.Context) {
	if r.starting != nil || r.session != nil && r.session.alive() {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &starting{cancel: cancel, ended: make(chan struct{})}
	r.starting = s
	options, began := r.Options, time.Now()
	go func() {
		defer close(s.ended)
		s.session, s.err = startSession(ctx, options)
		s.took = time.Since(began)
	}()
}

// ready waits until Spark's application runs; it starts it if need be.
func (r *Runner) ready(ctx context.Context) error {
	r.Start(ctx)
	if r.starting == nil {
		return nil
	}
	select {
	case <-r.starting.ended:
		return r.settle()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle takes over what Start has begun, once that has ended.
func (r *Runner) settle() error {
	s := r.starting
	<-s.ended
	s.cancel()
	r.session, r.startup, r.starting = s.session, s.took, nil
	return s.err
}

// Startup is how long Spark's application took to start, whatever else was done
// meanwhile.
func (r *Runner) Startup() time.Duration { return r.startup }

// Application is what Spark says of itself, once a round has begun.
func (r *Runner) Application() Hello {
	if r.session == nil {
		return Hello{}
	}
	return r.session.hello
}

// Close ends Spark's application and waits for it.
func (r *Runner) Close() error {
	if r.starting != nil {
		r.starting.cancel()
		_ = r.settle() // why it did not start is no longer of interest
	}
	if r.session == nil {
		return nil
	}
	err := r.session.close()
	r.session = nil
	return err
}

// order is what job.py is asked to do.
type order struct {
	Run    int        `json:"run"`
	Chunks [][]string `json:"chunks"`
	Slots  int        `json:"slots"`
	Where  bool       `json:"where"` // answers tell the executor
}

// round sends the task lines out and takes the answers.
func (r *Runner) round(ctx context.Context, t runner.Task) error {
	parallel := max(1, r.session.hello.Parallelism)
	buckets := slices.Clone(t.Buckets)
	slices.SortStableFunc(buckets, func(a, b int) int { return cmp.Compare(r.Work.Weight(b), r.Work.Weight(a)) })
	o := order{Run: r.next(), Chunks: chunks(buckets, parallel, r.Work.Line), Slots: r.Slots}
	if o.Slots <= 0 {
		o.Slots = max(16, 2*parallel)
	}
	if err := r.session.send(o); err != nil {
		return err
	}
	g, inner := errgroup.WithContext(ctx)
	watch, unwatch := context.WithCancel(inner)
	g.Go(func() error {
		if err := r.Work.Watch(watch); watch.Err() == nil {
			return err
		}
		return nil
	})
	g.Go(func() error {
		defer unwatch()
		return r.take(inner, o.Run, t)
	})
	err := g.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		r.session.stop(o.Run)
	}
	return err
}

func (r *Runner) next() int { r.run++; return r.run }

// take reads answers until Spark says that all of the run have come. Several
// are opened and handed on at once.
func (r *Runner) take(ctx context.Context, run int, t runner.Task) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0) + 1)
	left := map[int]bool{}
	for _, b := range t.Buckets {
		left[b] = true
	}
	done := make(chan int, len(t.Buckets))
	err := r.session.lines(inner, run, func(line string) {
		g.Go(func() error {
			if err := inner.Err(); err != nil {
				return err
			}
			bucket, partial, err := r.Work.Answer(line)
			if err != nil {
				return err
			}
			if !slices.Contains(t.Buckets, bucket) {
				return havre.E("spark", havre.Tampered, fmt.Sprintf("an answer is one of bucket %d, which was not asked for", bucket))
			}
			if err := t.Done(bucket, partial); err != nil {
				return err
			}
			done <- bucket
			return nil
		})
	})
	if gerr := g.Wait(); gerr != nil {
		return gerr // it is why inner ended
	}
	if err != nil {
		return err
	}
	close(done)
	for b := range done {
		delete(left, b)
	}
	if len(left) > 0 {
		return havre.E("spark", havre.Internal, fmt.Sprintf("Spark says that it has finished, and %d buckets have no answer", len(left)))
	}
	return nil
}

// chunks cuts buckets, the costliest first, into chunks: the next has a share of
// what is left, so that the last are small and the machines end together.
func chunks(buckets []int, parallel int, line func(int) string) [][]string {
	var out [][]string
	for len(buckets) > 0 {
		n := min(max(len(buckets)/(2*parallel), 1), maxChunk)
		var chunk []string
		for _, b := range buckets[:n] {
			chunk = append(chunk, line(b))
		}
		out, buckets = append(out, chunk), buckets[n:]
	}
	return out
}

// failed turns what Spark tells of a failed job into the error that it is.
func failed(text string) error {
	if err, ok := worker.ParseError(text); ok {
		return err
	}
	var code string
	for _, mark := range []string{"error code ", "error_code "} {
		if _, rest, ok := strings.Cut(text, mark); ok {
			code = strings.TrimLeft(rest, "`' ")
			code = code[:strings.IndexFunc(code+" ", func(c rune) bool { return (c < '0' || c > '9') && c != '-' })]
			break
		}
	}
	e := havre.E("spark", havre.Internal, "a worker failed, and Spark's own repetitions did too: "+short(text)).
		WithHint("the worker's words are in the executor's stderr; havre runner check tries every executor")
	if n, err := strconv.Atoi(code); err == nil {
		for _, k := range havre.Kinds() {
			if k.ExitCode() == n {
				e.Kind = k
			}
		}
	}
	return e
}

func short(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if len(text) > 400 {
		text = text[:400] + "..."
	}
	return text
}

// Hello is what Spark says of itself when its application has started.
type Hello struct {
	Spark       string `json:"spark"`
	Python      string `json:"python"`
	Java        string `json:"java"`
	Application string `json:"application"`
	Master      string `json:"master"`
	Parallelism int    `json:"parallelism"`
}

// word is a line of job.py about itself, not of a worker.
type word struct {
	Hello
	Run       int    `json:"run"`
	End       bool   `json:"end"`
	Failed    string `json:"failed"`
	Executors *int   `json:"executors"`
}

func parseWord(line string) (word, bool, error) {
	text, ok := strings.CutPrefix(line, "havre ")
	if !ok {
		return word{}, false, nil
	}
	var w word
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return word{}, true, havre.E("spark", havre.Internal, "the job on Spark says what cannot be read: "+short(text)).Wrap(err)
	}
	return w, true, nil
}
