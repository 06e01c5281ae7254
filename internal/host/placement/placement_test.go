package placement

import (
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/host/words"
)

var day = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func example(t *testing.T, name string) *descriptor.Host {
	t.Helper()
	h, err := descriptor.Example(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestHosts: where the story's hosts stand by what was found about them.
func TestHosts(t *testing.T) {
	for _, c := range []struct {
		host    string
		data    Class
		allowed bool
	}{
		{"example-sovereign", NationalBase, true},
		{"own-machines", NationalBase, true},
		{"azure-france", NationalBase, false},
		{"aws-paris", NationalBase, false},
		{"google-paris", NationalBase, false},
		{"s3ns", NationalBase, false},     // number, end and scope of its qualification were not found
		{"scaleway", NationalBase, false}, // sources disagree on its qualification
		{"outscale", NationalBase, false},
		{"bleu", NationalBase, false},
		{"azure-france", Synthetic, true},
		{"azure-france", Health, false}, // number and dates of its HDS certificate were not found
		{"example-sovereign", Health, true},
	} {
		v := Judge(example(t, c.host), c.data, day)
		if v.Allowed != c.allowed {
			t.Errorf("%s for %s: allowed %v (%s)", c.host, c.data, v.Allowed, v.Why(words.EN))
		}
	}
}

// TestOneThingAtATime: from a host where everything holds, each single change
// makes it not immune, by its own rule.
func TestOneThingAtATime(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		change func(*descriptor.Host)
		rule   string
	}{
		"data outside the Union":       {func(h *descriptor.Host) { h.Layers.IaaS.DataIn = []string{"FR", "US"} }, "19.2.b"},
		"data in the Area only":        {func(h *descriptor.Host) { h.Layers.IaaS.DataIn = []string{"NO"} }, "19.2.b"},
		"data nowhere stated":          {func(h *descriptor.Host) { h.Layers.IaaS.DataIn = nil }, "19.2.b"},
		"administered from elsewhere":  {func(h *descriptor.Host) { h.Layers.Support.AdminFrom = []string{"IN"} }, "19.2.c"},
		"telemetry elsewhere":          {func(h *descriptor.Host) { h.Layers.Telemetry.DataIn = []string{"US"} }, "19.2.d"},
		"seat elsewhere":               {func(h *descriptor.Host) { h.Layers.IaaS.OperatorSeat = "CH" }, "19.6.a"},
		"foreign parent":               {func(h *descriptor.Host) { h.Layers.IaaS.ParentLaw = "US" }, "19.6.b"},
		"foreign parent of support":    {func(h *descriptor.Host) { h.Layers.Support.ParentLaw = "US" }, "19.6.b"},
		"one owner above 24 %":         {func(h *descriptor.Host) { h.Layers.IaaS.Ownership.Largest, h.Layers.IaaS.Ownership.Total = 24.1, 24.1 }, "19.6.b"},
		"owners above 39 %":            {func(h *descriptor.Host) { h.Layers.IaaS.Ownership.Total = 39.1 }, "19.6.b"},
		"owners with a veto":           {func(h *descriptor.Host) { h.Layers.IaaS.Ownership.Veto = &yes }, "19.6.b"},
		"veto not stated":              {func(h *descriptor.Host) { h.Layers.IaaS.Ownership.Veto = nil }, "19.6.b"},
		"owners not stated":            {func(h *descriptor.Host) { h.Layers.IaaS.Ownership = nil }, "19.6.b"},
		"supplier reaches data":        {func(h *descriptor.Host) { h.Layers.IaaS.ThirdParties[0].Data = &yes }, "19.6.c"},
		"supplier reaches logs":        {func(h *descriptor.Host) { h.Layers.Telemetry.ThirdParties[0].TechnicalData = &yes }, "19.6.c"},
		"supplier's reach not stated":  {func(h *descriptor.Host) { h.Layers.IaaS.ThirdParties[0].Data = nil }, "19.6.c"},
		"suppliers not stated":         {func(h *descriptor.Host) { h.Layers.IaaS.ThirdParties = nil }, "19.6.c"},
		"supplier cannot be replaced":  {func(h *descriptor.Host) { h.Layers.IaaS.ThirdParties[0].Autonomy = "none" }, "19.6.d"},
		"rights not stated":            {func(h *descriptor.Host) { h.Layers.IaaS.Rights = "" }, "19.6.e"},
		"notice after two months":      {func(h *descriptor.Host) { h.Layers.IaaS.NoticeDays = 60 }, "19.6.f"},
		"no qualification":             {func(h *descriptor.Host) { h.Layers.IaaS.Certificates = h.Layers.IaaS.Certificates[1:] }, "SecNumCloud 3.2"},
		"qualification before 3.2":     {func(h *descriptor.Host) { h.Layers.IaaS.Certificates[0].Version = "3.1" }, "SecNumCloud 3.2"},
		"qualification without number": {func(h *descriptor.Host) { h.Layers.IaaS.Certificates[0].Number = "" }, "SecNumCloud 3.2"},
		"no HDS":                       {func(h *descriptor.Host) { h.Layers.IaaS.Certificates = h.Layers.IaaS.Certificates[:1] }, "HDS v2"},
		"HDS of the first version":     {func(h *descriptor.Host) { h.Layers.IaaS.Certificates[1].Version = "v1.1" }, "HDS v2"},
		"HDS without an activity":      {func(h *descriptor.Host) { h.Layers.IaaS.Certificates[1].Activities = []string{"sites", "hardware"} }, "HDS v2"},
	} {
		h := example(t, "example-sovereign")
		c.change(h)
		v := Judge(h, NationalBase, day)
		failed := v.Failed()
		if v.Allowed || len(failed) == 0 {
			t.Errorf("%s: still allowed", name)
			continue
		}
		for _, f := range failed {
			if !strings.Contains(f.Rule, c.rule) && !strings.HasPrefix(f.Rule, "HDS EXI 28") {
				t.Errorf("%s: fails by %s (%s), want %s", name, f.Rule, f.Reason.EN, c.rule)
			}
			if f.Reason.EN == "" || f.Reason.FR == "" {
				t.Errorf("%s: no reason in both languages", name)
			}
		}
	}
}

// TestTime: a host stays immune only as long as its qualification.
func TestTime(t *testing.T) {
	h := example(t, "example-sovereign")
	for at, want := range map[time.Time]bool{
		day: true,
		time.Date(2028, 12, 31, 23, 0, 0, 0, time.UTC): true,
		time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC):    false,
		time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC):  false,
	} {
		if v := Judge(h, NationalBase, at); v.Allowed != want {
			t.Errorf("at %s: %v", at, v.Allowed)
		}
	}
}

func TestClasses(t *testing.T) {
	for _, c := range Classes {
		if got, err := ParseClass(string(c)); err != nil || got != c {
			t.Errorf("%s: %v", c, err)
		}
	}
	if _, err := ParseClass("national-bass"); havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), "national-base") {
		t.Errorf("a misspelt class: %v", err)
	}
}
