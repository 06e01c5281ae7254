package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
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
// (docs/adr/0004-members-are-kept.md), one object for each bucket, sealed to
// the permit's key. A seal says who may read and not who wrote, so a MAC stands
// before what is sealed. Its key, and the folder that stands for the permit in
// the object's name, are derived from the permit's key.
type members struct {
	sealed checkpoints
	folder string
	key    []byte
}

var _ cohort.Shelf = members{}

const membersPrefix = "members/"

func newMembers(store blob.Store, key *seal.Key) members {
	derive := func(what string) []byte {
		h := hmac.New(sha256.New, key.Secret().Reveal())
		h.Write([]byte("havre:members:" + what))
		return h.Sum(nil)
	}
	return members{checkpoints{store, key}, membersPrefix + hex.EncodeToString(derive("name")[:16]) + "/", derive("mac")}
}

func (m members) name(bucket int) string { return fmt.Sprintf("%s%06d", m.folder, bucket) }

func (m members) mac(bucket int, data []byte) []byte {
	h := hmac.New(sha256.New, m.key)
	fmt.Fprintf(h, "%d\n", bucket)
	h.Write(data)
	return h.Sum(nil)
}

// Put replaces what was there. If another study of the permit puts its own at
// the same time, one of the two is kept.
func (m members) Put(ctx context.Context, bucket int, data []byte) error {
	err := m.sealed.replace(ctx, m.name(bucket), append(m.mac(bucket, data), data...))
	if havre.KindOf(err) == havre.Exists {
		return nil
	}
	return err
}

func (m members) Get(ctx context.Context, bucket int) ([]byte, bool, error) {
	plain, ok, err := m.sealed.open(ctx, m.name(bucket))
	if err != nil || !ok {
		return nil, false, err
	}
	if len(plain) < sha256.Size || !hmac.Equal(plain[:sha256.Size], m.mac(bucket, plain[sha256.Size:])) {
		return nil, false, havre.E("study.members", havre.Tampered, "the kept members of bucket "+strconv.Itoa(bucket)+" were not written by this hub")
	}
	return plain[sha256.Size:], true, nil
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
