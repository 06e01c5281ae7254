package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/runner"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Enrolled is a worker that the hub lets read.
type Enrolled struct {
	Name      string         `json:"name"`
	Key       sign.PublicKey `json:"key"`
	Recipient seal.Recipient `json:"recipient"`
}

// Request says what a plan is made of.
type Request struct {
	Hub        string
	Run        string // the hub's id of the run
	Program    string // version that workers must have; "" for that of this program
	Definition *study.Definition
	Build      study.Build
	Vocabulary omop.Vocabulary
	View       *permit.View
	Snapshot   *warehouse.Snapshot
	Store      blob.Store
	Signer     *sign.Signer
	Workers    []Enrolled
	Now        havre.Now
	// Alive says why workers may not go on reading, nil if they may. It is asked
	// every second.
	Alive func(context.Context) error
}

// Plan is a plan at the hub: it makes task lines and reads the answers, and
// while Watch runs, workers may read. Safe for concurrent use.
type Plan struct {
	id      string
	r       Request
	key     *seal.Key // opens the answers; never leaves this process
	weights []int64
	lessor  *lessor
	to      []seal.Recipient
	keys    []sign.PublicKey

	mu    sync.Mutex
	round int
	got   map[int]answered // of this round, by bucket
	took  time.Duration    // of all buckets
}

// answered is who answered for a bucket, and SHA-256 of the partial result.
type answered struct{ worker, sum string }

// Prepare makes the plan of a run and puts it into the store, sealed to the
// workers. Plans that an earlier process left there are removed first: a hub has
// one process.
func Prepare(ctx context.Context, r Request) (*Plan, error) {
	if len(r.Workers) == 0 {
		return nil, havre.E("worker.plan", havre.Refused, "no worker is enrolled at this hub").
			WithHint("havre worker init on a worker's machine, then havre worker enroll at the hub")
	}
	if err := Clear(ctx, r.Store); err != nil {
		return nil, err
	}
	p := &Plan{r: r, got: map[int]answered{}}
	for _, w := range r.Workers {
		p.to, p.keys = append(p.to, w.Recipient), append(p.keys, w.Key)
	}
	var err error
	if p.key, err = seal.NewKey(); err != nil {
		return nil, err
	}
	content, tables, err := p.body(ctx)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(content)
	if err != nil {
		return nil, havre.E("worker.plan", havre.Internal, "the plan has no JSON form").Wrap(err)
	}
	p.weights = r.Snapshot.Weights(tables)
	head := planHead{Answer: p.key.Recipient().String(), Body: sum(body), Buckets: r.Snapshot.Buckets(), Hub: r.Hub,
		Made: r.Now().UTC().Truncate(time.Second), Permit: sum(content.Grant.Permit), Program: r.Program, Root: r.Snapshot.Root(), Run: r.Run}
	if head.Program == "" {
		head.Program = Program()
	}
	if head.Sheets, err = p.sheets(ctx, tables); err != nil {
		return nil, err
	}
	sealed, err := pack(planType, head, body, r.Signer, p.to...)
	if err != nil {
		return nil, err
	}
	p.id = sum(sealed)
	if err := blob.PutSame(ctx, r.Store, planName(p.id), sealed); err != nil {
		return nil, err
	}
	p.lessor = &lessor{store: r.Store, signer: r.Signer, to: p.to, plan: p.id, now: r.Now}
	return p, p.lessor.renew(ctx, true)
}

// body gives what workers need of the study, and the tables that it opens.
func (p *Plan) body(ctx context.Context) (b planBody, tables []string, err error) {
	r := p.r
	needs, err := r.Definition.Needs()
	if err != nil {
		return b, nil, err
	}
	for _, n := range needs {
		tables = append(tables, permit.Opens(n.Table, n.Columns)...)
	}
	asked := newRecorder(r.Vocabulary)
	if _, err := study.NewMapper(ctx, study.Job{Definition: r.Definition, Rows: r.View, Vocabulary: asked, Build: r.Build}); err != nil {
		return b, nil, err
	}
	b.Number, b.Words = r.Snapshot.Number(), asked.words
	if b.Definition, err = json.Marshal(r.Definition); err != nil {
		return b, nil, havre.E("worker.plan", havre.Internal, "the study has no JSON form").Wrap(err)
	}
	if b.Grant, err = r.View.Grant(ctx); err != nil {
		return b, nil, err
	}
	b.Common, err = r.Snapshot.Part(tables, []int{ingest.Unbucketed})
	return b, tables, err
}

// sheets writes the sheets of all buckets and gives their hashes.
func (p *Plan) sheets(ctx context.Context, tables []string) ([]string, error) {
	out := p.r.View.OptedOutIn()
	buckets := p.r.Snapshot.Buckets()
	names := make([]string, (buckets+sheetBuckets-1)/sheetBuckets)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range names {
		g.Go(func() error {
			s := sheet{First: i * sheetBuckets}
			for b := s.First; b < min(s.First+sheetBuckets, buckets); b++ {
				segments, err := p.r.Snapshot.Part(tables, []int{b})
				if err != nil {
					return err
				}
				sb := sheetBucket{Segments: segments, Out: []string{}}
				for _, person := range out[b] {
					sb.Out = append(sb.Out, strconv.FormatInt(person, 10))
				}
				s.Buckets = append(s.Buckets, sb)
			}
			sealed, err := sealBody(s, p.to...)
			if err != nil {
				return err
			}
			names[i] = sum(sealed)
			return blob.PutSame(ctx, p.r.Store, planName(names[i]), sealed)
		})
	}
	return names, g.Wait()
}

// Clear removes every plan and lease from the store.
func Clear(ctx context.Context, store blob.Store) error {
	for _, prefix := range []string{planPrefix, leasePrefix} {
		var names []string
		for info, err := range store.List(ctx, prefix) {
			if err != nil {
				return err
			}
			names = append(names, info.Name)
		}
		for _, n := range names {
			if err := store.Delete(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// ID names the plan: SHA-256, hex, of its sealed bytes.
func (p *Plan) ID() string { return p.id }

// Begin puts what a round begins with into the store.
func (p *Plan) Begin(ctx context.Context, t runner.Task) error {
	p.mu.Lock()
	p.round, p.got = t.Round, map[int]answered{}
	p.mu.Unlock()
	if t.Round == 0 {
		return nil
	}
	sealed, err := pack(roundType, roundHead{Body: sum(t.Input), Plan: p.id, Round: t.Round}, t.Input, p.r.Signer, p.to...)
	if err != nil {
		return err
	}
	name := roundName(p.id, t.Round)
	if err := p.r.Store.Delete(ctx, name); err != nil { // of an attempt at this round that was stopped
		return err
	}
	return blob.PutSame(ctx, p.r.Store, name, sealed)
}

// Line is the task line of a bucket in the round that was begun last.
func (p *Plan) Line(bucket int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Task{p.id, bucket, p.round}.String()
}

// Weight is what a bucket costs to read, nearly.
func (p *Plan) Weight(bucket int) int64 {
	if bucket < 0 || bucket >= len(p.weights) {
		return 0
	}
	return p.weights[bucket]
}

// Answer reads a line that a worker wrote. What belongs to another plan or
// round, was altered, or was not written by an enrolled worker is Tampered; a
// worker's own error comes back as that error.
func (p *Plan) Answer(line string) (bucket int, partial []byte, err error) {
	if err, ok := ParseError(line); ok {
		return 0, nil, err
	}
	h, body, by, err := openPartial(line, p.key, p.keys...)
	if err != nil {
		return 0, nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.Plan != p.id || h.Round != p.round || h.Bucket >= len(p.weights) {
		return 0, nil, havre.E("worker.partial", havre.Tampered, fmt.Sprintf("a worker's answer is one of another plan or round, or of bucket %d", h.Bucket)).
			WithHint("an old answer was played again; nothing of it was used")
	}
	if old, twice := p.got[h.Bucket]; twice && old.sum != h.Body {
		return 0, nil, havre.E("worker.partial", havre.Tampered, fmt.Sprintf("the workers %s and %s give two results of bucket %d", old.worker, p.name(by), h.Bucket)).
			WithHint("one of them is not what it says: take both from the enrolled workers until it is known which")
	}
	p.got[h.Bucket] = answered{p.name(by), h.Body}
	p.took += time.Duration(h.Micros) * time.Microsecond
	return h.Bucket, body, nil
}

func (p *Plan) name(k sign.PublicKey) string {
	for _, w := range p.r.Workers {
		if w.Key.String() == k.String() {
			return w.Name
		}
	}
	return ""
}

// By says which worker answered which buckets of the round that was begun last.
func (p *Plan) By() map[string][]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string][]int{}
	for bucket, a := range p.got {
		out[a.worker] = append(out[a.worker], bucket)
	}
	for _, buckets := range out {
		slices.Sort(buckets)
	}
	return out
}

// Check computes one bucket of each worker again at the hub, drawn at random,
// and fails with Tampered where a worker gave another result: a sample, so that
// a worker that always lies is found, and one that lies seldom is found seldom.
func (p *Plan) Check(ctx context.Context, t runner.Task) error {
	by := p.By()
	for _, name := range slices.Sorted(maps.Keys(by)) {
		bucket := by[name][rand.IntN(len(by[name]))]
		own, err := t.Map(ctx, bucket)
		if err != nil {
			return err
		}
		p.mu.Lock()
		theirs := p.got[bucket].sum
		p.mu.Unlock()
		if sum(own) != theirs {
			return havre.E("worker.check", havre.Tampered, fmt.Sprintf("the worker %s gave another result of bucket %d than the hub computes", name, bucket)).
				WithHint("nothing is released; take that worker from the list (havre worker remove), find out why, and run the study again under a new permit version or snapshot")
		}
	}
	return nil
}

// Took is the time that workers spent on all buckets so far.
func (p *Plan) Took() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.took
}

// Watch renews the lease until ctx ends, and asks every second whether workers
// may go on. When they may not, it ends the lease for good and gives the reason.
func (p *Plan) Watch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	renewed := time.Now()
	for {
		if err := p.r.Alive(ctx); err != nil && ctx.Err() == nil {
			if lerr := p.lessor.renew(ctx, false); lerr != nil {
				return lerr // the lease runs out by itself
			}
			return err
		}
		if time.Since(renewed) >= leaseEvery {
			if err := p.lessor.renew(ctx, true); err != nil && ctx.Err() == nil {
				return err
			}
			renewed = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Stop ends the lease: no worker begins another read.
func (p *Plan) Stop(ctx context.Context) error { return p.lessor.renew(ctx, false) }

// Close removes the plan from the store, and with it the keys of its segments.
func (p *Plan) Close(ctx context.Context) error { return Clear(ctx, p.r.Store) }
