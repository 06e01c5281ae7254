package synth

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/havre"
)

// Limits and defaults of Options.
const (
	MaxResidents         = 10_000_000
	DefaultRowsPerPerson = 100
	minRowsPerPerson     = 10
	maxRowsPerPerson     = 400
)

// Options say which population to make.
type Options struct {
	Residents     int    // 1 to MaxResidents
	Seed          uint64 // another seed, another population
	RowsPerPerson int    // about how many event rows a resident has over the ten years; 0 means DefaultRowsPerPerson
	Out           string // folder to make; it must not exist, or be empty
	Progress      havre.Progress
}

// Summary says what was written.
type Summary struct {
	Residents int             `json:"residents"`
	Seed      uint64          `json:"seed,string"`
	Rows      int64           `json:"rows"` // data rows of all OMOP files
	Bytes     int64           `json:"bytes"`
	Holders   []HolderSummary `json:"holders"`
	Truth     *Truth          `json:"-"` // the content of truth/truth.json
}

// HolderSummary counts one holder's files.
type HolderSummary struct {
	Name    string `json:"name"`
	Persons int64  `json:"persons"` // rows of identity.csv
	Rows    int64  `json:"rows"`    // data rows of the OMOP files
	Bytes   int64  `json:"bytes"`
}

// generator is what all workers share; nothing in it changes while they run.
type generator struct {
	*register
	vocab   *vocabulary
	density int // percent of the rate of DefaultRowsPerPerson
	strides [holderCount]int
}

// blockPersons is how many residents are made at a time.
const blockPersons = 200

// block is the work on a run of residents and the rows that come of it, per
// holder and table.
type block struct {
	first, last int // residents first to last-1
	out         [holderCount][tableCount]rows
	truth       rows
	tally       tally
	made        chan struct{} // receives when the rows are there
}

// Generate makes a population in opts.Out and says what it wrote. Memory does
// not grow with the number of residents but for 10 bytes each. A folder that
// holds anything is refused (havre.Exists) and left as it is; after an error or
// a cancelled ctx nothing is left of what was written.
func Generate(ctx context.Context, opts Options) (sum Summary, err error) {
	if opts.RowsPerPerson == 0 {
		opts.RowsPerPerson = DefaultRowsPerPerson
	}
	if err := opts.check(); err != nil {
		return Summary{}, err
	}
	f, err := newFolder(opts.Out)
	if err != nil {
		return Summary{}, err
	}
	defer func() {
		if err != nil {
			f.discard()
		}
	}()
	if opts.Progress == nil {
		opts.Progress = havre.NoProgress
	}
	g := newGenerator(opts)
	if err := f.fixedFiles(g); err != nil {
		return Summary{}, err
	}
	counter := opts.Progress.Step("make residents", int64(opts.Residents), "residents")
	total, err := g.run(ctx, f, opts.Residents, counter)
	if err != nil {
		return Summary{}, err
	}
	counter.Done()
	truth := newTruth(opts, total, f)
	if err := f.finish(truth); err != nil {
		return Summary{}, err
	}
	return f.summary(opts, truth), nil
}

func (o *Options) check() error {
	bad := func(message string) *havre.Error { return havre.E("synth", havre.Usage, message) }
	switch {
	case o.Residents < 1 || o.Residents > MaxResidents:
		return bad(fmt.Sprintf("the number of residents must be from 1 to %d, not %d", MaxResidents, o.Residents))
	case o.RowsPerPerson < minRowsPerPerson || o.RowsPerPerson > maxRowsPerPerson:
		return bad(fmt.Sprintf("the rows a person must be from %d to %d, not %d", minRowsPerPerson, maxRowsPerPerson, o.RowsPerPerson))
	case o.Out == "":
		return bad("no folder to write to is named").WithHint("name one with --out FOLDER")
	}
	return nil
}

func newGenerator(opts Options) *generator {
	g := &generator{register: newRegister(opts.Residents, opts.Seed), vocab: theVocabulary(), density: opts.RowsPerPerson * 100 / DefaultRowsPerPerson}
	for h := range g.strides {
		g.strides[h] = holders[h].stride
		for gcd(g.strides[h], opts.Residents) != 1 {
			g.strides[h]++
		}
	}
	return g
}

// idAt is the person id of a resident at a holder: the holder's numbers in an
// order of its own, so that ids of different holders say nothing of each other.
func (g *generator) idAt(h, person int) int64 {
	return holders[h].firstID + int64(person)*int64(g.strides[h])%int64(len(g.born))
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// locationOf is the row of the location table for a commune: its department.
func (g *generator) locationOf(commune int) int64 { return int64(g.places.department[commune]) + 1 }

// run makes all blocks on every processor and writes them in order.
func (g *generator) run(ctx context.Context, f *folder, residents int, counter havre.Counter) (*tally, error) {
	workers := runtime.GOMAXPROCS(0)
	free := make(chan *block, 2*workers+1)
	work, inOrder := make(chan *block, cap(free)), make(chan *block, cap(free))
	for range cap(free) {
		free <- &block{made: make(chan struct{}, 1)}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { // hands out the work
		defer close(work)
		defer close(inOrder)
		for first := 0; first < residents; first += blockPersons {
			select {
			case b := <-free:
				b.first, b.last = first, min(first+blockPersons, residents)
				work <- b
				inOrder <- b
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range workers {
		group.Go(func() error {
			var l life
			for b := range work {
				g.makeBlock(b, &l)
				b.made <- struct{}{}
			}
			return nil
		})
	}
	total := new(tally)
	group.Go(func() error { // writes in order
		for b := range inOrder {
			<-b.made
			if err := f.write(b); err != nil {
				return err
			}
			total.add(&b.tally)
			counter.Add(int64(b.last - b.first))
			free <- b
		}
		return nil
	})
	return total, group.Wait()
}

// makeBlock fills b with the rows of its residents.
func (g *generator) makeBlock(b *block, l *life) {
	for h := range b.out {
		for t := range b.out[h] {
			b.out[h][t].reset()
		}
	}
	b.truth.reset()
	b.tally = tally{}
	for i := b.first; i < b.last; i++ {
		p := g.person(i)
		g.live(&p, l)
		g.atHospitals(b, &p, l)
		g.atPayer(b, &p, l)
		b.tally.count(g, &p, l)
	}
}
