package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/catalogue"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/move"
)

// ReadHost gives a descriptor by the name of a shipped example or the path of
// a file; a name has no dot and no slash.
func ReadHost(ref string) (*descriptor.Host, error) {
	if havre.ValidName(ref) {
		return descriptor.Example(ref)
	}
	b, err := readDocument(ref)
	if err != nil {
		return nil, err
	}
	return descriptor.Parse("the host "+ref, b)
}

// ReadCatalogue gives a catalogue by the name of a shipped one or the path of
// a file.
func ReadCatalogue(ref string) (*catalogue.Catalogue, error) {
	if havre.ValidName(ref) {
		return catalogue.ShippedOne(ref)
	}
	b, err := readDocument(ref)
	if err != nil {
		return nil, err
	}
	return catalogue.Parse("the catalogue "+ref, b)
}

// ReadAnswers reads a file of answers.
func ReadAnswers(path string) (*catalogue.Answers, error) {
	b, err := readDocument(path)
	if err != nil {
		return nil, err
	}
	return catalogue.ParseAnswers("the answers "+path, b)
}

func readDocument(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, havre.E("read", havre.NotFound, "the file "+path+" cannot be read").Wrap(err)
	}
	return b, nil
}

// patience is how often work that takes long asks whether it was stopped.
const patience = time.Second

// whileWritable does something that writes, unless the hub is suspended or
// read-only, and stops it within seconds when the hub is suspended meanwhile.
func (h *Hub) whileWritable(ctx context.Context, do func(context.Context) error) error {
	if err := h.Host.Writable(ctx); err != nil {
		return err
	}
	return h.untilSuspended(ctx, do)
}

// untilSuspended does something and stops it within seconds when the hub is
// suspended meanwhile; the error then tells the order. Reads of a run ask for
// themselves; this also ends what computes between two reads, or elsewhere.
func (h *Hub) untilSuspended(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for tick := time.NewTicker(patience); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				if err := h.Host.Readable(ctx); err != nil && ctx.Err() == nil {
					cancel(err)
				}
			}
		}
	}()
	err := do(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// Notices are for everybody who uses the hub, a sentence each: that it is not
// open, what the end of a derogation has made due, or that this cannot be told.
func (h *Hub) Notices(ctx context.Context) []string {
	if err := h.Host.Writable(ctx); err != nil {
		return []string{err.Error()}
	}
	s, err := h.Host.Standing(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	reports, err := move.Reports(ctx, h.Meta)
	if err != nil {
		return []string{err.Error()}
	}
	var drilled time.Time
	for _, r := range reports {
		if r.Kind == record.KindDrill {
			drilled = r.Finished
		}
	}
	return s.Alarms(drilled)
}

// Beside is a hub opened beside the process that may be working on it: it
// reads, and it can suspend. It decides nothing else.
type Beside struct {
	Config config.Hub
	Store  blob.Store
	Meta   *meta.DB
	Log    *tlog.Reader
	Host   *host.Office
	home   *home
	dir    string
}

// OpenBeside opens the hub at dir without taking it from another process.
func OpenBeside(ctx context.Context, dir string) (_ *Beside, err error) {
	conf := config.DefaultHub()
	h, err := openHome(dir, ZoneHub, &conf, func() string { return conf.Custodian })
	if err != nil {
		return nil, err
	}
	b := &Beside{Config: conf, home: h, dir: dir}
	defer func() {
		if err != nil {
			_ = b.Close()
		}
	}()
	if b.Meta, err = meta.Open(ctx, filepath.Join(dir, "control.db")); err != nil {
		return nil, err
	}
	if b.Store, err = openStore(ctx, dir, conf.Store, false); err != nil {
		return nil, err
	}
	logKey, err := h.signerOf(keyLog)
	if err != nil {
		return nil, err
	}
	b.Log, err = tlog.Open(filepath.Join(dir, "log"), tlog.Trust{Origin: logOrigin(conf.Name), Keys: []sign.PublicKey{logKey.Public()}})
	if err != nil {
		return nil, err
	}
	b.Host = host.New(host.Config{Hub: conf.Name, DB: b.Meta, Signer: h.signer, Now: havre.SystemNow})
	return b, nil
}

// Close lets go of the database and the log.
func (b *Beside) Close() (err error) {
	if b.Log != nil {
		err = b.Log.Close()
	}
	if b.Meta != nil {
		err = errors.Join(err, b.Meta.Close())
	}
	if b.Store != nil {
		blob.Rest(b.Store)
	}
	return err
}

// SuspendHub stops the hub at dir by an authority's order, whoever works on it
// at the moment. logged says whether the entry is in the log already; if not,
// the process that works on the hub writes it at its next read.
func SuspendHub(ctx context.Context, dir string, o host.Order, by havre.Personal[string]) (order host.Order, logged bool, err error) {
	b, err := OpenBeside(ctx, dir)
	if err != nil {
		return host.Order{}, false, err
	}
	order, err = b.Host.Suspend(ctx, o, by)
	if cerr := b.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return host.Order{}, false, err
	}
	h, err := OpenHub(ctx, dir)
	if havre.KindOf(err) == havre.Locked {
		return order, false, nil
	}
	if err != nil {
		return order, false, err
	}
	err = h.Host.LogOrders(ctx)
	if cerr := h.Close(); err == nil {
		err = cerr
	}
	return order, err == nil, err
}

// ResumeHub lets the hub go on. The account is a permit officer: who lifts an
// order answers for the authorisation.
func (h *Hub) ResumeHub(ctx context.Context, o host.Order, account string) (host.Order, error) {
	roles, err := h.Permits.Roles(ctx, account)
	if err != nil {
		return host.Order{}, err
	}
	if roles[0] != havre.RoleOfficer {
		return host.Order{}, havre.E("host.resume", havre.Refused, "only an account with the role "+string(havre.RoleOfficer)+" lets a suspended hub go on").
			WithHint("this account is a " + string(roles[0]))
	}
	return h.Host.Resume(ctx, o, havre.NewPersonal(account))
}

// logOrigin names the log of a hub.
func logOrigin(hub string) string { return "havre.hub/" + hub }
