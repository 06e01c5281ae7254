package host

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/catalogue"
)

// list makes a catalogue of so many requirements and use cases.
func list(requirements, useCases int) *catalogue.Catalogue {
	c := &catalogue.Catalogue{Name: "sovereign-host", Title: "What a sovereign host must do", Edition: "study of 2023", Coverage: "all", Layers: []string{"iaas"}}
	for n := range requirements {
		c.Requirements = append(c.Requirements, catalogue.Item{ID: fmt.Sprintf("R%03d", n+1), Text: fmt.Sprintf("requirement %d", n+1)})
	}
	for n := range useCases {
		c.UseCases = append(c.UseCases, catalogue.Item{ID: fmt.Sprintf("U%03d", n+1), Text: fmt.Sprintf("use case %d", n+1)})
	}
	return c
}

// all is a provider that meets everything of a catalogue.
func all(c *catalogue.Catalogue, version int, provider string) *catalogue.Answers {
	a := &catalogue.Answers{Catalogue: c.Name, Version: version, Provider: provider}
	for _, i := range c.Items() {
		a.Answers = append(a.Answers, catalogue.Answer{ID: i.ID, Layer: "all", Today: catalogue.Met, Evidence: "shown on site"})
	}
	return a
}

// TestSixSilentChanges tells the story of the study that was to find a
// sovereign host in 2023: while providers answered, its list went from 165
// requirements to 262 and from 200 use cases to 466, in six changes that nobody
// was told of, and in the end no offer fulfilled it. (The first and the last
// numbers are the story's; those between are made up.) Here each change is
// refused until somebody says why; then it is a version of its own, in the log,
// with its difference, and nothing that was answered before changes.
func TestSixSilentChanges(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	first := list(165, 200)
	opened, err := w.OpenCatalogue(ctx, first, "", operator)
	must(t, err)
	if opened.Label() != "sovereign-host@1" {
		t.Fatalf("opened as %s", opened.Label())
	}
	must(t, second(w.Answer(ctx, all(first, 1, "host-a"), operator)))
	before, err := w.Scores(ctx, first.Name, catalogue.Today)
	must(t, err)
	if s := before[0]; s.Requirements.Met != 165 || s.UseCases.Met != 200 || s.Requirements.Percent() != 100 {
		t.Fatalf("host-a meets %+v of version 1", s)
	}
	answered, err := w.Given(ctx, first.Name, 1)
	must(t, err)

	steps := [][2]int{{178, 240}, {190, 296}, {207, 330}, {225, 389}, {241, 420}, {262, 466}}
	was := [2]int{165, 200}
	for n, s := range steps {
		next := list(s[0], s[1])
		_, err := w.OpenCatalogue(ctx, next, "", operator)
		said := fmt.Sprintf("%d -> %d requirements (+%d), %d -> %d use cases (+%d)", was[0], s[0], s[0]-was[0], was[1], s[1], s[1]-was[1])
		wantKind(t, "a silent change", err, havre.Refused, said)
		if now, err := w.FrozenCatalogue(ctx, first.Name, 0); err != nil || now.Version != n+1 {
			t.Fatalf("after a refused change the newest version is %d, %v", now.Version, err)
		}
		v, err := w.OpenCatalogue(ctx, next, fmt.Sprintf("change %d asked for by the steering group", n+1), operator)
		must(t, err)
		if v.Version != n+2 || v.Change.String() != said || v.Previous == "" {
			t.Errorf("change %d is version %d: %s", n+1, v.Version, v.Change)
		}
		must(t, second(w.OpenCatalogue(ctx, next, "", operator))) // the same again is no change
		was = s
	}

	// Everybody sees it in the log: seven versions, each with its numbers and
	// hash, each later one with what changed.
	var seen []string
	for e, err := range w.log.Entries(ctx, 0, -1, tlog.Filter{Action: "catalogue.frozen"}) {
		must(t, err)
		if e.Facts["catalogue_sha256"] == "" || (len(seen) > 0) != (e.Facts["change"] != "" && e.Facts["previous_sha256"] != "") {
			t.Errorf("entry %d does not tell what changed: %v", e.Index, e.Facts)
		}
		seen = append(seen, e.Facts["requirements"]+"/"+e.Facts["use_cases"])
	}
	if got := strings.Join(seen, " "); got != "165/200 178/240 190/296 207/330 225/389 241/420 262/466" {
		t.Errorf("the log tells of %s", got)
	}

	// The old answers are, byte for byte, what they were, and final.
	still, err := w.Given(ctx, first.Name, 1)
	must(t, err)
	if len(still) != 1 || !bytes.Equal(still[0].Signed, answered[0].Signed) {
		t.Error("the answers to version 1 changed")
	}
	wantKind(t, "a late answer to version 1", second(w.Answer(ctx, all(first, 1, "host-b"), operator)), havre.Refused, "its answers are final")

	// Side by side: what host-a was worth by the list it was asked to fulfil,
	// and how much of the gap is the list's doing.
	rows, err := w.Scores(ctx, first.Name, catalogue.Today)
	must(t, err)
	if len(rows) != 7 {
		t.Fatalf("%d rows, want one a version", len(rows))
	}
	if r := rows[0]; r.Requirements.Percent() != 100 || r.Given != 365 {
		t.Errorf("version 1 now says %+v", r)
	}
	last := rows[6]
	if last.Requirements.Met != 165 || last.Requirements.Unanswered != 97 || last.Requirements.Percent() != 62 || last.UseCases.Unanswered != 266 || last.Given != 0 || last.Carried != 365 {
		t.Errorf("version 7 says %+v", last)
	}

	// And who edits the frozen list where it is kept is found.
	_, err = w.DB.DB().ExecContext(ctx, "UPDATE host_document SET signed = (SELECT signed FROM host_document WHERE kind = 'catalogue' AND number = 7) WHERE kind = 'catalogue' AND number = 1")
	must(t, err)
	_, err = w.Scores(ctx, first.Name, catalogue.Today)
	wantKind(t, "the frozen list edited", err, havre.Tampered, "")
}

func TestAnswers(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	c := list(3, 0)
	wantKind(t, "before it is opened", second(w.Answer(ctx, all(c, 1, "host-a"), operator)), havre.NotFound, "was not opened")
	must(t, second(w.OpenCatalogue(ctx, c, "", operator)))
	wantKind(t, "a version to come", second(w.Answer(ctx, all(c, 2, "host-a"), operator)), havre.NotFound, "was not opened")
	bad := all(c, 1, "host-a")
	bad.Answers[2].ID = "R004"
	wantKind(t, "an unknown item", second(w.Answer(ctx, bad, operator)), havre.Invalid, "R004")
	if given, err := w.Given(ctx, c.Name, 1); err != nil || len(given) != 0 {
		t.Errorf("of refused answers %d were kept, %v", len(given), err)
	}
	// Answering again adds; both stay, the newest counts.
	must(t, second(w.Answer(ctx, all(c, 1, "host-a"), operator)))
	less := all(c, 1, "host-a")
	less.Answers = less.Answers[:1]
	less.Answers[0].Today = catalogue.NotMet
	must(t, second(w.Answer(ctx, less, operator)))
	rows, err := w.Scores(ctx, c.Name, catalogue.Today)
	must(t, err)
	if r := rows[0]; r.Requirements.Met != 2 || r.Requirements.NotMet != 1 || r.Given != 4 {
		t.Errorf("scores %+v", r)
	}
	if given, err := w.Given(ctx, c.Name, 1); err != nil || len(given) != 2 {
		t.Errorf("%d answers are kept, want both, %v", len(given), err)
	}
	if _, err := w.Scores(ctx, "other", catalogue.Today); havre.KindOf(err) != havre.NotFound {
		t.Errorf("scores of nothing: %v", err)
	}
}
