package descriptor

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/havre-hub/havre/internal/havre"
)

var day = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// TestExamples: every shipped host parses, says that it is an example, says
// how its store is reached, and comes back from its own text unchanged.
func TestExamples(t *testing.T) {
	all, err := Examples()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 12 {
		t.Errorf("only %d hosts are shipped", len(all))
	}
	for _, h := range all {
		if !h.Example || h.Notes == "" || h.Endpoint.URL == "" || h.Endpoint.Tested == "" {
			t.Errorf("%s is not marked as an example, or lacks notes or an endpoint", h.Name)
		}
		if err := h.CheckDates(day); err != nil {
			t.Errorf("%s: %v", h.Name, err)
		}
		text, err := h.Text()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(h.Name, text)
		if err != nil {
			t.Fatalf("%s read back: %v", h.Name, err)
		}
		if d := cmp.Diff(h, again, cmp.Comparer(func(a, b interface{ String() string }) bool { return a.String() == b.String() })); d != "" {
			t.Errorf("%s read back:\n%s", h.Name, d)
		}
	}
	if _, err := Example("azure-frence"); havre.KindOf(err) != havre.NotFound || !strings.Contains(err.Error(), "azure-france") {
		t.Errorf("a misspelt example: %v", err)
	}
}

func sovereign(t *testing.T) string {
	t.Helper()
	b, err := ExampleText("example-sovereign")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestBadDescriptors: each is refused with a line or a layer, and what was meant.
func TestBadDescriptors(t *testing.T) {
	whole := sovereign(t)
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":          {"    operator_seat:", "    operater_seat:", `line 16: unknown field "operater_seat"; did you mean "operator_seat"?`},
		"unknown layer":        {"  telemetry:\n", "  telemetrie:\n", `did you mean "telemetry"?`},
		"key twice":            {"as_of: 2026-11-24\n", "as_of: 2026-11-24\nas_of: 2026-11-24\n", "already defined"},
		"a name":               {"name: example-sovereign", "name: Example Sovereign", "lower-case"},
		"no country":           {`operator_seat: "FR"`, `operator_seat: "France"`, "no country"},
		"scheme":               {`scheme: "SecNumCloud"`, `scheme: "SecNumClowd"`, `did you mean "SecNumCloud"?`},
		"scope of layer":       {"covers: [iaas, support, telemetry]", "covers: [paas]", "wrongly scoped: it covers paas, not iaas"},
		"scope of service":     {"version: \"3.2\"\n        service: \"Invented Object Storage\"", "version: \"3.2\"\n        service: \"Another Service\"", "wrongly scoped"},
		"activity":             {"activities: [sites,", "activities: [site,", `did you mean "sites"?`},
		"end before begin":     {`until: "2028-12-31"`, `until: "2025-12-31"`, "ends before it begins"},
		"not a date":           {`until: "2028-12-31"`, `until: "soon"`, "2026-12-31"},
		"evidence":             {`url: "https://host.example/"`, `url: "the contract"`, "evidence needs"},
		"a layer left out":     {"  paas: {not_used:", "  # paas: {not_used:", "layer paas: it has no service"},
		"nobody measures":      {"  telemetry:\n    service", "  telemetry:\n    not_used: \"none\"\n    service", "say who"},
		"shares":               {"non_eu_total_percent: 11.5", "non_eu_total_percent: 1", "percents"},
		"anchor":               {`parent: "Invented Group SA"`, `parent: &a "Invented Group SA"`, "anchors"},
		"two documents":        {"layers:\n", "---\nlayers:\n", "one YAML document"},
		"third party, no role": {`role: "maker of the processors"`, `role: ""`, "needs a name, a role"},
	} {
		if !strings.Contains(whole, c.old) {
			t.Errorf("%s: the example has no %q", name, c.old)
			continue
		}
		_, err := Parse("host.yaml", []byte(strings.Replace(whole, c.old, c.new, 1)))
		if havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestLapsed: a certificate is good through its last day and not one longer.
func TestLapsed(t *testing.T) {
	h, err := Parse("host.yaml", []byte(sovereign(t)))
	if err != nil {
		t.Fatal(err)
	}
	last := time.Date(2028, 12, 31, 23, 59, 59, 0, time.UTC)
	if err := h.CheckDates(last); err != nil {
		t.Errorf("on its last day: %v", err)
	}
	if err := h.CheckDates(last.Add(time.Second)); havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), "lapsed on 2028-12-31") {
		t.Errorf("a day later: %v", err)
	}
	if err := h.CheckDates(time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)); havre.KindOf(err) != havre.Invalid {
		t.Errorf("before it begins: %v", err)
	}
}

// FuzzParse: whatever is read is whole, and reads back from its own text.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"example-sovereign", "azure-france", "own-machines"} {
		b, err := ExampleText(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("name: a\nlayers: {iaas: *x}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse("host", b)
		if err != nil {
			return
		}
		text, err := h.Text()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse("host", text); err != nil {
			t.Fatalf("its own text does not read: %v\n%s", err, text)
		}
	})
}
