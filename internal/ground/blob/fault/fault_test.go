package fault_test

import (
	"fmt"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
	"github.com/havre-hub/havre/internal/ground/blob/fault"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/havre"
)

func folder(t testing.TB) blob.Store {
	t.Helper()
	s, err := file.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWithoutFaultsItIsAStore(t *testing.T) {
	s := folder(t)
	blobtest.Run(t, 0, func(testing.TB) blob.Store { return fault.Wrap(s) })
}

func TestEffects(t *testing.T) {
	const data = "0123456789"
	for _, c := range []struct {
		do         fault.Effect
		put        havre.Kind
		stored     bool
		get        havre.Kind
		read       string
		stat, list havre.Kind
		listed     int
		del        havre.Kind
		deleted    bool
	}{
		{fault.FailBefore, havre.StoreUnavailable, false, havre.StoreUnavailable, "", havre.StoreUnavailable, havre.StoreUnavailable, 0, havre.StoreUnavailable, false},
		{fault.FailAfter, havre.StoreUnavailable, true, havre.StoreUnavailable, "", havre.StoreUnavailable, havre.StoreUnavailable, 1, havre.StoreUnavailable, true},
		{fault.Full, havre.NoSpace, false, havre.NoSpace, "", havre.NoSpace, havre.NoSpace, 0, havre.NoSpace, false},
		{fault.Corrupt, "", true, "", "012344" + "6789", "", "", 1, "", true},
		{fault.Short, "", true, "", "012345678", "", "", 1, "", true},
	} {
		t.Run(string(c.do), func(t *testing.T) {
			ctx := t.Context()
			inner := folder(t)
			s := fault.Wrap(inner, fault.Fault{Do: c.do})
			there := func() bool { _, err := inner.Stat(ctx, "a"); return err == nil }
			kind := func(op string, err error, want havre.Kind) {
				if havre.KindOf(err) != want {
					t.Errorf("%s: error %v, want kind %q", op, err, want)
				}
			}
			kind("put", s.Put(ctx, "a", []byte(data)), c.put)
			if there() != c.stored {
				t.Errorf("stored: %t", there())
			}
			if err := blob.PutSame(ctx, inner, "a", []byte(data)); err != nil {
				t.Fatal(err)
			}
			got, err := s.Get(ctx, "a", 0, -1)
			kind("get", err, c.get)
			if string(got) != c.read {
				t.Errorf("read %q, want %q", got, c.read)
			}
			_, err = s.Stat(ctx, "a")
			kind("stat", err, c.stat)
			listed := 0
			var listErr error
			for _, err := range s.List(ctx, "") {
				if err != nil {
					listErr = err
				} else {
					listed++
				}
			}
			kind("list", listErr, c.list)
			if listed != c.listed {
				t.Errorf("%d listed, want %d", listed, c.listed)
			}
			kind("delete", s.Delete(ctx, "a"), c.del)
			if there() == c.deleted {
				t.Errorf("there after Delete: %t", there())
			}
		})
	}
}

func TestCounting(t *testing.T) {
	for _, c := range []struct {
		fault fault.Fault
		want  string // of six Puts, with a Stat before each: f fails
	}{
		{fault.Fault{Op: fault.Put, Nth: 3}, "..f..."},
		{fault.Fault{Op: fault.Put, Nth: 3, Onward: true}, "..ffff"},
		{fault.Fault{Op: fault.Put}, "ffffff"},
		{fault.Fault{Op: fault.Any, Nth: 4}, ".f...."},
		{fault.Fault{Op: fault.Put, Prefix: "odd/", Nth: 2}, "...f.."},
		{fault.Fault{Op: fault.Get, Nth: 1}, "......"},
	} {
		c.fault.Do = fault.FailBefore
		s := fault.Wrap(folder(t), c.fault)
		got := ""
		for i := range 6 {
			name := fmt.Sprintf("%s/%d", []string{"even", "odd"}[i%2], i)
			_, _ = s.Stat(t.Context(), name) // counted
			if err := s.Put(t.Context(), name, nil); err != nil {
				got += "f"
			} else {
				got += "."
			}
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.fault, got, c.want)
		}
		if s.Count(fault.Put) != 6 || s.Count(fault.Stat) != 6 || s.Count(fault.Any) != 12 {
			t.Errorf("counted %d, %d, %d", s.Count(fault.Put), s.Count(fault.Stat), s.Count(fault.Any))
		}
	}
}

// PutSame mends a lost answer.
func TestPutSameAfterLostAnswer(t *testing.T) {
	s := fault.Wrap(folder(t), fault.Fault{Op: fault.Put, Nth: 1, Do: fault.FailAfter})
	if err := blob.PutSame(t.Context(), s, "a", []byte("x")); havre.KindOf(err) != havre.StoreUnavailable {
		t.Errorf("lost answer: %v", err)
	}
	if err := blob.PutSame(t.Context(), s, "a", []byte("x")); err != nil {
		t.Errorf("written again: %v", err)
	}
	if err := blob.PutSame(t.Context(), s, "a", []byte("y")); havre.KindOf(err) != havre.Exists {
		t.Errorf("other bytes: %v", err)
	}
}
