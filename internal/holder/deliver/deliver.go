// Package deliver sends a holder's data to a hub: it gives each person a
// random transport id, splits identity from health, looks at every value for
// identities that have no place in a health part (the guard), seals each part
// to its one recipient, signs the manifest, sends, and keeps the receipt.
//
// A delivery is made whole before anything is sent: the sealed parts wait in
// the outbox, a folder of the holder, and the signed manifest is written there
// last. A refusal therefore sends nothing. A delivery that was cut while being
// made (no manifest) is thrown away; one that was cut while being sent goes on
// with the parts that are missing. No plaintext and no transport id is ever
// written to a disk.
package deliver

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake"
	"github.com/havre-hub/havre/internal/holder/intake/identity"
)

// Source is what a reader of the holder's data gives. Rows of different files
// are read concurrently; a file may be read more than once and gives the same
// rows each time.
type Source interface {
	// Files lists the files, those of one table next to each other.
	Files() []intake.File
	// Rows reads a file. A row is valid until the next; the reading ends after
	// the first error.
	Rows(ctx context.Context, f intake.File) iter.Seq2[*intake.Row, error]
	// CDMVersion is "5.3" or "5.4".
	CDMVersion() string
}

// Options say what is delivered, by whom and to whom.
type Options struct {
	Holder havre.HolderID
	Signer *sign.Signer // the holder's key

	Hub             string         // the hub's name
	HubRecipient    seal.Recipient // health parts are sealed to it
	HubKey          sign.PublicKey // checks the receipt
	KeeperRecipient seal.Recipient // identity parts are sealed to it

	Source   Source
	Identity string   // path of the identity file; "" links persons by their source ids
	Accept   []string // "table.column": the holder answers for these, the guard passes them

	Outbox   string           // folder of the sealed parts until they are sent
	Delivery havre.DeliveryID // "" draws a new one; a known one goes on with what is in the outbox
	Keeper   Transport
	To       Transport // to the hub

	Now      havre.Now      // nil: the system's clock
	Progress havre.Progress // nil: none
}

// Result is what became of a delivery.
type Result struct {
	Manifest *envelope.Manifest
	Envelope []byte            // the bytes of manifest.json
	Receipt  *envelope.Receipt // nil where the transport gives none, as a folder does
	Signed   []byte            // the receipt as the hub signed it
}

// Run makes the delivery and sends it. A refusal by the guard is of kind
// Invalid. When sending fails, Result holds the manifest all the same: the
// same call with Options.Delivery set goes on.
func Run(ctx context.Context, o Options) (Result, error) {
	o, err := o.complete()
	if err != nil {
		return Result{}, err
	}
	box := outbox{o.Outbox}
	if err := box.make(); err != nil {
		return Result{}, err
	}
	lock, err := meta.Lock(o.Outbox)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = lock.Unlock() }()
	if err := box.sweep(); err != nil {
		return Result{}, err
	}
	staged, err := box.staged(o.Delivery, o.Signer.Public())
	if havre.KindOf(err) == havre.NotFound {
		staged, err = stage(ctx, o, box)
	}
	if err != nil {
		return Result{}, err
	}
	r := Result{Manifest: staged.manifest, Envelope: staged.envelope}
	if staged.manifest.Hub != o.Hub || staged.manifest.Holder != o.Holder {
		return r, havre.E("deliver", havre.Refused, "the delivery "+string(o.Delivery)+" in the outbox is for another hub or of another holder").
			WithHint("name the hub " + staged.manifest.Hub + ", or deliver anew")
	}
	if r.Receipt, r.Signed, err = send(ctx, o, box, staged); err != nil {
		return r, err
	}
	return r, box.remove(o.Delivery)
}

func (o Options) complete() (Options, error) {
	if !havre.ValidName(string(o.Holder)) || !havre.ValidName(o.Hub) {
		return o, havre.E("deliver", havre.Invalid, fmt.Sprintf("%q and %q are not both valid names of a holder and a hub", o.Holder, o.Hub)).
			WithHint("names have 1 to 63 lower-case letters, digits and hyphens")
	}
	if o.Signer == nil || o.Source == nil || o.Keeper == nil || o.To == nil || o.Outbox == "" {
		return o, havre.E("deliver", havre.Internal, "a delivery needs a signer, a source, an outbox and both transports")
	}
	for _, a := range o.Accept {
		table, column, ok := strings.Cut(a, ".")
		if _, known := omop.Lookup(table); !ok || !known || column == "" {
			return o, havre.E("deliver", havre.Invalid, fmt.Sprintf("%q is no column that could be accepted", a)).
				WithHint("write it as table.column, e.g. observation.value_as_string")
		}
	}
	if o.Delivery == "" {
		o.Delivery = havre.NewDeliveryID()
	}
	if !envelope.IsDeliveryID(string(o.Delivery)) {
		return o, havre.E("deliver", havre.Invalid, fmt.Sprintf("%q is no id of a delivery", o.Delivery)).WithHint("ids have 32 lower-case hexadecimal digits")
	}
	if o.Now == nil {
		o.Now = havre.SystemNow
	}
	if o.Progress == nil {
		o.Progress = havre.NoProgress
	}
	return o, nil
}

// making is a delivery that is being made.
type making struct {
	o        Options
	people   *people
	names    *names // nil without an identity file
	shelf    *shelf
	hits     *hits
	accepted map[string]bool
	rows     havre.Counter
}

// stage makes the delivery in the outbox.
func stage(ctx context.Context, o Options, box outbox) (s *staged, err error) {
	defer func() {
		if err != nil {
			_ = box.remove(o.Delivery)
		}
	}()
	files := o.Source.Files()
	m := &making{
		o: o, people: newPeople(), hits: newHits(files), accepted: map[string]bool{},
		shelf: newShelf(func(name string, sealed []byte) error { return box.put(ctx, o.Delivery, name, sealed) }),
	}
	for _, a := range o.Accept {
		m.accepted[a] = true
	}
	if err := m.persons(ctx); err != nil {
		return nil, err
	}
	m.rows = o.Progress.Step("seal", -1, "rows")
	defer m.rows.Done()
	sources, period, err := m.tables(ctx, files)
	if err != nil {
		return nil, err
	}
	if err := m.hits.refusal(); err != nil {
		return nil, err
	}
	manifest := &envelope.Manifest{
		Delivery: o.Delivery, Holder: o.Holder, Hub: o.Hub, Created: o.Now().UTC().Truncate(time.Second),
		CDMVersion: o.Source.CDMVersion(), Persons: int64(len(m.people.tids)), Period: period,
		Parts: m.shelf.list(), Sources: sources, Accepted: sortedSet(o.Accept),
	}
	signed, err := envelope.SignManifest(manifest, o.Signer)
	if err != nil {
		return nil, err
	}
	return &staged{manifest, signed}, box.put(ctx, o.Delivery, envelope.ManifestName, signed)
}

func sortedSet(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}

// persons gives tids to everyone in the identity file or, without one, in the
// person table, and makes the identity parts.
func (m *making) persons(ctx context.Context) error {
	step := m.o.Progress.Step("identify", -1, "persons")
	defer step.Done()
	var err error
	if m.o.Identity != "" {
		err = m.identityFile(ctx, step)
	} else {
		err = m.sourceIDs(ctx, step)
	}
	return err
}

// identityTable is the table of identity parts.
const identityTable = "person_identity"

func (m *making) identityFile(ctx context.Context, step havre.Counter) error {
	f, err := identity.Open(m.o.Identity)
	if err != nil {
		return err
	}
	at := func(column string) func(*identity.Person) []byte {
		i := slices.Index(f.Columns, column)
		return func(p *identity.Person) []byte {
			if i < 0 {
				return nil
			}
			return p.Values[i]
		}
	}
	birth, used, given := at("birth_name"), at("used_name"), at("given_names")
	m.names = newNames()
	w := newWriter(m.shelf, m.o.KeeperRecipient, envelope.Identity, identityTable, append([]string{"tid", "source_person_id"}, f.Columns...))
	for p, err := range f.People(ctx) {
		if err != nil {
			return err
		}
		if len(p.ID) == 0 {
			return havre.E("deliver", havre.Invalid, fmt.Sprintf("identity file %s, line %d: the column %s is empty", f.Name, p.Line, identity.PersonID)).
				WithHint("every person needs the id that the health tables use")
		}
		index, fresh := m.people.add(p.ID)
		if !fresh {
			return havre.E("deliver", havre.Invalid, fmt.Sprintf("identity file %s, line %d: this person id stood on an earlier line", f.Name, p.Line)).
				WithHint("leave one line for each person id")
		}
		m.people.own = append(m.people.own, m.names.add(birth(p), used(p), given(p)))
		if err := writePerson(w, m.people.tids[index], p.ID, p.Values); err != nil {
			return err
		}
		step.Add(1)
	}
	m.names.seal()
	return w.finish()
}

func (m *making) sourceIDs(ctx context.Context, step havre.Counter) error {
	w := newWriter(m.shelf, m.o.KeeperRecipient, envelope.Identity, identityTable, []string{"tid", "source_person_id"})
	for _, f := range m.o.Source.Files() {
		if f.Table != "person" {
			continue
		}
		at := slices.Index(f.Columns, "person_id")
		for row, err := range m.o.Source.Rows(ctx, f) {
			if err != nil {
				return err
			}
			if row.Fault != intake.NoFault || len(row.Values[at]) == 0 {
				continue
			}
			index, fresh := m.people.add(row.Values[at])
			if !fresh {
				continue
			}
			if err := writePerson(w, m.people.tids[index], row.Values[at], nil); err != nil {
				return err
			}
			step.Add(1)
		}
	}
	if len(m.people.tids) == 0 {
		return havre.E("deliver", havre.Invalid, "there is no person in the source: its table person is missing, empty or unreadable, so its rows are about nobody").
			WithHint("add the person table (person.csv with a column person_id), or name an identity file")
	}
	return w.finish()
}

func writePerson(w *writer, t tid, id []byte, traits [][]byte) error {
	w.value(t.append(nil))
	w.value(id)
	for _, v := range traits {
		w.value(v)
	}
	_, err := w.endRow()
	return err
}

// tables delivers all files, several tables at a time.
func (m *making) tables(ctx context.Context, files []intake.File) ([]envelope.Source, *envelope.Period, error) {
	sources := make([]envelope.Source, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	var period *envelope.Period
	for start := 0; start < len(files); {
		end := start + 1
		for end < len(files) && files[end].Table == files[start].Table {
			end++
		}
		from := start
		group.Go(func() error {
			table, ok := omop.Lookup(files[from].Table)
			if !ok {
				return havre.E("deliver", havre.Internal, "the source gives "+files[from].Name+" a table that the CDM does not have")
			}
			j := &job{making: m, table: table}
			for i := from; i < end; i++ {
				if err := j.deliver(ctx, files[i], &sources[i]); err != nil {
					return err
				}
			}
			mu.Lock()
			period = widen(period, j.first, j.last)
			mu.Unlock()
			return j.finish()
		})
		start = end
	}
	return sources, period, group.Wait()
}

func widen(p *envelope.Period, first, last string) *envelope.Period {
	switch {
	case first == "":
		return p
	case p == nil:
		return &envelope.Period{First: first, Last: last}
	}
	return &envelope.Period{First: min(p.First, first), Last: max(p.Last, last)}
}
