package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/analysis"
	"github.com/havre-hub/havre/internal/hub/study/runner/worker"
)

// keyWorker is the name of a worker's key in its ring: plans are sealed to it.
const keyWorker = "worker"

// WorkerOptions say what worker to make.
type WorkerOptions struct {
	Dir       string
	Name      string
	HubCard   string // path of the hub's card.json
	Store     string // the hub's store, as this machine reaches it
	Custodian string // "file:PATH"
}

// InitWorker makes a worker's folder and its card, which asks the hub to enrol it.
func InitWorker(ctx context.Context, o WorkerOptions) (Card, error) {
	if !havre.ValidName(o.Name) {
		return Card{}, badName("worker", o.Name)
	}
	hub, raw, err := ReadCard(o.HubCard)
	if err != nil {
		return Card{}, err
	}
	if hub.Zone != ZoneHub {
		return Card{}, havre.E("worker.init", havre.Invalid, o.HubCard+" is the card of a "+hub.Zone+", not of a hub")
	}
	if _, err := openStore(ctx, o.Dir, o.Store, false); err != nil {
		return Card{}, err
	}
	conf := config.DefaultWorker()
	conf.Name, conf.Store, conf.Custodian = o.Name, o.Store, o.Custodian
	h, err := newHome(o.Dir, o.Custodian, conf)
	if err != nil {
		return Card{}, err
	}
	key, err := h.ring.NewKey(keyWorker)
	if err != nil {
		return Card{}, err
	}
	if err := keepCard(o.Dir, hub, raw); err != nil {
		return Card{}, err
	}
	card := Card{Zone: ZoneWorker, Name: o.Name, Key: h.signer.Public(), Recipient: key.Recipient().String()}
	return card, writeCard(o.Dir, card, h.signer)
}

// OpenWorker opens the worker at dir. Any number of processes may.
func OpenWorker(ctx context.Context, dir string) (*worker.Worker, error) {
	conf := config.DefaultWorker()
	h, err := openHome(dir, ZoneWorker, &conf, func() string { return conf.Custodian })
	if err != nil {
		return nil, err
	}
	hubs, err := trusted(dir, ZoneHub)
	if err != nil {
		return nil, err
	}
	if len(hubs) != 1 {
		return nil, havre.E("worker.open", havre.NotFound, "the worker at "+dir+" has no card of its hub").WithHint("havre trust --at " + dir + " HUB_CARD.json")
	}
	w := &worker.Worker{Hub: hubs[0].Key, Signer: h.signer, Build: analysis.Build, Now: havre.SystemNow}
	if w.Cache, err = conf.MemoryBytes(); err != nil {
		return nil, err
	}
	if w.Key, err = h.ring.Key(keyWorker); err != nil {
		return nil, err
	}
	w.Store, err = openStore(ctx, dir, conf.Store, false)
	return w, err
}

// enrolmentType is the type of the hub's signed word that a worker is its own.
const enrolmentType = "application/vnd.havre.worker.v1+json"

// Enrolment is that word. It stands in the hub's folder; the log holds the same.
type Enrolment struct {
	worker.Enrolled
	Hub      string    `json:"hub"`
	Since    time.Time `json:"since"`
	LogIndex int64     `json:"log_index"`
}

// Fingerprint is what people read to each other.
func (e Enrolment) Fingerprint() string { return Card{Key: e.Key}.Fingerprint() }

func (h *Hub) enrolmentPath(name string) string {
	return filepath.Join(h.home.dir, "workers", name+".json")
}

// EnrollWorker lets a worker read under the hub's plans. fingerprint is what
// the operator saw on the worker's own screen: a card proves only that it is whole.
func (h *Hub) EnrollWorker(ctx context.Context, cardPath, fingerprint, actor string) (Enrolment, error) {
	const op = "worker.enroll"
	c, _, err := ReadCard(cardPath)
	if err != nil {
		return Enrolment{}, err
	}
	if c.Zone != ZoneWorker {
		return Enrolment{}, havre.E(op, havre.Invalid, cardPath+" is the card of a "+c.Zone+", not of a worker")
	}
	if c.Fingerprint() != strings.TrimSpace(fingerprint) {
		return Enrolment{}, havre.E(op, havre.Refused, "the card's fingerprint is not the one that was given").
			WithHint("read it on the worker's own machine, where havre worker init printed it, not from the card that came over the network")
	}
	to, err := c.recipient()
	if err != nil {
		return Enrolment{}, err
	}
	all, err := h.Workers()
	if err != nil {
		return Enrolment{}, err
	}
	for _, e := range all {
		if e.Name == c.Name && e.Key.String() == c.Key.String() {
			return e, nil
		}
		if e.Name == c.Name || e.Key.String() == c.Key.String() {
			return Enrolment{}, havre.E(op, havre.Exists, "a worker of that name or key is enrolled already: "+e.Name).
				WithHint("havre worker remove takes it from the list")
		}
	}
	pos, err := h.Log.Record(ctx, audit.Event{Action: "worker.enrolled", Actor: havre.NewPersonal(actor), Subject: c.Name,
		Facts: map[string]string{"key": c.Key.String(), "recipient_sha256": sign.Digest(c.Recipient)}})
	if err != nil {
		return Enrolment{}, err
	}
	e := Enrolment{Enrolled: worker.Enrolled{Name: c.Name, Key: c.Key, Recipient: to}, Hub: h.Config.Name,
		Since: havre.SystemNow().UTC().Truncate(time.Second), LogIndex: pos.Index}
	b, err := sign.Sign(enrolmentType, e, h.home.signer)
	if err != nil {
		return Enrolment{}, err
	}
	if err := os.MkdirAll(filepath.Dir(h.enrolmentPath(c.Name)), 0o700); err != nil {
		return Enrolment{}, havre.E(op, havre.NoSpace, "the folder of workers cannot be made").Wrap(err)
	}
	return e, writeNew(h.enrolmentPath(c.Name), b)
}

// Workers lists the enrolled workers, by name. One that the hub did not sign is
// an error: somebody else put it there.
func (h *Hub) Workers() ([]Enrolment, error) {
	entries, err := os.ReadDir(filepath.Join(h.home.dir, "workers"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, havre.E("worker.list", havre.NotFound, "the hub's workers cannot be listed").Wrap(err)
	}
	var all []Enrolment
	for _, entry := range entries {
		name := entry.Name()
		b, err := os.ReadFile(filepath.Join(h.home.dir, "workers", name))
		if err != nil {
			return nil, havre.E("worker.list", havre.NotFound, "the worker "+name+" cannot be read").Wrap(err)
		}
		var e Enrolment
		if _, err := sign.Verify(b, enrolmentType, &e, h.home.signer.Public()); err != nil || e.Hub != h.Config.Name || e.Name+".json" != name {
			return nil, havre.E("worker.list", havre.Tampered, "the hub did not enrol the worker "+name).
				WithHint("somebody else put the file into the hub's folder, or altered it: remove it, and look at the log").Wrap(err)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Enrolment) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// RemoveWorker takes a worker from the list: the next plan is not for it.
func (h *Hub) RemoveWorker(ctx context.Context, name, actor string) error {
	all, err := h.Workers()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(e Enrolment) bool { return e.Name == name })
	if i < 0 {
		return havre.E("worker.remove", havre.NotFound, "no worker of that name is enrolled").WithHint("havre worker list names them")
	}
	if _, err := h.Log.Record(ctx, audit.Event{Action: "worker.removed", Actor: havre.NewPersonal(actor), Subject: name,
		Facts: map[string]string{"key": all[i].Key.String(), "enrolled_at": strconv.FormatInt(all[i].LogIndex, 10)}}); err != nil {
		return err
	}
	if err := os.Remove(h.enrolmentPath(name)); err != nil {
		return havre.E("worker.remove", havre.Internal, "the worker cannot be taken from the list").Wrap(err)
	}
	return nil
}
