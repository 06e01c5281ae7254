package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// members keeps in the hub's store who is in the cohorts found under one permit
// (docs/adr/0004-members-are-kept.md), one object for each bucket, sealed as
// checkpoints are. The folder that stands for the permit in the object's name is
// derived from the permit's key.
type members struct {
	sealed checkpoints
	folder string
}

var _ cohort.Shelf = members{}

const membersPrefix = "members/"

func newMembers(store blob.Store, key *seal.Key) members {
	return members{newCheckpoints(store, key), membersPrefix + hex.EncodeToString(derived(key, "havre:members:name")[:16]) + "/"}
}

func (m members) name(bucket int) string { return fmt.Sprintf("%s%06d", m.folder, bucket) }

// Put replaces what was there. If another study of the permit puts its own at
// the same time, one of the two is kept.
func (m members) Put(ctx context.Context, bucket int, data []byte) error {
	err := m.sealed.replace(ctx, m.name(bucket), data)
	if havre.KindOf(err) == havre.Exists {
		return nil
	}
	return err
}

func (m members) Get(ctx context.Context, bucket int) ([]byte, bool, error) {
	return m.sealed.open(ctx, m.name(bucket))
}

// CohortsRun says how much of a run was taken over from earlier ones under the
// same permit. Persons are rounded up to whole hundreds: whoever runs a study
// sees no number of persons before it is checked.
type CohortsRun struct {
	Cohorts   int   `json:"total"`
	TakenOver int   `json:"taken_over"` // of those, for everybody
	Persons   int64 `json:"persons_up_to"`
	Evaluated int64 `json:"persons_evaluated_up_to"` // for some cohort at least
	Damaged   int64 `json:"damaged_buckets,omitempty"`
}

func cohortsRun(k *study.Keep) *CohortsRun {
	if k == nil {
		return nil
	}
	hundreds := func(n int64) int64 { return (n + 99) / 100 * 100 }
	t := k.Taken
	return &CohortsRun{t.Cohorts, t.Cohorts - t.Evaluated, hundreds(t.Persons), hundreds(t.Again), t.Damaged}
}

func (c *CohortsRun) facts(to map[string]string) {
	if c == nil {
		return
	}
	to["cohorts_taken_over"] = fmt.Sprintf("%d of %d", c.TakenOver, c.Cohorts)
	to["persons_evaluated_up_to"] = strconv.FormatInt(c.Evaluated, 10)
	if c.Damaged > 0 {
		to["kept_damaged_buckets"] = strconv.FormatInt(c.Damaged, 10)
	}
}

// String is one line for people.
func (c *CohortsRun) String() string {
	s := fmt.Sprintf("cohorts: %d of %d taken over from earlier runs; of up to %d persons, up to %d were evaluated", c.TakenOver, c.Cohorts, c.Persons, c.Evaluated)
	if c.Damaged > 0 {
		s += fmt.Sprintf("; what was kept of %d buckets did not open and was evaluated again", c.Damaged)
	}
	return s
}

// deadMembers lists what is kept under permits that are over, or under keys that
// are no longer in use.
func (h *Hub) deadMembers(ctx context.Context) (dead []blob.Info, err error) {
	permits, err := h.Permits.List(ctx)
	if err != nil {
		return nil, err
	}
	alive := map[string]bool{}
	for _, p := range permits {
		if p.State != permit.Granted && p.State != permit.Suspended {
			continue
		}
		key, err := h.cachedKey(permitPrefix+p.ID, false)
		if havre.KindOf(err) == havre.KeyUnavailable { // destroyed, or never made
			continue
		}
		if err != nil {
			return nil, err
		}
		alive[newMembers(h.Store, key).folder] = true
	}
	for info, err := range h.Store.List(ctx, membersPrefix) {
		if err != nil {
			return nil, err
		}
		if !alive[info.Name[:strings.LastIndex(info.Name, "/")+1]] {
			dead = append(dead, info)
		}
	}
	return dead, nil
}
