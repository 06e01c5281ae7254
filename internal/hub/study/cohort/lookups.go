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

// visit is a visit's kind.
type visit struct {
	person int32
	id     int64
	kind   int64 // NoConcept if there is none
}

// loadVisits reads the kinds of all visits of a bucket, by person and id.
func loadVisits(ctx context.Context, r Reader, bucket int, people *People) ([]visit, error) {
	var out []visit
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
			v := visit{int32(at), id.Value(i), NoConcept}
			if !kind.IsNull(i) {
				v.kind = kind.Value(i)
			}
			out = append(out, v)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b visit) int { return cmp.Or(compareVisits(a, b), cmp.Compare(a.kind, b.kind)) })
	return out, err
}

func compareVisits(a, b visit) int {
	return firstOrder(int64(a.person), int64(b.person), a.id, b.id)
}
