package posture

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/host/placement"
	"github.com/havre-hub/havre/internal/host/strict"
	"github.com/havre-hub/havre/internal/host/words"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func on(t *testing.T, role host.Role, name string, d *host.Derogation) host.Stand {
	t.Helper()
	h, err := descriptor.Example(name)
	if err != nil {
		t.Fatal(err)
	}
	s := host.Stand{Role: role, Host: h, Data: placement.NationalBase, Verdict: placement.Judge(h, placement.NationalBase, now), Derogation: d}
	switch {
	case s.Verdict.Allowed:
		s.By = host.ByCriteria
	case d != nil && d.Live(now):
		s.By = d.ID
	}
	return s
}

func derogation(until string) *host.Derogation {
	d, _ := strict.ParseDate(until)
	return &host.Derogation{ID: "dg-0001", Host: "azure-france", Data: placement.NationalBase, Authority: "CNIL", Reference: "2023-146", Reasons: "none in time", Until: d}
}

// good is a hub as it should be.
func good(t *testing.T) Facts {
	return Facts{Hub: "le-havre", At: now,
		Standing:   host.Standing{At: now, State: host.Open, Stands: []host.Stand{on(t, host.Store, "example-sovereign", nil), on(t, host.Compute, "own-machines", nil)}},
		Store:      Store{Kind: "s3", Place: "s3://bucket", Objects: 1234, Bytes: 5 << 20, Whole: true, Names: []string{"segment/00/aa"}},
		Custodians: []Custodian{{Kind: "shares", Needed: 2, People: []string{"a", "b", "c"}, Where: Apart, PostQuantum: true}},
		Log:        Log{Entries: 40, Checked: true, Sound: true}, Accounts: map[string]int{"researcher": 2}, Permits: 1,
		Drill:  &Event{At: now.AddDate(0, 0, -10), OK: true, Objects: 1234, Bytes: 5 << 20, Seconds: 3},
		Probes: []Probe{{ID: "sealed-at-rest", OK: true, Found: words.Say("all", "tous")}}}
}

// worst gives the signals of the worst level there is, in English.
func worst(r *Report) (Level, string) {
	var b strings.Builder
	for _, s := range r.Signals {
		if s.Level == r.Signals[0].Level {
			b.WriteString(s.Says.EN + "\n")
		}
	}
	return r.Signals[0].Level, b.String()
}

// TestSignals: from a hub where all is well, each single fact raises its alarm.
func TestSignals(t *testing.T) {
	if level, says := worst(Compose(good(t))); level != Green {
		t.Errorf("of a good hub the report says %s: %s", level, says)
	}
	order := host.Order{Head: host.Head{At: now}, State: host.Suspended, Authority: "Conseil d'Etat", Reference: "no. 1"}
	for name, c := range map[string]struct {
		change func(*Facts)
		level  Level
		says   string
	}{
		"suspended":            {func(f *Facts) { f.Standing.State, f.Standing.Order = host.Suspended, &order }, Red, "by order of Conseil d'Etat (no. 1)"},
		"no host on record":    {func(f *Facts) { f.Standing.Stands = f.Standing.Stands[1:] }, Red, "Store: no host is on record"},
		"no machine on record": {func(f *Facts) { f.Standing.Stands = f.Standing.Stands[:1] }, Amber, "The hub's machine: no host is on record"},
		"derogation, long": {func(f *Facts) {
			f.Standing.Stands[0] = on(t, host.Store, "azure-france", derogation("2029-12-20"))
			f.Store.Kind = "azblob"
		}, Amber, "by derogation dg-0001 of CNIL (2023-146), 1\u202f122 days left"},
		"derogation, near": {func(f *Facts) { f.Standing.Stands[0] = on(t, host.Store, "azure-france", derogation("2026-12-20")) }, Red, "26 days left"},
		"derogation, past": {func(f *Facts) {
			f.Standing.State = host.ReadOnly
			f.Standing.Stands[0] = on(t, host.Store, "azure-france", derogation("2026-11-20"))
		}, Red, "may not hold health data paired with the national base any more"},
		"the record is wrong":  {func(f *Facts) { f.Store.Kind = "azblob" }, Amber, "is the record right?"},
		"key beside the store": {func(f *Facts) { f.Custodians[0].Where = WithStore }, Red, "A key lies in the same place"},
		"key who knows where":  {func(f *Facts) { f.Custodians[0].Where = Unknown }, Amber, "cannot be told from here"},
		"in clear":             {func(f *Facts) { f.Probes[0].OK = false }, Red, "Probe sealed-at-rest"},
		"store gone":           {func(f *Facts) { f.Store.Failed = "no answer" }, Red, "The store does not answer"},
		"log broken":           {func(f *Facts) { f.Log.Sound, f.Log.Problem = false, "entry 3" }, Red, "The log does not verify: entry 3"},
		"certificate near":     {func(f *Facts) { f.At = time.Date(2028, 12, 10, 0, 0, 0, 0, time.UTC); f.Drill.At = f.At }, Red, "ends on 2028-12-31, in 21 days"},
		"certificate within":   {func(f *Facts) { f.At = time.Date(2028, 8, 10, 0, 0, 0, 0, time.UTC); f.Drill.At = f.At }, Amber, "ends on 2028-12-31"},
		"never rehearsed":      {func(f *Facts) { f.Drill = nil }, Amber, "never rehearsed"},
		"rehearsal failed":     {func(f *Facts) { f.Drill.OK = false }, Red, "failed"},
		"rehearsal late": {func(f *Facts) {
			f.Drill.At = now.AddDate(0, 0, -181)
			d := derogation("2029-12-20")
			f.Derogations = []host.Derogation{*d}
			f.Standing.Stands[0] = on(t, host.Store, "azure-france", d)
		}, Red, "was due on 2026-11-23"},
		"machine under foreign": {func(f *Facts) {
			f.Standing.Stands[1] = on(t, host.Compute, "aws-paris", derogation("2029-12-20"))
			f.Standing.Stands[1].Derogation.Host = "aws-paris"
		}, Amber, "The hub's machine: Amazon Web Services, eu-west-3 (Paris) is not immune"},
	} {
		f := good(t)
		c.change(&f)
		if level, says := worst(Compose(f)); level != c.level || !strings.Contains(says, c.says) {
			t.Errorf("%s: %s\n%s, want %s with %q", name, level, says, c.level, c.says)
		}
	}
}

// TestOrders: what an order obtains hangs on where the key is, and whether the
// machine or the store is meant.
func TestOrders(t *testing.T) {
	f := good(t)
	f.Standing.Stands = []host.Stand{on(t, host.Store, "azure-france", derogation("2029-12-20")), on(t, host.Compute, "aws-paris", nil)}
	f.Store.Clear = 2
	at := func(r *Report, role host.Role, l descriptor.Layer) Order {
		for _, o := range r.Orders {
			if o.Role == role && o.Layer == l {
				return o
			}
		}
		t.Fatalf("nothing is said of %s at %s", role, l)
		return Order{}
	}
	r := Compose(f)
	store := at(r, host.Store, descriptor.IaaS)
	if store.Level != Amber || store.Keys.EN != "none" || !strings.Contains(store.Obtains.EN, "1\u202f232 sealed objects") || !strings.Contains(store.Obtains.EN, "2 delivery notes in clear") || strings.Join(store.Laws, " ") != "IE US" {
		t.Errorf("served on the store: %+v", store)
	}
	if m := at(r, host.Compute, descriptor.IaaS); m.Level != Red || !strings.Contains(m.Obtains.EN, "memory of the running hub") {
		t.Errorf("served on the machine: %+v", m)
	}
	f.Custodians[0].Where = WithStore
	r = Compose(f)
	if o := at(r, host.Store, descriptor.IaaS); o.Level != Red || !strings.Contains(o.Obtains.EN, "everything in clear") || !strings.Contains(r.Headline.EN, "can read everything") {
		t.Errorf("with the key there: %+v\n%s", o, r.Headline.EN)
	}
	if r.Readers[0].Level != Red || !strings.HasPrefix(r.Readers[0].Health.EN, "YES") {
		t.Errorf("who can read: %+v", r.Readers[0])
	}
}

// TestBothLanguages: no phrase is missing in either language, in the report of
// a hub about which there is much to say; the page and the text hold them.
func TestBothLanguages(t *testing.T) {
	f := good(t)
	d := derogation("2027-03-01")
	f.Derogations = []host.Derogation{*d}
	f.Standing.Stands[0] = on(t, host.Store, "azure-france", d)
	f.Store.Kind, f.Store.Whole, f.Store.Clear = "azblob", false, 1
	f.Move = &Event{At: now, OK: true, From: "a", To: "b", Objects: 3}
	f.Custodians = append(f.Custodians, Custodian{Kind: "file", Where: WithStore}, Custodian{Kind: "plugin", Where: Unknown}, Custodian{Kind: "odd", Where: Unknown})
	r := Compose(f)
	walk(t, reflect.ValueOf(r), "report")
	for lang, want := range map[words.Lang][]string{
		words.EN: {"Who can read what today", "by derogation dg-0001", "give notice by"},
		words.FR: {"Qui peut lire quoi aujourd", "par la dérogation dg-0001", "préavis avant le"},
	} {
		var page, text bytes.Buffer
		if err := r.HTML(&page, lang); err != nil {
			t.Fatal(err)
		}
		r.Text(&text, lang)
		for _, w := range want {
			if !strings.Contains(page.String(), w) {
				t.Errorf("the page in %s lacks %q", lang, w)
			}
		}
		if !strings.Contains(text.String(), want[1]) || strings.Contains(page.String(), "<no value>") || strings.Contains(text.String(), "%!") || strings.Contains(page.String(), "%!") {
			t.Errorf("in %s something is not filled in", lang)
		}
		for _, bad := range []string{"<script", "http://", "src=", "@import", "url("} {
			if strings.Contains(page.String(), bad) {
				t.Errorf("the page in %s holds %q: it must open without a network or a script", lang, bad)
			}
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// walk looks for phrases that are there in one language only.
func walk(t *testing.T, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walk(t, v.Elem(), path)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(t, v.Index(i), path)
		}
	case reflect.Struct:
		if p, ok := v.Interface().(words.Phrase); ok {
			if (p.EN == "") != (p.FR == "") || strings.Contains(p.EN+p.FR, "%!") {
				t.Errorf("%s: %+v", path, p)
			}
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walk(t, v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	}
}

// TestNamesAreEscaped: a descriptor cannot bring a script into the page.
func TestNamesAreEscaped(t *testing.T) {
	f := good(t)
	h := *f.Standing.Stands[0].Host
	h.Title = "<script>alert(1)</script>"
	f.Standing.Stands[0].Host = &h
	var page bytes.Buffer
	if err := Compose(f).HTML(&page, words.EN); err != nil || strings.Contains(page.String(), "<script") {
		t.Errorf("a script stands in the page, %v", err)
	}
}
