package analysis

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

func randomTally(r *rand.Rand) *tally {
	t := newTally(2, 1)
	for range r.IntN(6) {
		n := t.at(fmt.Sprintf("a%d%s%d", r.IntN(3), keySeparator, r.IntN(3)))
		n.add(&numbers{[]int64{r.Int64N(1 << 40), r.Int64N(9)}, []int64{r.Int64N(100)}})
	}
	return t
}

func clone(t *testing.T, x *tally) *tally {
	t.Helper()
	b, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	c, err := decodeTally(b, 2, 2, 1)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return c
}

func merge(t *testing.T, a, b *tally) *tally {
	t.Helper()
	m, err := clone(t, a).Merge(clone(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*tally)
}

// TestMergeLaws: merging is associative and commutative, to the byte.
func TestMergeLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	same := func(law string, a, b *tally) {
		x, _ := a.Encode()
		y, _ := b.Encode()
		if !bytes.Equal(x, y) {
			t.Fatalf("not %s:\n%s\n%s", law, x, y)
		}
	}
	for range 500 {
		a, b, c := randomTally(r), randomTally(r), randomTally(r)
		same("commutative", merge(t, a, b), merge(t, b, a))
		same("associative", merge(t, merge(t, a, b), c), merge(t, a, merge(t, b, c)))
		same("neutral to nothing", merge(t, a, newTally(2, 1)), a)
	}
	if _, err := newTally(2, 1).Merge(newTally(1, 1)); havre.KindOf(err) != havre.Internal {
		t.Errorf("tallies of two analyses merged: %v", err)
	}
	huge := newTally(1, 0)
	huge.at("x").sum[0] = limit + 1
	if _, err := huge.Encode(); err == nil {
		t.Error("a number that JSON cannot hold was written")
	}
}

// decoded reads a partial result as a fuzzer made it: what is refused is Invalid
// (nil is given), and what is read is written again to the byte.
func decoded(t *testing.T, a interface {
	Decode([]byte) (study.Partial, error)
}, data []byte) study.Partial {
	t.Helper()
	p, err := a.Decode(data)
	if err != nil {
		if havre.KindOf(err) != havre.Invalid {
			t.Errorf("kind %q", havre.KindOf(err))
		}
		return nil
	}
	if again, err := p.Encode(); err != nil || string(again) != string(data) {
		t.Errorf("%q was read and is written %q", data, again)
	}
	return p
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 5 {
		b, _ := randomTally(r).Encode()
		f.Add(b)
	}
	f.Add([]byte(`[{"key":["a","b"],"max":[1],"sum":[1,2]},{"key":["a","b"],"max":[1],"sum":[1,2]}]`))
	f.Add([]byte(`[{"key":["a","b"],"max":[1],"sum":[1,-2]}]`))
	f.Add([]byte("[]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := decodeTally(data, 2, 2, 1)
		if err != nil {
			if havre.KindOf(err) != havre.Invalid {
				t.Errorf("kind %q", havre.KindOf(err))
			}
			return
		}
		if again, err := x.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q was read and is written %q", data, again)
		}
	})
}
