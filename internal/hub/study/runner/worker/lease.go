package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// How long a lease lets workers read, how often the hub renews it, how old what
// a worker knows of it may be, and how long a worker waits for a renewal that is
// late because the store did not answer for a while.
const (
	leaseLife  = 20 * time.Second
	leaseEvery = 4 * time.Second
	leaseFresh = 2 * time.Second
	leaseWait  = 30 * time.Second
)

// clockSlack is how far apart the clocks of hub and worker may be.
const clockSlack = 5 * time.Second

// lease is the hub's word that a plan may be read, for some seconds.
type lease struct {
	From   time.Time `json:"from"`
	Live   bool      `json:"live"`
	Plan   string    `json:"plan"`
	Serial int64     `json:"serial"`
	Until  time.Time `json:"until"`
}

func leaseName(plan string, serial int64) string {
	return fmt.Sprintf("%s%s/%012d", leasePrefix, plan, serial)
}

// lessor is the hub's side.
type lessor struct {
	store  blob.Store
	signer *sign.Signer
	to     []seal.Recipient
	plan   string
	now    havre.Now

	mu     sync.Mutex
	serial int64
	over   bool
}

// renew writes the next lease, or, if it is not live, the last one. After the
// last, none is written any more.
func (l *lessor) renew(ctx context.Context, live bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil
	}
	now := l.now().UTC().Truncate(time.Second)
	l.serial++
	sealed, err := pack(leaseType, lease{From: now, Live: live, Plan: l.plan, Serial: l.serial, Until: now.Add(leaseLife)},
		nil, l.signer, l.to...)
	if err != nil {
		return err
	}
	if err := blob.PutSame(ctx, l.store, leaseName(l.plan, l.serial), sealed); err != nil {
		return err
	}
	l.over = !live
	if l.serial > 2 { // workers may be reading the one before
		return l.store.Delete(ctx, leaseName(l.plan, l.serial-2))
	}
	return nil
}

// tenant is the worker's side. Safe for concurrent use.
type tenant struct {
	store blob.Store
	key   *seal.Key
	hub   sign.PublicKey
	plan  string
	now   havre.Now

	mu     sync.Mutex
	seen   lease
	looked time.Time
}

// live says whether the plan may be read now; the error is of kind PermitDenied
// if not, Clock if the clocks disagree, or the store's.
func (t *tenant) live(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if t.seen.Live && now.Sub(t.looked) < leaseFresh && now.Before(t.seen.Until) {
		return nil
	}
	for deadline := now.Add(leaseWait); ; {
		l, err := t.newest(ctx)
		now = t.now()
		switch {
		case err != nil && havre.KindOf(err) != havre.NotFound:
			return err
		case err == nil && !l.Live:
			return havre.E("worker.lease", havre.PermitDenied, "the hub has ended this run").WithHint("its log says why")
		case err == nil && l.From.After(now.Add(clockSlack)):
			return havre.E("worker.lease", havre.Clock, fmt.Sprintf("this machine's clock is %s behind the hub's", l.From.Sub(now).Round(time.Second))).
				WithHint("set the clocks of hub and workers by one time service")
		case err == nil && now.Before(l.Until):
			t.seen, t.looked = l, now
			return nil
		case now.After(deadline):
			return havre.E("worker.lease", havre.PermitDenied, "the hub no longer says that this plan may be read").
				WithHint("the hub's process has ended, or this machine's clock is ahead: havre runner check")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// newest reads the latest lease. An object that is not the hub's word for this
// plan is an error: nothing else may stand under that name.
func (t *tenant) newest(ctx context.Context) (lease, error) {
	name := ""
	for info, err := range t.store.List(ctx, leasePrefix+t.plan+"/") {
		if err != nil {
			return lease{}, err
		}
		name = info.Name
	}
	if name == "" {
		return lease{}, havre.E("worker.lease", havre.NotFound, "the store has no lease for this plan")
	}
	sealed, err := blob.GetAll(ctx, t.store, name)
	if err != nil {
		return lease{}, err
	}
	var l lease
	if _, _, err := unpack(sealed, leaseType, &l, t.key, t.hub); err != nil {
		return lease{}, err
	}
	if l.Plan != t.plan || leaseName(l.Plan, l.Serial) != name {
		return lease{}, havre.E("worker.lease", havre.Tampered, "the store gives the lease of another plan or time").WithHint("the store is not to be trusted: tell the hub")
	}
	if l.Serial < t.seen.Serial {
		return lease{}, havre.E("worker.lease", havre.Tampered, "the store gives an older lease than before").WithHint("the store is not to be trusted: tell the hub")
	}
	return l, nil
}
