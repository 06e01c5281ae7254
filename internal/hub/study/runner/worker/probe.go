package worker

import (
	"context"
	"crypto/rand"
	"regexp"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// probeType is the type of the hub's question and of a worker's answer.
const (
	probeType  = "application/vnd.havre.probe.v1+json"
	probedType = "application/vnd.havre.probed.v1+json"
	probeMark  = "havre1-check "
)

// Probe is a question to workers, wherever they run: a small object in the
// store, sealed to them, that they must fetch and open to answer.
type Probe struct {
	store   blob.Store
	nonce   string // names the object
	secret  string // in the object
	workers []Enrolled
}

type probeDoc struct {
	Nonce  string `json:"nonce"`
	Secret string `json:"secret"`
}

type probedDoc struct {
	Clock   time.Time `json:"clock"`
	Nonce   string    `json:"nonce"`
	Program string    `json:"program"`
	Secret  string    `json:"secret_sha256"`
}

// Probed is what a worker answered.
type Probed struct {
	Worker  string
	Program string
	Clock   time.Duration // how far ahead of the hub's clock, at least
}

// NewProbe puts the question into the store.
func NewProbe(ctx context.Context, store blob.Store, s *sign.Signer, workers []Enrolled) (*Probe, error) {
	if len(workers) == 0 {
		return nil, havre.E("worker.check", havre.Refused, "no worker is enrolled at this hub").
			WithHint("havre worker init on a worker's machine, then havre worker enroll at the hub")
	}
	p := &Probe{store: store, nonce: strings.ToLower(rand.Text()), secret: rand.Text(), workers: workers}
	var to []seal.Recipient
	for _, w := range workers {
		to = append(to, w.Recipient)
	}
	sealed, err := pack(probeType, probeDoc{p.nonce, p.secret}, nil, s, to...)
	if err != nil {
		return nil, err
	}
	return p, store.Put(ctx, probeName(p.nonce), sealed)
}

func probeName(nonce string) string { return planPrefix + "probe-" + nonce }

var validNonce = regexp.MustCompile(`^[a-z2-7]{26}$`)

// Line is the question as a line for a worker.
func (p *Probe) Line() string { return probeMark + p.nonce }

// Close removes the question from the store.
func (p *Probe) Close(ctx context.Context) error { return p.store.Delete(ctx, probeName(p.nonce)) }

// answerProbe is the worker's side.
func (w *Worker) answerProbe(ctx context.Context, nonce string) (string, error) {
	if !validNonce.MatchString(nonce) {
		return "", havre.E("worker.check", havre.Invalid, "this is no question of a hub")
	}
	sealed, err := blob.GetAll(ctx, w.Store, probeName(nonce))
	if err != nil {
		return "", err
	}
	var d probeDoc
	if _, _, err := unpack(sealed, probeType, &d, w.Key, w.Hub); err != nil {
		return "", havre.E("worker.check", havre.KindOf(err), "the hub's question does not open: this worker is not enrolled there").
			WithHint("havre worker enroll at the hub").Wrap(err)
	}
	if d.Nonce != nonce {
		return "", havre.E("worker.check", havre.Tampered, "the store gives another question than was asked")
	}
	line, err := sign.Sign(probedType, probedDoc{Clock: w.Now().UTC(), Nonce: nonce, Program: w.program(), Secret: sum([]byte(d.Secret))}, w.Signer)
	return "probed " + strings.TrimSpace(string(line)), err
}

// Answer reads a worker's answer that was asked for and heard at these times. It
// fails when the worker could not follow a plan of this program.
func (p *Probe) Answer(line string, asked, heard time.Time) (Probed, error) {
	if err, ok := ParseError(line); ok {
		return Probed{}, err
	}
	text, ok := strings.CutPrefix(line, "probed ")
	if !ok {
		return Probed{}, havre.E("worker.check", havre.Invalid, "what runs there is no worker of havre").WithHint("look at --worker-command")
	}
	var keys []sign.PublicKey
	for _, w := range p.workers {
		keys = append(keys, w.Key)
	}
	var d probedDoc
	by, err := sign.Verify([]byte(text+"\n"), probedType, &d, keys...)
	if err != nil || d.Nonce != p.nonce || d.Secret != sum([]byte(p.secret)) {
		return Probed{}, havre.E("worker.check", havre.Tampered, "the answer is not one of an enrolled worker to this question").Wrap(err)
	}
	out := Probed{Program: d.Program}
	for _, w := range p.workers {
		if w.Key.String() == by.String() {
			out.Worker = w.Name
		}
	}
	switch { // the answer was given some time between asked and heard
	case d.Clock.After(heard):
		out.Clock = d.Clock.Sub(heard)
	case d.Clock.Before(asked):
		out.Clock = d.Clock.Sub(asked)
	}
	if out.Clock.Abs() > clockSlack {
		return out, havre.E("worker.check", havre.Clock, "its clock and the hub's are "+out.Clock.Abs().Round(time.Second).String()+" apart").
			WithHint("set both by one time service: a lease lasts seconds")
	}
	if own := Program(); d.Program != own {
		return out, havre.E("worker.check", havre.Refused, "its worker is havre "+d.Program+", and this hub is havre "+own).WithHint("install the same version on both")
	}
	return out, nil
}
