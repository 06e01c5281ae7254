package cohort

import (
	"reflect"
	"testing"
)

// FuzzKept: whatever lies on the shelf, it is read or refused; what is read can
// be written and read again.
func FuzzKept(f *testing.F) {
	k := &kept{
		states: []*keptState{{Cut: "..", Segments: map[string][]string{"death": {"a", "b"}, "person": nil}, persons: []int64{-5, 7, 1 << 62}}, {Cut: "2008-01-01.."}},
		cohorts: []*keptCohort{
			{Key: "k", Counted: true, person: []int64{7, 7}, start: []int32{-1, 40}, end: []int32{3, 41}, counts: []keptCount{{7, count{met: 1 << 63, events: 2, best: true}}, {7, count{}}}},
			{Key: "l", State: 1},
		},
	}
	data, err := k.encode("1")
	if err != nil {
		f.Fatal(err)
	}
	again, err := decodeKept(data, "1")
	if err != nil || !reflect.DeepEqual(again, k) {
		f.Fatalf("%+v, %v", again, err)
	}
	if other, err := decodeKept(data, "2"); err != nil || len(other.cohorts) > 0 {
		f.Fatalf("of another program: %+v, %v", other, err)
	}
	f.Add(data)
	f.Add(data[:len(data)-9])
	f.Add([]byte("PAR1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := decodeKept(data, "1")
		if err != nil {
			return
		}
		written, err := k.encode("1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeKept(written, "1"); err != nil {
			t.Fatal(err)
		}
	})
}
