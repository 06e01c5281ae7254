package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Worker is one process that maps buckets. It keeps nothing between lines but
// the plan that it has opened.
type Worker struct {
	Store   blob.Store
	Hub     sign.PublicKey // whose plans it follows
	Key     *seal.Key      // its own: plans and leases are sealed to it
	Signer  *sign.Signer   // its own: signs partials
	Build   study.Build
	Program string // its version; "" for that of this program
	Now     havre.Now
	Cache   int64 // as warehouse.Config.Cache; never more than one bucket needs
	// Note is told of each finished bucket, nil if nobody wants to know.
	Note func(t Task, took time.Duration)

	plan *openPlan
}

// Serve reads task lines until in ends and writes one line for each. After the
// first error it writes that as its last line and gives it back: a worker does
// not guess its way on. Answers are flushed one by one.
func (w *Worker) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 1024), 1024)
	for lines.Scan() {
		line, err := w.serve(ctx, lines.Text())
		if err != nil {
			_, _ = fmt.Fprintln(out, ErrorLine(err)) // if nobody listens, the exit code still tells
			return err
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return havre.E("worker", havre.Cancelled, "nobody reads the answers any more").Wrap(err)
		}
	}
	if err := lines.Err(); err != nil {
		return havre.E("worker", havre.Invalid, "the task lines cannot be read").Wrap(err)
	}
	return nil
}

func (w *Worker) serve(ctx context.Context, line string) (string, error) {
	if nonce, ok := strings.CutPrefix(line, probeMark); ok {
		return w.answerProbe(ctx, nonce)
	}
	t, err := ParseTask(line)
	if err != nil {
		return "", err
	}
	began := time.Now()
	if w.plan == nil || w.plan.id != t.Plan {
		if w.plan, err = w.open(ctx, t.Plan); err != nil {
			return "", err
		}
	}
	partial, err := w.plan.do(ctx, t)
	if err != nil {
		return "", err
	}
	took := time.Since(began)
	if w.Note != nil {
		w.Note(t, took)
	}
	return partialLine(partialHead{Bucket: t.Bucket, Micros: took.Microseconds(), Plan: t.Plan, Round: t.Round}, partial, w.Signer, w.plan.answer)
}

func (w *Worker) program() string {
	if w.Program != "" {
		return w.Program
	}
	return Program()
}

// openPlan is a plan that a worker follows. It is the study's Rows.
type openPlan struct {
	w      *Worker
	id     string
	head   planHead
	body   planBody
	answer seal.Recipient
	tenant *tenant
	mapper *study.Mapper

	mu    sync.Mutex
	sheet int          // number of the sheet used last
	last  *permit.View // of that sheet, nil at first; its cache bounds the memory, so there is no other
	round int
}

// open fetches a plan and checks all that stands in it before anything is read.
func (w *Worker) open(ctx context.Context, id string) (*openPlan, error) {
	sealed, err := blob.GetAll(ctx, w.Store, planName(id))
	if havre.KindOf(err) == havre.NotFound {
		return nil, havre.E("worker.plan", havre.PermitDenied, "the plan "+id[:12]+" is not, or no longer, in the store").
			WithHint("the hub removes a plan when its run has ended").Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	if sum(sealed) != id {
		return nil, havre.E("worker.plan", havre.Tampered, "the store gives another object for the plan "+id[:12]).WithHint("the store is not to be trusted: tell the hub")
	}
	p := &openPlan{w: w, id: id}
	body, _, err := unpack(sealed, planType, &p.head, w.Key, w.Hub)
	if err != nil {
		return nil, havre.E("worker.plan", havre.KindOf(err), "the plan "+id[:12]+" does not open: it was not made by this worker's hub, or not for this worker").
			WithHint("havre worker enroll at the hub; havre runner check tells which workers are enrolled").Wrap(err)
	}
	if sum(body) != p.head.Body {
		return nil, havre.E("worker.plan", havre.Tampered, "the plan's body is not the one that the hub signed")
	}
	own := w.program()
	if p.head.Program != own {
		return nil, havre.E("worker.plan", havre.Refused, "this worker is havre "+own+", and the plan was made by havre "+p.head.Program).
			WithHint("install the hub's version on every worker: havre runner check lists them")
	}
	if err := strict(body, &p.body); err != nil {
		return nil, err
	}
	if sum(p.body.Grant.Permit) != p.head.Permit || p.body.Grant.Hub != p.head.Hub {
		return nil, havre.E("worker.plan", havre.Tampered, "the plan holds another permit than the hub signed it for")
	}
	if p.answer, err = seal.ParseRecipient(p.head.Answer); err != nil {
		return nil, err
	}
	p.tenant = &tenant{store: w.Store, key: w.Key, hub: w.Hub, plan: id, now: w.Now}
	if err := p.tenant.live(ctx); err != nil {
		return nil, err
	}
	d := new(study.Definition)
	if err := json.Unmarshal(p.body.Definition, d); err != nil {
		return nil, havre.E("worker.plan", havre.Tampered, "the plan's study cannot be read").Wrap(err)
	}
	p.mapper, err = study.NewMapper(ctx, study.Job{Definition: d, Rows: p, Vocabulary: replay{p.body.Words}, Build: w.Build})
	return p, err
}

// do maps one bucket, after a look at the lease.
func (p *openPlan) do(ctx context.Context, t Task) ([]byte, error) {
	if t.Bucket >= p.head.Buckets {
		return nil, havre.E("worker.task", havre.Invalid, fmt.Sprintf("the plan has no bucket %d", t.Bucket))
	}
	if err := p.tenant.live(ctx); err != nil {
		return nil, err
	}
	if t.Round != p.round {
		return nil, havre.E("worker.task", havre.Invalid, fmt.Sprintf("the study has no round %d", t.Round))
	}
	return p.mapper.Map(ctx, t.Bucket)
}

// Buckets is study.Rows'.
func (p *openPlan) Buckets() int { return p.head.Buckets }

// Read is study.Rows': rows come through a permit's view and in no other way.
func (p *openPlan) Read(ctx context.Context, bucket int, want warehouse.Want) ([]arrow.RecordBatch, error) {
	v, err := p.view(ctx, max(bucket, 0)/sheetBuckets)
	if err != nil {
		return nil, err
	}
	return v.Read(ctx, bucket, want)
}

// view opens the sheet of that number.
func (p *openPlan) view(ctx context.Context, n int) (*permit.View, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && p.sheet == n {
		return p.last, nil
	}
	if n >= len(p.head.Sheets) {
		return nil, havre.E("worker.plan", havre.Tampered, fmt.Sprintf("the plan has no sheet %d", n))
	}
	sealed, err := blob.GetAll(ctx, p.w.Store, planName(p.head.Sheets[n]))
	if err != nil {
		return nil, err
	}
	if sum(sealed) != p.head.Sheets[n] {
		return nil, havre.E("worker.plan", havre.Tampered, "the store gives another object for a sheet of the plan")
	}
	var s sheet
	if err := openBody(sealed, &s, p.w.Key); err != nil {
		return nil, err
	}
	out, err := s.optedOut()
	if err != nil {
		return nil, err
	}
	parts, largest := p.body.Common, int64(1)
	for _, b := range s.Buckets {
		parts = append(parts[:len(parts):len(parts)], b.Segments...)
		largest = max(largest, bytesOf(b.Segments))
	}
	// Analyses of one bucket read the same segments, and those of two buckets do
	// not. Besides their ciphertext there is room for the pages that stay decoded,
	// which are about twice as large.
	keep := 3 * (bytesOf(p.body.Common) + largest)
	if p.w.Cache > 0 {
		keep = min(keep, p.w.Cache)
	}
	snap := warehouse.OpenPart(p.w.Store, p.body.Number, p.head.Root, p.head.Buckets, parts, keep)
	v, err := permit.Accept(p.body.Grant, p.w.Hub, out, p.tenant.live, p.w.Now, snap)
	if err != nil {
		return nil, err
	}
	p.sheet, p.last = n, v
	return v, nil
}

func bytesOf(segments []warehouse.PartSegment) (n int64) {
	for _, s := range segments {
		n += s.Size
	}
	return n
}
