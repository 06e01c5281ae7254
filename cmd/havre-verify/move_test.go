package main

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/record"
)

// moved gives the log the entries of a move and signs its report, after change
// has had its say about what the log is told and edit about the report.
func (h *hub) moved(kind string, change func(step string, facts map[string]string) (skip bool), edit func(*record.Move)) []byte {
	h.t.Helper()
	snapshot := strings.Repeat("cd", 32)
	h.record("snapshot.committed", "7", map[string]string{"root": snapshot})
	c, err := h.log.Checkpoint()
	h.must(err)
	evidence := record.Evidence{Snapshot: snapshot, Number: 7, Deliveries: 1, Rows: 10, Log: record.LogHead{Size: c.Size, Root: hex.EncodeToString(c.Root[:])}, Studies: []record.StudyMark{}}
	m := &record.Move{ID: "m-0001", Kind: kind, Hub: "demo", From: record.Place{Kind: "azblob", Where: "azblob://a"}, To: record.Place{Kind: "s3", Where: "s3://b"},
		Objects: 3, Bytes: 300, Root: strings.Repeat("12", 32), RootBack: strings.Repeat("12", 32), Before: evidence, After: evidence,
		Times:        record.MoveTimes{Planned: noon, Began: noon, Copied: noon, Verified: noon, Finishing: noon, Finished: noon},
		Milliseconds: map[string]int64{"copy": 1}, Runs: 1, Keys: record.MoveKeys{Before: []string{"a"}, After: []string{"b"}, Changed: true},
		Removed: record.Removed{Objects: 3, Probed: 3}, Cost: record.Cost{PerGB: "0", Currency: "EUR", Total: "0.00"},
		Clock: record.NewClock(noon).At(noon), Steps: map[string]int64{}}
	if kind == record.KindMove {
		m.Times.Switched = noon
	}
	if edit != nil {
		edit(m)
	}
	tell := func(step string) int64 {
		facts := record.MoveStepFacts(m, step)
		if change != nil && change(step, facts) {
			return 0
		}
		return h.record(kind+"."+step, m.ID, facts)
	}
	for _, step := range record.MoveSteps(kind) {
		m.Steps[step] = tell(step)
	}
	m.LogIndex = tell(record.StepFinished)
	b, err := record.SignMove(m, h.signer)
	h.must(err)
	return b
}

// TestMove: a report in the folder and one that came by itself; what does not
// fit the log, and what was edited after signing, is found.
func TestMove(t *testing.T) {
	for _, kind := range []string{record.KindMove, record.KindDrill} {
		h := newHub(t)
		h.receipt("d1")
		h.save("moves/m-0001.json", h.moved(kind, nil, nil))
		h.export()
		if code, out, errs := h.run("--keys", h.keys, h.out); code != 0 || !strings.Contains(out, "one root on both sides") {
			t.Errorf("%s: %d %s %s", kind, code, out, errs)
		}
	}
	for name, c := range map[string]struct {
		change func(string, map[string]string) bool
		edit   func(*record.Move)
		spoil  func([]byte)
	}{
		"edited after signing":            {spoil: func(b []byte) { b[len(b)/2] ^= 1 }},
		"a step was never logged":         {change: func(step string, _ map[string]string) bool { return step == record.StepSwitched }},
		"the log tells of another root":   {change: func(_ string, f map[string]string) bool { f["root"] = strings.Repeat("34", 32); return false }},
		"the log has another digest":      {change: func(_ string, f map[string]string) bool { f["report_sha256"] = ""; return false }},
		"a log that was never this one":   {edit: func(m *record.Move) { m.Before.Log.Root = strings.Repeat("56", 32) }},
		"a log that is longer":            {edit: func(m *record.Move) { m.After.Log.Size = 1000 }},
		"a snapshot that nobody knows":    {edit: func(m *record.Move) { m.Before.Snapshot, m.After.Snapshot = "ff", "ff" }},
		"two roots":                       {edit: func(m *record.Move) { m.RootBack = strings.Repeat("34", 32) }},
		"the old copy is there":           {edit: func(m *record.Move) { m.Removed.Readable = 2 }},
		"of another hub":                  {edit: func(m *record.Move) { m.Hub = "other" }},
		"in time, though it was too late": {edit: func(m *record.Move) { m.Times.Finished = noon.Add(200 * 24 * time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			b := h.moved(record.KindMove, c.change, c.edit)
			if c.spoil != nil {
				c.spoil(b)
			}
			h.export()
			file := filepath.Join(t.TempDir(), "report.json")
			h.must(os.WriteFile(file, b, 0o600))
			code, out, errs := h.run("--keys", h.keys, "--move", file, h.out)
			if code != 15 || !strings.Contains(out, "FAILED") || !strings.Contains(errs, file) {
				t.Errorf("%d %s %s", code, out, errs)
			}
		})
	}
	h := whole(t)
	if code, _, errs := h.run("--keys", h.keys, "--move", filepath.Join(h.out, "nothing"), h.out); code != 11 {
		t.Errorf("a report that is not there: %d %s", code, errs)
	}
}
