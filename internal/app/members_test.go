package app

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

const (
	keptAda     = "ada@univ.example"
	keptOfficer = "officer@hub.example"
)

const keptStudy = `
name: kept
title: Two cohorts
cohorts:
  begun:
    circe:
      ConceptSets: []
      PrimaryCriteria: {CriteriaList: [{DrugExposure: {First: true}}], ObservationWindow: {PriorDays: 0, PostDays: 0}, PrimaryCriteriaLimit: {Type: First}}
      InclusionRules:
        - name: ill before
          expression: {Type: ALL, CriteriaList: [{Criteria: {ConditionOccurrence: {}}, StartWindow: {Start: {Coeff: -1}, End: {Days: 0, Coeff: 1}}, Occurrence: {Type: 2, Count: COUNT}}]}
  ill:
    circe:
      ConceptSets: []
      PrimaryCriteria: {CriteriaList: [{ConditionOccurrence: {}}, {DrugExposure: {}}], ObservationWindow: {PriorDays: 0, PostDays: 0}, PrimaryCriteriaLimit: {Type: First}}
      EndStrategy: {DateOffset: {DateField: EndDate, Offset: 10}}
analyses:
  - {name: begun, kind: counts, cohort: begun, by: [sex, year]}
  - {name: ill, kind: counts, cohort: ill, by: [sex, age_band]}
  - {name: steps, kind: attrition, cohort: begun}
`

func keptDefinition(t testing.TB, count string) *study.Definition {
	t.Helper()
	d, err := study.Parse([]byte(strings.Replace(keptStudy, "COUNT", count, 1)), func(string) ([]byte, error) { return nil, errors.New("no files") })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// grantKept gives a permit over all that a study reads.
func (s *keySite) grantKept(h *Hub, d *study.Definition) string {
	s.t.Helper()
	ctx := context.Background()
	needs, err := d.Needs()
	s.must(err)
	app := permit.Application{Title: "Kept", Purpose: "scientific_research", Benefit: "a test", People: []string{keptAda}, Rules: record.DefaultRules(), Checkers: 2, End: time.Now().AddDate(1, 0, 0)}
	for _, n := range needs {
		app.Tables = append(app.Tables, record.Table{Name: n.Table, Columns: n.Columns})
	}
	id, err := h.Permits.Apply(ctx, keptAda, app)
	s.must(err)
	_, err = h.Permits.Decide(ctx, id, keptOfficer, true, "useful")
	s.must(err)
	return id
}

// outputsOf runs a study, with what is kept or without, and gives its outputs.
func (s *keySite) outputsOf(h *Hub, d *study.Definition, id string, keep bool) (string, cohort.TakenOver) {
	s.t.Helper()
	ctx := context.Background()
	a, err := h.allow(ctx, id, keptAda)
	s.must(err)
	key, err := h.permitKey(id)
	s.must(err)
	if keep {
		a.keep = &study.Keep{Shelf: newMembers(h.Store, key)}
	}
	kept := newCheckpoints(h.Store, key)
	out, _, err := h.outputs(ctx, d, "compare", a, kept, On{}, havre.NoProgress)
	s.must(err)
	s.must(kept.clear(ctx, "compare"))
	text, err := json.Marshal(out)
	s.must(err)
	if !keep {
		return string(text), cohort.TakenOver{}
	}
	return string(text), a.keep.Taken
}

// TestMembersAreKept: what is kept under a permit is taken over under that
// permit alone, in this hub's own writing alone, while it is in force; and
// never changes an output.
func TestMembersAreKept(t *testing.T) {
	s := newKeySite(t)
	ctx := context.Background()
	d, other := keptDefinition(t, "1"), keptDefinition(t, "2")
	var id string
	run := func(h *Hub, d *study.Definition, id, what string, total, taken int, damaged int64) {
		t.Helper()
		r, err := h.RunStudy(ctx, d, id, keptAda, havre.NoProgress)
		s.must(err)
		if c := r.Cohorts; c.Cohorts != total || c.TakenOver != taken || c.Damaged != damaged || (c.Evaluated == 0) != (taken == total) {
			t.Errorf("%s: %s", what, c)
		}
	}
	names := func(h *Hub) (out []string) {
		for info, err := range h.Store.List(ctx, membersPrefix) {
			s.must(err)
			out = append(out, info.Name)
		}
		return out
	}
	put := func(h *Hub, name string, data []byte) {
		s.must(h.Store.Delete(ctx, name))
		s.must(h.Store.Put(ctx, name, data))
	}
	s.with(func(h *Hub) {
		for account, role := range map[string]havre.Role{keptAda: havre.RoleResearcher, keptOfficer: havre.RoleOfficer} {
			s.must(h.Permits.AddAccount(ctx, account, role, havre.NewPersonal(keyOperator)))
		}
		id = s.grantKept(h, d)
		run(h, d, id, "first", 2, 0, 0)
		run(h, d, id, "again", 2, 2, 0)
		run(h, other, id, "one definition changed", 2, 1, 0)
		run(h, d, id, "changed back", 2, 2, 0)
		for _, d := range []*study.Definition{d, other} {
			got, _ := s.outputsOf(h, d, id, true)
			if want, _ := s.outputsOf(h, d, id, false); got != want || len(got) < 500 {
				t.Errorf("outputs %s, want %s", got, want)
			}
		}
		second := s.grantKept(h, d)
		if _, taken := s.outputsOf(h, d, second, true); taken.Evaluated != 2 || taken.Again != taken.Persons {
			t.Errorf("under another permit: %+v", taken)
		}
		all := names(h)
		for _, n := range all {
			if !regexp.MustCompile(`^members/[0-9a-f]{32}/00000[01]$`).MatchString(n) {
				t.Errorf("an object is named %s", n)
			}
		}
		if len(all) != 4 {
			t.Fatalf("%d objects are kept", len(all))
		}

		// Damaged, from another bucket, of another permit, sealed by somebody else.
		key, err := h.permitKey(id)
		s.must(err)
		shelf := newMembers(h.Store, key)
		zero, one := shelf.name(0), shelf.name(1)
		sealed, err := blob.GetAll(ctx, h.Store, zero)
		s.must(err)
		elsewhere, err := blob.GetAll(ctx, h.Store, one)
		s.must(err)
		foreign, err := blob.GetAll(ctx, h.Store, all[slices.IndexFunc(all, func(n string) bool { return !strings.HasPrefix(n, shelf.folder) })])
		s.must(err)
		plain, err := seal.Open(sealed, key)
		s.must(err)
		plain[len(plain)/2] ^= 1
		forged, err := seal.Seal(plain, key.Recipient())
		s.must(err)
		altered := slices.Clone(sealed)
		altered[len(altered)-1] ^= 1
		for what, b := range map[string][]byte{"altered": altered, "of another bucket": elsewhere, "of another permit": foreign, "forged": forged, "cut": sealed[:100], "empty": nil} {
			put(h, zero, b)
			run(h, d, id, what, 2, 0, 1)
			run(h, d, id, "after one "+what, 2, 2, 0)
		}
	})

	// New rows of everybody a holder knows.
	s.deliver("chu-nord", true)
	s.with(func(h *Hub) {
		want, _ := s.outputsOf(h, d, id, false)
		run(h, d, id, "after a delivery", 2, 0, 0)
		if got, _ := s.outputsOf(h, d, id, true); got != want {
			t.Errorf("after a delivery: %s, want %s", got, want)
		}

		// All buckets are finished and kept, and the permit is suspended.
		a, err := h.allow(ctx, id, keptAda)
		s.must(err)
		key, err := h.permitKey(id)
		s.must(err)
		a.keep = &study.Keep{Shelf: newMembers(h.Store, key)}
		kept := newCheckpoints(h.Store, key)
		_, _, err = h.outputs(ctx, d, "whole", a, kept, On{}, havre.NoProgress)
		s.must(err)
		s.must(h.Permits.Suspend(ctx, id, keptOfficer, "to see"))
		if _, _, err := h.outputs(ctx, d, "whole", a, kept, On{}, havre.NoProgress); havre.KindOf(err) != havre.PermitDenied {
			t.Errorf("a suspended permit: %v", err)
		}
		if _, err := h.RunStudy(ctx, d, id, keptAda, havre.NoProgress); havre.KindOf(err) != havre.PermitDenied {
			t.Errorf("a suspended permit: %v", err)
		}
		s.must(kept.clear(ctx, "whole"))
		before := len(names(h))
		if r, err := h.Fsck(ctx, warehouse.FsckOptions{Collect: true}, havre.NoProgress); err != nil || r.Collected != 0 || len(names(h)) != before {
			t.Errorf("what a suspended permit keeps was collected: %+v, %v", r, err)
		}
		s.must(h.Permits.Revoke(ctx, id, keptOfficer, "to see"))
		if r, err := h.Fsck(ctx, warehouse.FsckOptions{}, havre.NoProgress); err != nil || len(r.Orphans) != 2 || len(names(h)) != before {
			t.Errorf("the members of a permit that is over: %+v, %v", r, err)
		}
		if r, err := h.Fsck(ctx, warehouse.FsckOptions{Collect: true}, havre.NoProgress); err != nil || r.Collected != 2 || len(names(h)) != before-2 {
			t.Errorf("collected: %+v, %v", r, err)
		}
	})

	// With the permit's key, what was kept is gone.
	s.with(func(h *Hub) {
		_, err := h.DestroyKeys(ctx, Destruction{Permits: []string{"p-0002"}, By: keyOperator, Reason: "the study is over"})
		s.must(err)
	})
	keys, err := s.means(s.at("hub", "keys"), s.at("safe", "hub.key"))
	s.must(err)
	s.with(func(h *Hub) {
		left := names(h)
		for _, n := range left {
			b, err := blob.GetAll(ctx, h.Store, n)
			s.must(err)
			if _, err := seal.Open(b, keys...); err == nil {
				t.Errorf("%s opens", n)
			}
		}
		if len(left) != 2 {
			t.Errorf("%d objects are left to try", len(left))
		}
		if r, err := h.Fsck(ctx, warehouse.FsckOptions{Collect: true}, havre.NoProgress); err != nil || r.Collected != 2 {
			t.Errorf("after the destruction: %+v, %v", r, err)
		}
	})
}
