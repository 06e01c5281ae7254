package move

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/fault"
	"github.com/havre-hub/havre/internal/havre"
)

// TestFaults: whatever a store does, on either side and at any operation, the
// move either goes on by itself or stops with an error that says what to do,
// the hub works at one of the two stores, and repeating the commands ends with
// equal roots and a dead old copy.
func TestFaults(t *testing.T) {
	const often = -1 // every 9th operation, for the whole first try
	for name, tc := range map[string]struct {
		at    string // "from", "to"
		fault fault.Fault
		kinds []havre.Kind // that the first try may end with
	}{
		"old store away at the listing":           {"from", fault.Fault{Op: fault.List, Do: fault.FailAfter, Nth: 3}, unavailable},
		"old store away":                          {"from", fault.Fault{Op: fault.Get, Do: fault.FailBefore, Nth: 40, Onward: true}, unavailable},
		"old store alters bytes once":             {"from", fault.Fault{Op: fault.Get, Prefix: "segment/", Do: fault.Corrupt, Nth: 30}, none},
		"old store shortens once":                 {"from", fault.Fault{Op: fault.Get, Prefix: "segment/", Do: fault.Short, Nth: 30}, none},
		"old store alters what has no hash, once": {"from", fault.Fault{Op: fault.Get, Prefix: "delivery/", Do: fault.Corrupt, Nth: 5}, none},
		"old store shortens what has no hash":     {"from", fault.Fault{Op: fault.Get, Prefix: "delivery/", Do: fault.Short, Nth: 5}, none},
		"old store refuses to delete":             {"from", fault.Fault{Op: fault.Delete, Do: fault.FailBefore, Nth: 10, Onward: true}, unavailable},
		"old store loses answers to deletes":      {"from", fault.Fault{Op: fault.Delete, Do: fault.FailAfter, Nth: 10, Onward: true}, unavailable},
		"new store full":                          {"to", fault.Fault{Op: fault.Put, Do: fault.Full, Nth: 40, Onward: true}, full},
		"new store full at once":                  {"to", fault.Fault{Op: fault.Put, Do: fault.Full, Nth: 1, Onward: true}, full},
		"new store away":                          {"to", fault.Fault{Op: fault.Put, Do: fault.FailBefore, Nth: 40, Onward: true}, unavailable},
		"new store stored and lost the answer":    {"to", fault.Fault{Op: fault.Put, Do: fault.FailAfter, Nth: 40, Onward: true}, unavailable},
		"new store cannot be read back":           {"to", fault.Fault{Op: fault.Get, Do: fault.FailBefore, Nth: 50, Onward: true}, unavailable},
		"new store alters bytes once":             {"to", fault.Fault{Op: fault.Get, Prefix: "segment/", Do: fault.Corrupt, Nth: 20}, none},
		"new store shortens once":                 {"to", fault.Fault{Op: fault.Get, Prefix: "delivery/", Do: fault.Short, Nth: 5}, none},
		"new store alters while it is verified":   {"to", fault.Fault{Op: fault.Get, Prefix: "segment/", Do: fault.Corrupt, Nth: 70}, none},
		"new store flaky":                         {"to", fault.Fault{Op: fault.Any, Do: fault.FailAfter, Nth: often}, unavailable},
		"old store flaky":                         {"from", fault.Fault{Op: fault.Any, Do: fault.FailAfter, Nth: often}, unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var faults []fault.Fault
			if tc.fault.Nth == often {
				for n := 9; n < 600; n += 9 {
					f := tc.fault
					f.Nth = n
					faults = append(faults, f)
				}
			} else {
				faults = []fault.Fault{tc.fault}
			}
			from, to := folder(t), folder(t)
			var mu sync.Mutex
			var armed blob.Store // one wrapper for the whole first try: opening again counts on
			broken := true
			h := newHub(t, from, 60, func(h *hub) {
				h.lines = true
				h.wrap = func(url string, s blob.Store) blob.Store {
					mu.Lock()
					defer mu.Unlock()
					if !broken || (url == from) != (tc.at == "from") {
						return s
					}
					if armed == nil {
						armed = fault.Wrap(s, faults...)
					}
					return armed
				}
			})
			want := objects(t, h, from)
			for tries := 0; ; tries++ {
				if tries == 200 {
					t.Fatal("the move does not end")
				}
				over, err := advance(t.Context(), h, to)
				if over {
					break
				}
				if err == nil {
					continue
				}
				if !contains(tc.kinds, havre.KindOf(err)) {
					t.Fatalf("the first try ended with %v (%s)", err, havre.KindOf(err))
				}
				// The hub works: at one of the stores, with everything.
				at, rerr := h.Store()
				must(t, rerr)
				if st, serr := h.Mover.Status(t.Context()); serr != nil || st.State != Finishing {
					got := objects(t, h, at)
					for name, b := range want {
						if got[name] != b {
							t.Errorf("after %v the hub has %q for %s", err, got[name], name)
						}
					}
				}
				mu.Lock()
				broken = tc.fault.Nth == often
				mu.Unlock()
				h.close()
				h.open(t) // as after the process died of it
			}
			same(t, h, to, want)
			dead(t, h, from)
			if r := report(t, h); r.Root != r.RootBack {
				t.Errorf("roots %s and %s", r.Root, r.RootBack)
			}
		})
	}
}

var (
	none        []havre.Kind
	unavailable = []havre.Kind{havre.StoreUnavailable}
	full        = []havre.Kind{havre.NoSpace}
)

func contains(kinds []havre.Kind, k havre.Kind) bool {
	for _, x := range kinds {
		if x == k {
			return true
		}
	}
	return false
}

// TestStoreThatKeepsLying: the move stops, names the object, the hub is as it
// was, and the copy can be taken back.
func TestStoreThatKeepsLying(t *testing.T) {
	for name, tc := range map[string]struct {
		at  string
		lie func(blob.Store) blob.Store
	}{
		"new store alters": {"to", func(s blob.Store) blob.Store {
			return fault.Wrap(s, fault.Fault{Op: fault.Get, Prefix: "segment/", Do: fault.Corrupt})
		}},
		"new store cuts": {"to", func(s blob.Store) blob.Store {
			return fault.Wrap(s, fault.Fault{Op: fault.Get, Prefix: "delivery/", Do: fault.Short})
		}},
		"new store forgets": {"to", func(s blob.Store) blob.Store { return forgetful{s} }},
		"old store alters": {"from", func(s blob.Store) blob.Store {
			return fault.Wrap(s, fault.Fault{Op: fault.Get, Prefix: "segment/", Do: fault.Corrupt})
		}},
		"old store cuts": {"from", func(s blob.Store) blob.Store {
			return fault.Wrap(s, fault.Fault{Op: fault.Get, Prefix: "delivery/", Do: fault.Short})
		}},
		// It lies the same way each time about what no hash protects: the hub's keys see it.
		"old store gives another snapshot": {"from", func(s blob.Store) blob.Store {
			return fault.Wrap(s, fault.Fault{Op: fault.Get, Prefix: "snapshot/", Do: fault.Short})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := folder(t), folder(t)
			lying := true
			h := newHub(t, from, 24, func(h *hub) {
				h.lines = true
				h.wrap = func(url string, s blob.Store) blob.Store {
					if lying && (url == from) == (tc.at == "from") {
						return tc.lie(s)
					}
					return s
				}
			})
			want := objects(t, h, from)
			_, err := advance(t.Context(), h, to)
			must(t, err)
			_, err = advance(t.Context(), h, to)
			if havre.KindOf(err) != havre.Tampered || havre.HintOf(err) == "" {
				t.Fatalf("run ended with %v, hint %q", err, havre.HintOf(err))
			}
			if at, _ := h.Store(); at != from {
				t.Errorf("the hub went to %s", at)
			}
			if tc.at == "from" {
				lying = false
				h.close()
				h.open(t)
			}
			_, err = h.Mover.Back(t.Context(), Pace{}, false)
			must(t, err)
			lying = false
			h.close()
			h.open(t)
			same(t, h, from, want)
			dead(t, h, to)
			whole(t, h, to)
			same(t, h, to, want)
		})
	}
}

// forgetful takes an object and does not have it.
type forgetful struct{ blob.Store }

func (f forgetful) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if strings.HasPrefix(name, "segment/") {
		return nil, havre.E("blob.get", havre.NotFound, "object "+name+" does not exist")
	}
	return f.Store.Get(ctx, name, off, n)
}

// stale gives the bytes that an object had before it was written anew, once.
type stale struct {
	blob.Store
	mu  sync.Mutex
	old map[string][]byte
}

func (s *stale) Delete(ctx context.Context, name string) error {
	if b, err := blob.GetAll(ctx, s.Store, name); err == nil {
		s.mu.Lock()
		s.old[name] = b
		s.mu.Unlock()
	}
	return s.Store.Delete(ctx, name)
}

func (s *stale) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	s.mu.Lock()
	b, ok := s.old[name]
	delete(s.old, name)
	s.mu.Unlock()
	if ok && n < 0 && off == 0 {
		return b, nil
	}
	return s.Store.Get(ctx, name, off, n)
}

// TestOldBytes: both stores give what an object was before the hub wrote it
// anew, in the middle of the move.
func TestOldBytes(t *testing.T) {
	from, to := folder(t), folder(t)
	stores := map[string]blob.Store{}
	h := newHub(t, from, 24, func(h *hub) {
		h.lines = true
		h.wrap = func(url string, s blob.Store) blob.Store {
			if stores[url] == nil {
				stores[url] = &stale{Store: s, old: map[string][]byte{}}
			}
			return stores[url]
		}
	})
	want := objects(t, h, from)
	name, _ := content(3, 0)
	write := func(what string) {
		must(t, h.Live.Delete(t.Context(), name))
		must(t, h.Live.Put(t.Context(), name, []byte(what)))
		want[name] = what
	}
	_, err := advance(t.Context(), h, to)
	must(t, err)
	h.Mover.c.Progress = steps{onStep{"copy", func() { write("new while it is copied") }}, onStep{"read back from the new store", func() { write("and once more, while it is read back") }}}
	whole(t, h, to)
	same(t, h, to, want)
	dead(t, h, from)
}

// steps gives each step to several.
type steps []onStep

func (s steps) Step(name string, total int64, unit string) havre.Counter {
	for _, o := range s {
		o.Step(name, total, unit)
	}
	return havre.NoProgress.Step(name, 0, "")
}
