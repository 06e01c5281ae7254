package cohort

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// kinds gives, for providers or care sites, their kind by id; one whose kind is
// not recorded has NoConcept.
type kinds map[int64]int64

// outside is what is read of tables that are not about persons.
type outside struct{ providers, sites kinds }

// lookupCache keeps what was read of such tables, by reader: they are the same
// for every bucket.
type lookupCache struct {
	mu   sync.Mutex
	from Reader // of held; nil: nothing is held
	held outside
}

// get reads the tables that the plan wants, once for each reader.
func (c *lookupCache) get(ctx context.Context, r Reader, p *Plan) (outside, error) {
	if !p.providers && !p.sites {
		return outside{}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	comparable := reflect.TypeOf(r).Comparable()
	if comparable && c.from == r {
		return c.held, nil
	}
	var o outside
	var err error
	if p.providers {
		if o.providers, err = readKinds(ctx, r, "provider", providerColumns); err != nil {
			return outside{}, err
		}
	}
	if p.sites {
		if o.sites, err = readKinds(ctx, r, "care_site", siteColumns); err != nil {
			return outside{}, err
		}
	}
	if comparable {
		c.from, c.held = r, o
	}
	return o, nil
}

func readKinds(ctx context.Context, r Reader, table string, columns []string) (kinds, error) {
	out := kinds{}
	return out, read(ctx, r, ingest.Unbucketed, warehouse.Want{Table: table, Columns: columns}, func(b arrow.RecordBatch) error {
		id, err1 := columnOf[*array.Int64](b, 0)
		kind, err2 := columnOf[*array.Int64](b, 1)
		if err := firstError(err1, err2); err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			switch {
			case id.IsNull(i):
			case kind.IsNull(i):
				out[id.Value(i)] = NoConcept
			default:
				out[id.Value(i)] = kind.Value(i)
			}
		}
		return nil
	})
}

// visits are the kinds of the visits of a bucket, by person and id. The memory is
// used again for the next bucket.
type visits struct {
	list  []visit
	first []int32 // where each person's begin; one more at the end

	read []visitOf
}

// visit is a visit's kind, NoConcept if there is none.
type visit struct{ id, kind int64 }

type visitOf struct {
	person int32
	visit
}

// load reads all visits of the persons of a bucket.
func (v *visits) load(ctx context.Context, r Reader, bucket int, people *People) error {
	v.read = v.read[:0]
	err := read(ctx, r, bucket, warehouse.Want{Table: "visit_occurrence", Columns: visitColumns, Persons: people.few}, func(b arrow.RecordBatch) error {
		person, err1 := columnOf[*array.Int64](b, 0)
		id, err2 := columnOf[*array.Int64](b, 1)
		kind, err3 := columnOf[*array.Int64](b, 2)
		if err := firstError(err1, err2, err3); err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			at := people.Find(person.Value(i))
			if at < 0 || person.IsNull(i) || id.IsNull(i) {
				continue
			}
			x := visitOf{int32(at), visit{id.Value(i), NoConcept}}
			if !kind.IsNull(i) {
				x.kind = kind.Value(i)
			}
			v.read = append(v.read, x)
		}
		return nil
	})
	v.sort(len(people.ID))
	return err
}

// sort puts them in order: by person (a counting sort), then id.
func (v *visits) sort(persons int) {
	v.first = resized(v.first, persons+2)
	clear(v.first)
	for i := range v.read {
		v.first[v.read[i].person+2]++
	}
	for i := range persons {
		v.first[i+2] += v.first[i+1]
	}
	v.list = resized(v.list, len(v.read))
	for i := range v.read {
		at := &v.first[v.read[i].person+1]
		v.list[*at] = v.read[i].visit
		*at++
	}
	v.first = v.first[:persons+1]
	for p := range persons {
		slices.SortFunc(v.list[v.first[p]:v.first[p+1]], func(a, b visit) int { return inOrder(a.id, b.id, a.kind, b.kind) })
	}
}

// kind gives the kind of a person's visit, and whether there is one of that id.
func (v *visits) kind(person int, id int64) (int64, bool) {
	mine := v.list[v.first[person]:v.first[person+1]]
	at, there := slices.BinarySearchFunc(mine, id, func(x visit, id int64) int { return cmp.Compare(x.id, id) })
	if !there || id == NoConcept {
		return 0, false
	}
	return mine[at].kind, true
}
