package permit

import (
	"context"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// TestSuspendedHub: while the whole hub is suspended no permit is in force, and
// a view that was open before stops at its next read; who is no stranger is
// told the order, a stranger learns no more of the permit than ever.
func TestSuspendedHub(t *testing.T) {
	w := newWorld(t)
	var order error
	w.config.Standing = func(context.Context) error { return order }
	w.a = w.open()
	id := w.granted(nil)
	v := w.view(id)
	want := warehouse.Want{Table: "person", Columns: []string{"person_id", "gender_concept_id"}}
	read := func() error {
		batches, err := v.Read(t.Context(), 0, want)
		for _, b := range batches {
			b.Release()
		}
		return err
	}
	must(t, read())
	order = havre.E("host", havre.PermitDenied, "the hub is suspended by order of a court")
	for what, err := range map[string]error{
		"a read of an open view": read(),
		"a new view":             second(w.a.Restrict(t.Context(), id, ana, w.snap)),
		"the permit":             func() error { _, _, err := w.a.InForce(t.Context(), id); return err }(),
	} {
		if err == nil || err.Error() != order.Error() {
			t.Errorf("%s: %v, want the order", what, err)
		}
	}
	_, err := w.a.Restrict(t.Context(), id, ben, w.snap)
	if err == nil || err.Error() != "there is no permit "+id+" for this account" {
		t.Errorf("a stranger is told %v", err)
	}
	order = havre.E("host", havre.Tampered, "it cannot be told whether the hub is suspended")
	wantKind(t, "an order that cannot be read", read(), havre.Tampered)
	order = nil
	must(t, read())
}

func second[T any](_ T, err error) error { return err }
