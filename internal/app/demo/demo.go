package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/synth"
)

// Options say what the demo runs on and where it leaves its folder.
type Options struct {
	Out       string // the folder to make; it must not exist or be empty
	From      string // folder or zip of somebody's OMOP CDM; "" for the synthetic population
	Study     string // study.yaml; "" for the built-in one
	Residents int    // of the synthetic population
	Seed      uint64
	Stores    Stores // "" is Folders
	Progress  havre.Progress
}

// The people of the demo. Nobody does two of these things.
const (
	operator   = "operator@havre.example"
	researcher = "researcher@havre.example"
	officer    = "officer@havre.example"
	checkerOne = "checker-1@havre.example"
	checkerTwo = "checker-2@havre.example"
)

// journey is one run of the demo. Its zones are opened by turns, each from its
// own folder with its own keys, as different bodies would.
type journey struct {
	Options
	s         *Summary
	holders   []string
	def       *study.Definition
	permitID  string
	releaseID string
	hosts     hosts
}

// Run makes the whole journey and gives the summary. The folder stays, also
// after an error, to be looked at.
func Run(ctx context.Context, o Options) (*Summary, error) {
	if entries, err := os.ReadDir(o.Out); err == nil && len(entries) > 0 {
		return nil, havre.E("demo", havre.Exists, "the folder "+o.Out+" is not empty; nothing there is overwritten").
			WithHint("name a new folder with --out")
	}
	if o.From != "" {
		if _, err := os.Stat(o.From); err != nil {
			return nil, havre.E("demo", havre.NotFound, "there is nothing at "+o.From).
				WithHint("--from wants a folder or a zip with the CSV or Parquet files of an OMOP CDM").Wrap(err)
		}
	}
	out, err := filepath.Abs(o.Out)
	if err != nil {
		return nil, havre.E("demo", havre.Invalid, "the folder cannot be named").Wrap(err)
	}
	o.Out = out
	j := &journey{Options: o, s: &Summary{Source: "synthetic", Folder: out, Seconds: map[string]float64{}, Rows: Rows{Rejected: map[string]int64{}}}}
	if o.From != "" {
		j.s.Source = o.From
	}
	j.hosts.stop = func() {}
	defer func() { j.hosts.stop() }()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"population", j.population},
		{"zones", j.zones},
		{"place", j.place},
		{"deliver", j.deliver},
		{"link", j.link},
		{"ingest", j.ingest},
		{"quality", j.quality},
		{"permit", j.permit},
		{"study", j.study},
		{"release", j.release},
		{"move", j.leave},
		{"suspend", j.suspend},
		{"verify", j.verify},
		{"tamper", j.tamper},
		{"settle", j.settle},
		{"report", j.report},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return nil, err
		}
		j.s.Seconds[step.name] = time.Since(began).Seconds()
		j.s.steps = append(j.s.steps, step.name)
	}
	return j.s, nil
}

func (j *journey) at(parts ...string) string {
	return filepath.Join(append([]string{j.Out}, parts...)...)
}

// population makes the holders' files, or takes somebody's CDM for one holder.
func (j *journey) population(ctx context.Context) error {
	if j.From != "" {
		j.holders = []string{"source"}
		return nil
	}
	made, err := synth.Generate(ctx, synth.Options{Residents: j.Residents, Seed: j.Seed, Out: j.Out, Progress: j.Progress})
	if err != nil {
		return err
	}
	for _, h := range made.Holders {
		j.holders = append(j.holders, h.Name)
	}
	return nil
}

// zones makes a keeper, a hub and the holders' homes, and lets them know each
// other. The custodians' keys stand apart from all of them.
func (j *journey) zones(ctx context.Context) (err error) {
	if j.hosts, err = j.standUp(ctx); err != nil {
		return err
	}
	if _, err := app.InitKeeper(ctx, j.at("keeper"), "keeper", "file:../custodian/keeper.key"); err != nil {
		return err
	}
	if _, err := app.InitHub(ctx, app.HubOptions{Dir: j.at("hub"), Name: "le-havre", Store: j.hosts.first, KeyBesideStore: true,
		Custodian: "file:../custodian/hub.key", Buckets: warehouse.DefaultBuckets, Actor: operator}); err != nil {
		return err
	}
	if _, err := app.Trust(ctx, j.at("hub"), j.at("keeper", "card.json")); err != nil {
		return err
	}
	if _, err := app.Trust(ctx, j.at("keeper"), j.at("hub", "card.json")); err != nil {
		return err
	}
	for _, name := range j.holders {
		if _, err := app.InitHolder(ctx, j.home(name), name, j.at("hub", "card.json"), j.at("keeper", "card.json")); err != nil {
			return err
		}
		for _, zone := range []string{"hub", "keeper"} {
			if _, err := app.Trust(ctx, j.at(zone), filepath.Join(j.home(name), "card.json")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *journey) home(holder string) string { return j.at("holders", holder, "home") }

// The two ways out of a holder; they never meet.
func (j *journey) toHub() string    { return j.at("transit", "to-hub") }
func (j *journey) toKeeper() string { return j.at("transit", "to-keeper") }
func (j *journey) linkage() string  { return j.at("transit", "keeper-to-hub") }

func (j *journey) deliver(ctx context.Context) error {
	for _, name := range j.holders {
		d := app.Delivery{Home: j.home(name), CDM: j.at("holders", name, "omop"), Identity: j.at("holders", name, "identity.csv"),
			ToHub: j.toHub(), ToKeeper: j.toKeeper(), Progress: of(name, j.Progress)}
		if j.From != "" {
			d.CDM, d.Identity = j.From, ""
		}
		r, err := app.Deliver(ctx, d)
		if err != nil {
			return err
		}
		h := Holder{Name: name, RowsIn: r.Manifest.RowsIn(), Persons: r.Manifest.Persons, Rejected: map[string]int64{}, delivery: r.Manifest.Delivery}
		for _, s := range r.Manifest.Sources {
			for column, n := range s.Withheld {
				if h.Withheld == nil {
					h.Withheld = map[string]int64{}
				}
				h.Withheld[s.Table+"."+column] += n
			}
			if s.Recoded > 0 {
				j.warn("%d values of %s were read as Windows-1252", s.Recoded, s.File)
			}
			if len(s.Ignored) > 0 {
				j.warn("%s has columns that the CDM does not know: %q", s.File, s.Ignored)
			}
		}
		for _, s := range r.Skipped {
			j.warn("%s was not read: %s", s.Name, s.Reason)
		}
		j.s.Persons.Delivered += h.Persons
		j.s.Holders = append(j.s.Holders, h)
	}
	return nil
}

func (j *journey) warn(format string, args ...any) {
	j.s.Warnings = append(j.s.Warnings, fmt.Sprintf(format, args...))
}

// link is the keeper's turn. Only here are identities opened.
func (j *journey) link(ctx context.Context) error {
	k, err := app.OpenKeeper(ctx, j.at("keeper"))
	if err != nil {
		return err
	}
	defer k.Close()
	for _, h := range j.s.Holders {
		l, err := k.LinkDelivery(ctx, envelope.Folder(filepath.Join(j.toKeeper(), string(h.delivery))), j.linkage(), of(h.Name, j.Progress))
		if err != nil {
			return err
		}
		for _, n := range l.Counts.Review {
			j.s.Persons.Review += n
		}
	}
	j.s.Persons.Linked = k.Persons()
	if j.From != "" {
		return nil
	}
	j.s.Linkage, err = score(j.at("truth", "persons.csv"), func(h havre.HolderID, source string) (int64, bool) {
		numbers := k.Numbers(h, source)
		if len(numbers) != 1 {
			return 0, false
		}
		return numbers[0], true
	})
	return err
}

// ingest is the hub's turn: receive, store, and destroy the transport ids, at
// the hub, at the keeper and on the way.
func (j *journey) ingest(ctx context.Context) error {
	if err := j.receive(ctx); err != nil {
		return err
	}
	k, err := app.OpenKeeper(ctx, j.at("keeper"))
	if err != nil {
		return err
	}
	defer k.Close()
	for _, h := range j.s.Holders {
		if err := k.Forget(ctx, h.delivery); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(j.at("transit")); err != nil {
		return havre.E("demo", havre.Internal, "what was on the way cannot be removed").Wrap(err)
	}
	return j.s.Rows.balanced()
}

func (j *journey) receive(ctx context.Context) error {
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		return err
	}
	defer hub.Close()
	warnings := map[string]int64{}
	for i := range j.s.Holders {
		h := &j.s.Holders[i]
		receipt, err := hub.Desk.Receive(ctx, envelope.Folder(filepath.Join(j.toHub(), string(h.delivery))), havre.HolderID(h.Name), of(h.Name, j.Progress))
		if err != nil {
			return err
		}
		path := filepath.Join(j.home(h.Name), "receipt-from-hub.json")
		if err := os.WriteFile(path, receipt, 0o600); err != nil {
			return havre.E("demo", havre.NoSpace, "the receipt cannot be written").Wrap(err)
		}
		if err := app.KeepReceipt(j.home(h.Name), path); err != nil {
			return err
		}
		_ = os.Remove(path) // it is kept in receipts/
		report, err := hub.Ingest(ctx, h.delivery, envelope.Folder(filepath.Join(j.linkage(), string(h.delivery))), of(h.Name, j.Progress))
		if err != nil {
			return err
		}
		h.Stored, h.Rejected = report.Stored(), report.Rejected()
		j.s.Rows.In += h.RowsIn
		j.s.Rows.Stored += h.Stored
		for reason, n := range h.Rejected {
			j.s.Rows.Rejected[reason] += n
		}
		for reason, n := range report.Warnings() {
			warnings[reason] += n
		}
	}
	var reasons []string
	for r := range warnings {
		reasons = append(reasons, r)
	}
	sort.Strings(reasons)
	for _, r := range reasons {
		j.warn("%d values: %s", warnings[r], r)
	}
	return nil
}

// quality counts what is odd in the rows that were stored. Nothing of it leaves
// the hub; the demo shows it because its hub is yours.
func (j *journey) quality(ctx context.Context) error {
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		return err
	}
	defer hub.Close()
	j.s.Quality, err = hub.Quality(ctx, j.Progress)
	return err
}

// of names the holder in each step of a progress.
func of(holder string, p havre.Progress) havre.Progress { return named{holder, p} }

type named struct {
	holder string
	havre.Progress
}

func (n named) Step(name string, total int64, unit string) havre.Counter {
	return n.Progress.Step(n.holder+": "+name, total, unit)
}
