package posture

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/host/words"
)

//go:embed posture.html
var page string

// HTML writes the report as one file that opens without a network or a script,
// and prints.
func (r *Report) HTML(w io.Writer, lang words.Lang) error {
	t, err := template.New("posture").Funcs(template.FuncMap{
		"t":     func(en, fr string) string { return words.Phrase{EN: en, FR: fr}.In(lang) },
		"p":     func(p words.Phrase) string { return p.In(lang) },
		"lang":  func() string { return string(lang) },
		"count": Count,
		"size":  Size,
		"day":   func(t time.Time) string { return t.UTC().Format("2006-01-02") },
		"at":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
		"join":  func(s []string) string { return strings.Join(s, ", ") },
		"badge": func(l Level) string { return badges[l].In(lang) },
		"layer": func(l descriptor.Layer) string { return layers[l].In(lang) },
		"role":  func(s any) string { return roles[fmt.Sprint(s)].In(lang) },
		"law":   func(l []string) string { return law(l, lang) },
		"secs":  func(f float64) string { return fmt.Sprintf("%.1f s", f) },
		"abs":   func(n int) int { return max(n, -n) },
	}).Parse(page)
	if err != nil {
		return havre.E("posture", havre.Internal, "the page of the posture is broken").Wrap(err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, r); err != nil {
		return havre.E("posture", havre.Internal, "the posture cannot be written as a page").Wrap(err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return havre.E("posture", havre.NoSpace, "the posture cannot be written").Wrap(err)
	}
	return nil
}

var badges = map[Level]words.Phrase{Red: words.Say("act", "agir"), Amber: words.Say("watch", "surveiller"), Green: words.Say("good", "bon")}

var roles = map[string]words.Phrase{"store": words.Say("store", "stockage"), "compute": words.Say("machine", "machine")}

var layers = map[descriptor.Layer]words.Phrase{
	descriptor.IaaS: words.Say("infrastructure (IaaS)", "infrastructure (IaaS)"), descriptor.CaaS: words.Say("containers (CaaS)", "conteneurs (CaaS)"),
	descriptor.PaaS: words.Say("platform (PaaS)", "plateforme (PaaS)"), descriptor.SaaS: words.Say("software (SaaS)", "logiciel (SaaS)"),
	descriptor.Support: words.Say("support", "support"), descriptor.Telemetry: words.Say("telemetry", "télémétrie"),
}

// law marks what is outside the Union.
func law(all []string, lang words.Lang) string {
	var s []string
	for _, l := range all {
		if !descriptor.InEU(l) {
			l += words.Say(" (outside the EU)", " (hors UE)").In(lang)
		}
		s = append(s, l)
	}
	return strings.Join(s, ", ")
}

// Text prints the report for a terminal.
func (r *Report) Text(w io.Writer, lang words.Lang) {
	say := func(en, fr string) string { return words.Phrase{EN: en, FR: fr}.In(lang) }
	head := func(en, fr string) { fmt.Fprintf(w, "\n%s\n", strings.ToUpper(say(en, fr))) }
	fmt.Fprintf(w, "%s, %s\n%s\n\n", r.Hub, r.At.Format("2006-01-02 15:04 UTC"), r.Headline.In(lang))
	for _, s := range r.Signals {
		fmt.Fprintf(w, "%-10s %s", badges[s.Level].In(lang), s.Says.In(lang))
		if next := s.Next.In(lang); next != "" {
			fmt.Fprintf(w, " -> %s", next)
		}
		fmt.Fprintln(w)
	}
	head("who can read what today", "qui peut lire quoi aujourd'hui")
	for _, x := range r.Readers {
		fmt.Fprintf(w, "  %s\n    %s: %s; %s: %s; %s: %s\n", x.Who.In(lang), say("identities", "identités"), x.Identities.In(lang),
			say("health data", "données de santé"), x.Health.In(lang), say("results", "résultats"), x.Results.In(lang))
	}
	head("what an order served there would obtain", "ce qu'obtiendrait un ordre signifié là")
	for _, o := range r.Orders {
		fmt.Fprintf(w, "  %s, %s: %s; %s %s\n    %s; %s: %s\n", roles[string(o.Role)].In(lang), layers[o.Layer].In(lang), o.Served, say("law of", "droit :"), law(o.Laws, lang), o.Obtains.In(lang), say("keys", "clés"), o.Keys.In(lang))
	}
	head("on whom the hub depends, and how long it lives without", "de qui dépend le hub, et combien de temps il vit sans")
	for _, d := range r.Dependencies {
		fmt.Fprintf(w, "  %s (%s)\n    %s\n", d.On.In(lang), d.Law, d.Lives.In(lang))
	}
	if len(r.Certificates) > 0 {
		head("certificates", "certificats")
	}
	for _, c := range r.Certificates {
		until := say("number or end not stated", "numéro ou fin non indiqués")
		if !c.Until.IsZero() && c.Number != "" {
			until = fmt.Sprintf("%s %s (%s)", say("until", "jusqu'au"), c.Until, days(c.Days).In(lang))
		}
		fmt.Fprintf(w, "  %-10s %s, %s: %s %s, %s\n", badges[c.Level].In(lang), c.Host, layers[c.Layer].In(lang), c.Scheme, c.Number, until)
	}
	if len(r.Derogations) > 0 {
		head("derogations", "dérogations")
	}
	for _, d := range r.Derogations {
		unused := ""
		if !d.Used {
			unused = say(" (not in use)", " (non utilisée)")
		}
		fmt.Fprintf(w, "  %s%s %s: %s (%s), %s %s, %s; %s %s\n", d.ID, unused, d.Host, d.Authority, d.Reference, say("until", "jusqu'au"), d.Until, days(d.Days).In(lang), say("notice by", "préavis avant le"), d.NoticeBy)
	}
	head("not known", "ce qui n'est pas connu")
	for _, o := range r.Open {
		fmt.Fprintf(w, "  %s\n", o.In(lang))
	}
}
