package host

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/strict"
)

// State says what the hub as a whole may do.
type State string

// The states.
const (
	Open      State = "open"      // reads and writes
	ReadOnly  State = "read_only" // a placement holds no more: nothing new comes in
	Suspended State = "suspended" // an authority stopped the hub: nothing is read or written
)

// Order stops the hub, or lets it go on.
type Order struct {
	Head
	State     State  `json:"state"`     // suspended, or open
	Authority string `json:"authority"` // the court or body that decided
	Reference string `json:"reference"` // of its decision
	Reason    string `json:"reason"`
}

// Standing is where the hub stands at an instant.
type Standing struct {
	At     time.Time `json:"at"`
	State  State     `json:"state"`
	Order  *Order    `json:"order,omitempty"` // the newest
	Stands []Stand   `json:"stands"`          // roles that are on record
	Why    string    `json:"why,omitempty"`   // if not open
}

// Standing reads everything that counts now.
func (o *Office) Standing(ctx context.Context) (Standing, error) {
	now := o.Now()
	s := Standing{At: now, State: Open, Stands: []Stand{}}
	placed, err := o.placed(ctx)
	if err != nil {
		return s, err
	}
	derogations, err := o.Derogations(ctx)
	if err != nil {
		return s, err
	}
	s.Stands = append(s.Stands, stands(placed, derogations, now)...)
	if err := o.writable(s.Stands, now); err != nil {
		s.State, s.Why = ReadOnly, err.Error()
	}
	order, err := o.lastOrder(ctx)
	if err != nil {
		return s, err
	}
	if order != nil {
		s.Order = &order.Doc
		if order.Doc.State != Open {
			s.State, s.Why = Suspended, suspended(order.Doc).Error()
		}
	}
	return s, nil
}

// Alarms says, one sentence each, what the ends of the derogations that the hub
// rests on have made due: the end itself from half a year before, and a
// rehearsal of leaving that is late. drilled is when the last one ended, zero
// if there was none; then it is counted from the placement on.
func (s Standing) Alarms(drilled time.Time) []string {
	var all []string
	for _, x := range s.Stands {
		d := x.Derogation
		if d == nil || !d.Live(s.At) {
			continue
		}
		c := d.ClockOf(s.At)
		if c.Alarm {
			all = append(all, fmt.Sprintf("%s data may lie on %s (%s) by the derogation %s of %s for %s more; notice to the host is due by %s, and from %s nothing is written any more",
				x.Data, x.Host.Name, x.Role, d.ID, d.Authority, plural(c.Days, "day", "days"), c.NoticeBy, c.ReadOnly))
		}
		last := drilled
		if last.Before(x.Since) {
			last = x.Since
		}
		if due := strict.DateOf(last).AddDate(0, 0, c.DrillEvery); due.Days(s.At) < 0 {
			all = append(all, fmt.Sprintf("leaving %s was to be rehearsed by %s, every %d days at this time before the end of %s: havre drill", x.Host.Name, due, c.DrillEvery, d.ID))
		}
	}
	return all
}

// Readable is nil, or an error of kind PermitDenied while the hub is
// suspended. Permits ask it before each read, so an order acts on the next
// read of every run, given by this process or another. If it cannot be told
// whether the hub is suspended, nothing is read.
func (o *Office) Readable(ctx context.Context) error {
	order, err := o.lastOrder(ctx)
	if err != nil || order == nil {
		return err
	}
	if order.LogIndex < 0 && o.Log != nil {
		if err := o.LogOrders(ctx); err != nil {
			return err
		}
	}
	if order.Doc.State != Open {
		return suspended(order.Doc)
	}
	return nil
}

// Writable is nil, or says why nothing new may come in (kind PermitDenied):
// the hub is suspended, or a placement rests neither on the criteria nor on a
// derogation any more.
func (o *Office) Writable(ctx context.Context) error {
	if err := o.Readable(ctx); err != nil {
		return err
	}
	now := o.Now()
	if err := o.DB.CheckClock(ctx, now); err != nil {
		return err
	}
	placed, err := o.placed(ctx)
	if err != nil {
		return err
	}
	derogations, err := o.Derogations(ctx)
	if err != nil {
		return err
	}
	return o.writable(stands(placed, derogations, now), now)
}

func (o *Office) writable(all []Stand, now time.Time) error {
	for _, s := range all {
		if s.By != "" {
			continue
		}
		why := "its certificates or facts no longer hold"
		if s.Derogation != nil && !s.Derogation.Live(now) {
			why = "the derogation " + s.Derogation.ID + " ended on " + s.Derogation.Until.String() + " (" + plural(-s.Derogation.Until.Days(now), "day", "days") + " ago)"
		}
		return havre.E("host", havre.PermitDenied, "the hub is read-only: "+string(s.Data)+" data lie on "+s.Host.Name+" ("+string(s.Role)+"), and "+why).
			WithHint("move to a host where the criteria hold (havre move), or put a new derogation on record (havre host derogation add)")
	}
	return nil
}

func suspended(o Order) error {
	return havre.E("host", havre.PermitDenied, "the hub is suspended since "+o.At.UTC().Format(time.RFC3339)+" by order of "+o.Authority+" ("+o.Reference+"): nothing is read or written").
		WithHint("nobody at the hub can make an exception; a permit officer lets it go on when the order is lifted: havre host resume")
}

// Suspend stops the hub by order of an authority. It acts first and is logged
// second: the order holds from its commit on, in every process, even while
// another one works on the hub and holds the log; whoever holds the log next
// writes its entry. Suspending again replaces the grounds.
func (o *Office) Suspend(ctx context.Context, order Order, by havre.Personal[string]) (Order, error) {
	order.State = Suspended
	return o.give(ctx, order, by)
}

// Resume lets the hub go on. It needs the log.
func (o *Office) Resume(ctx context.Context, order Order, by havre.Personal[string]) (Order, error) {
	last, err := o.lastOrder(ctx)
	if err != nil {
		return Order{}, err
	}
	if last == nil || last.Doc.State == Open {
		return Order{}, havre.E("host.resume", havre.Refused, "the hub is not suspended")
	}
	if o.Log == nil {
		return Order{}, havre.E("host.resume", havre.Locked, "another process works on the hub").WithHint("stop it, then resume")
	}
	order.State = Open
	return o.give(ctx, order, by)
}

func (o *Office) give(ctx context.Context, order Order, by havre.Personal[string]) (Order, error) {
	for _, need := range []struct{ name, value string }{{"authority", order.Authority}, {"reference", order.Reference}} {
		if strings.TrimSpace(need.value) == "" || len(need.value) > 1000 {
			return Order{}, havre.E("host.order", havre.Invalid, "an order needs its "+need.name+", in at most 1000 characters")
		}
	}
	if len(order.Reason) > 4000 {
		return Order{}, havre.E("host.order", havre.Invalid, "the reason has more than 4000 characters")
	}
	o.deciding.Lock()
	defer o.deciding.Unlock()
	head, err := o.next(ctx, kindOrder)
	if err != nil {
		return Order{}, err
	}
	order.Head = head
	if order.State == Open {
		if err := o.logOrders(ctx); err != nil { // what it lifts stands in the log before it
			return Order{}, err
		}
		_, err = o.keep(ctx, order, logged(order, by))
		return order, err
	}
	signed, err := sign.Sign(payloadType(kindOrder), order, o.Signer)
	if err != nil {
		return Order{}, err
	}
	if err := o.insert(ctx, head, signed, by, -1); err != nil {
		return Order{}, err
	}
	if o.Log != nil {
		err = o.logOrders(ctx)
	}
	return order, err
}

func logged(o Order, by havre.Personal[string]) decision {
	action := "hub.suspended"
	if o.State == Open {
		action = "hub.resumed"
	}
	return decision{action, o.Hub, map[string]string{"authority": o.Authority, "reference": o.Reference, "since": o.At.UTC().Format(time.RFC3339)}, by}
}

// LogOrders writes the entries of orders that were given while this process
// did not hold the log.
func (o *Office) LogOrders(ctx context.Context) error {
	o.deciding.Lock()
	defer o.deciding.Unlock()
	return o.logOrders(ctx)
}

func (o *Office) logOrders(ctx context.Context) error {
	kept, err := load[Order](ctx, o, kindOrder)
	if err != nil {
		return err
	}
	for _, k := range kept {
		if k.LogIndex >= 0 {
			continue
		}
		var actor string
		if err := o.DB.DB().QueryRowContext(ctx, "SELECT actor FROM host_document WHERE kind = ? AND number = ?", kindOrder, k.Doc.Number).Scan(&actor); err != nil {
			return meta.Fail("host.order", "the order cannot be read", err)
		}
		pos, err := o.record(ctx, logged(k.Doc, havre.NewPersonal(actor)), k.Signed)
		if err != nil {
			return err
		}
		if _, err := o.DB.DB().ExecContext(ctx, "UPDATE host_document SET log_index = ? WHERE kind = ? AND number = ?", pos, kindOrder, k.Doc.Number); err != nil {
			return meta.Fail("host.order", "the order's place in the log cannot be written", err)
		}
	}
	return nil
}

// verifiedOrder spares checking the signature of the very same bytes at each read.
type verifiedOrder struct {
	signed []byte
	doc    Order
}

// lastOrder gives the newest order, nil if there was never one.
func (o *Office) lastOrder(ctx context.Context) (*Kept[Order], error) {
	var number int
	var signed []byte
	var index sql.NullInt64
	err := o.DB.DB().QueryRowContext(ctx, "SELECT number, signed, log_index FROM host_document WHERE kind = ? ORDER BY number DESC LIMIT 1", kindOrder).
		Scan(&number, &signed, &index)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, meta.Fail("host.order", "whether the hub is suspended cannot be read", err)
	}
	o.mu.Lock()
	known := o.order
	o.mu.Unlock()
	if bytes.Equal(known.signed, signed) && known.doc.Number == number {
		k := Kept[Order]{Doc: known.doc, Signed: signed, LogIndex: -1}
		if index.Valid {
			k.LogIndex = index.Int64
		}
		return &k, nil
	}
	k, err := verify[Order](o, kindOrder, number, signed, index)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	o.order = verifiedOrder{signed, k.Doc}
	o.mu.Unlock()
	return &k, nil
}
