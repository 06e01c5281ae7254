package cohort

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// answers evaluates a plan in full, bucket by bucket.
func answers(t testing.TB, p *Plan, v *permit.View, attrition bool) (out []*Result) {
	t.Helper()
	for b := range v.Buckets() {
		res, err := p.evaluate(context.Background(), v, b, attrition)
		ok(t, err)
		res.counts = nil
		out = append(out, res)
	}
	return out
}

// sameAnswer compares results to the last bit.
func sameAnswer(t testing.TB, got, want *Result) {
	t.Helper()
	if !slices.Equal(got.People.ID, want.People.ID) || !reflect.DeepEqual(got.People.Gender, want.People.Gender) {
		t.Fatalf("people %v, want %v", got.People.ID, want.People.ID)
	}
	for i := range want.Cohorts {
		g, w := &got.Cohorts[i], &want.Cohorts[i]
		if !slices.Equal(g.Person, w.Person) || !slices.Equal(g.Start, w.Start) || !slices.Equal(g.End, w.End) {
			t.Fatalf("cohort %d: %v, want %v", i, *g, *w)
		}
	}
	if !reflect.DeepEqual(got.Attrition, want.Attrition) {
		t.Fatalf("attrition %v, want %v", got.Attrition, want.Attrition)
	}
}

// TestKeptMembers: whatever is delivered, opted out, amended or changed in the
// study between two runs, what a keeper answers is what a full evaluation does.
func TestKeptMembers(t *testing.T) {
	taken, filled := 0, 0
	for round := range max(*rounds/30, 1) {
		r := rand.New(rand.NewPCG(uint64(round), 77))
		a := author{r}
		w := newHubWorld(t, r)
		var all []*Definition
		for range 12 {
			d, err := Parse([]byte(a.definition()))
			ok(t, err)
			all = append(all, d)
		}
		w.apply(all)
		w.deliver(0, 1, 2, 3, 4, 5)
		shelf := &memoryShelf{}
		study, attrition, out := all[:6], false, map[int]bool{}
		for step := range 14 {
			touched := len(worldPeople) // no more than so many can be evaluated
			what := r.IntN(10)
			switch what {
			case 0, 1:
				some := r.Perm(len(worldPeople))[:1+r.IntN(2)]
				w.deliver(some...)
				touched = len(some)
			case 2:
				n := r.IntN(len(worldPeople))
				w.optOut(!out[n], n)
				out[n] = !out[n]
				touched = 1
			case 3:
				w.amend([]record.Period{{}, {From: "2008-03-05"}, {From: "2008-02-20", To: "2008-06-01"}}[r.IntN(3)])
			case 4:
				w.vocabulary()
			case 5:
				from := r.IntN(len(all) - 4)
				study = all[from : from+4]
			case 6:
				attrition = !attrition
			case 7:
				shelf.broken = step > 0
			default:
				touched = 0
			}
			v := w.view()
			vocabulary := studytest.NewVocabulary(w.tables)
			compile := func() *Plan {
				p, err := Compile(t.Context(), vocabulary, study, true)
				ok(t, err)
				return p
			}
			want := answers(t, compile(), v, attrition)
			k := compile().Keep(v, shelf, "1", vocabulary)
			puts := shelf.puts
			for b := range want {
				got, err := k.Evaluate(t.Context(), b, attrition)
				ok(t, err)
				sameAnswer(t, got, want[b])
				for i := range got.Cohorts {
					filled += len(got.Cohorts[i].Person)
				}
			}
			said := k.TakenOver()
			if step == 0 {
				continue
			}
			providers := what < 2 && k.plan.providers || k.plan.sites
			if said.Again > int64(touched) && !(what < 2 && providers) {
				t.Fatalf("round %d, step %d, kind %d: %d persons were evaluated of %d who changed", round, step, what, said.Again, touched)
			}
			if touched == 0 && (shelf.puts > puts || said.Evaluated > 0) {
				t.Fatalf("round %d, step %d: nothing changed, and %d cohorts were evaluated", round, step, said.Evaluated)
			}
			if broken := shelf.broken; broken {
				shelf.broken = false
				if said.Damaged == 0 || said.Again != said.Persons {
					t.Fatalf("round %d: damaged members were believed: %+v", round, said)
				}
			}
			taken += int(said.Persons - said.Again)
		}
	}
	if taken == 0 || filled == 0 {
		t.Errorf("%d persons were taken over, %d periods found", taken, filled)
	}
	t.Logf("%d persons taken over, %d periods", taken, filled)
}
