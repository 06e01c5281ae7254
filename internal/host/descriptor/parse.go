package descriptor

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/strict"
)

// EU lists the member states of the Union; EEA those of the Economic Area.
var (
	EU  = strings.Fields("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK")
	EEA = append(slices.Clone(EU), "IS", "LI", "NO")
)

var countryRE = regexp.MustCompile(`^[A-Z]{2}$`)

// InEU says whether a place (a country, or EU) is within the Union.
func InEU(place string) bool { return place == "EU" || slices.Contains(EU, place) }

// InEEA says whether a place (a country, EU or EEA) is within the Economic Area.
func InEEA(place string) bool { return InEU(place) || place == "EEA" || slices.Contains(EEA, place) }

var autonomies = []string{"own_skills", "two_alternatives", "qualified", "none"}

// Parse reads a descriptor strictly and checks its form: every layer is
// spoken of, places are countries, every certificate stands under a layer and
// a service that it covers. It does not look at the clock (CheckDates does)
// and does not judge (placement does). Errors are of kind Invalid.
func Parse(what string, b []byte) (*Host, error) {
	h := new(Host)
	if err := strict.YAML(what, b, h); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Host) check() error {
	if !havre.ValidName(h.Name) {
		return invalid(fmt.Sprintf("a host needs a name of lower-case letters, digits and hyphens, not %.40q", h.Name))
	}
	if h.Title == "" || h.AsOf.IsZero() {
		return h.wrong("", "it needs a title and as_of, the date its facts were looked up")
	}
	for _, l := range Layers {
		if err := h.checkPart(l, h.Layers.Part(l)); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) checkPart(l Layer, p *Part) error {
	if p.NotUsed != "" {
		switch {
		case l == Support || l == Telemetry:
			return h.wrong(l, "every host has somebody who helps and something that measures: say who, even if it is the hub's own body")
		case p.Operator != "" || p.Own || len(p.Certificates) > 0 || p.Service != "":
			return h.wrong(l, "a layer that is not used has no operator, service or certificate")
		}
		return nil
	}
	for _, need := range []struct{ name, value string }{
		{"service", p.Service}, {"operator", p.Operator}, {"operator_seat", p.OperatorSeat}, {"parent", p.Parent}, {"parent_law", p.ParentLaw},
	} {
		if need.value == "" {
			return h.wrong(l, "it has no "+need.name+" (or say not_used, and why)")
		}
	}
	places := append([]string{p.OperatorSeat, p.ParentLaw}, append(slices.Clone(p.DataIn), p.AdminFrom...)...)
	for _, t := range p.ThirdParties {
		places = append(places, t.Law)
		if t.Name == "" || t.Role == "" || !slices.Contains(autonomies, t.Autonomy) {
			return h.wrong(l, "a third party needs a name, a role and an autonomy of "+strings.Join(autonomies, ", "))
		}
	}
	for _, c := range places {
		if !countryRE.MatchString(c) && c != "EEA" {
			return h.wrong(l, fmt.Sprintf("%.20q is no country: write two capitals (FR, US), EU or EEA", c))
		}
	}
	if p.NoThirdParty && len(p.ThirdParties) > 0 {
		return h.wrong(l, "it lists third parties and says there is none")
	}
	if o := p.Ownership; o != nil && (o.Largest < 0 || o.Largest > o.Total || o.Total > 100) {
		return h.wrong(l, "shares of ownership are percents, the largest not above the total")
	}
	if p.NoticeDays < 0 {
		return h.wrong(l, "notice_of_change_days cannot be below 0")
	}
	for _, c := range p.Certificates {
		if err := h.checkCertificate(l, p, c); err != nil {
			return err
		}
	}
	for _, e := range p.Evidence {
		if u, err := url.Parse(e.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || e.Says == "" || e.Read.IsZero() {
			return h.wrong(l, "evidence needs says, url (https://...) and read, the date it was read")
		}
	}
	return nil
}

func (h *Host) checkCertificate(l Layer, p *Part, c Certificate) error {
	known := []string{SecNumCloud, HDS, ISO27001}
	if !slices.Contains(known, c.Scheme) {
		return h.wrong(l, fmt.Sprintf("there is no certificate scheme %.40q here%s", c.Scheme, havre.Nearest(c.Scheme, known)))
	}
	name := "its certificate " + c.Scheme + " " + c.Version
	switch {
	case c.Version == "" || c.Service == "":
		return h.wrong(l, name+" must state its version and the service it is for")
	case c.Service != p.Service:
		return h.wrong(l, fmt.Sprintf("%s is wrongly scoped: it is for %q, and the hub uses %q", name, c.Service, p.Service))
	case c.Scheme == HDS:
		for _, a := range c.Activities {
			if !slices.Contains(Activities, a) {
				return h.wrong(l, fmt.Sprintf("%s names no activity %.30q%s", name, a, havre.Nearest(a, Activities)))
			}
		}
		if len(c.Activities) == 0 || len(c.Covers) > 0 {
			return h.wrong(l, name+" is given by activities ("+strings.Join(Activities, ", ")+"), not by layers")
		}
	case len(c.Activities) > 0:
		return h.wrong(l, name+" has no activities; only HDS has")
	case !slices.Contains(c.Covers, l):
		return h.wrong(l, fmt.Sprintf("%s is wrongly scoped: it covers %s, not %s", name, list(c.Covers), l))
	}
	for _, x := range c.Covers {
		if !slices.Contains(Layers, x) {
			return h.wrong(l, fmt.Sprintf("%s covers no known layer %.30q", name, x))
		}
	}
	if !c.From.IsZero() && !c.Until.IsZero() && c.Until.Start().Before(c.From.Start()) {
		return h.wrong(l, name+" ends before it begins")
	}
	return nil
}

func list(layers []Layer) string {
	if len(layers) == 0 {
		return "nothing"
	}
	var s []string
	for _, l := range layers {
		s = append(s, string(l))
	}
	return strings.Join(s, ", ")
}

func (h *Host) wrong(l Layer, why string) error {
	where := "the host " + h.Name
	if l != "" {
		where += ", layer " + string(l)
	}
	return invalid(where + ": " + why).WithHint("docs/reference/host.md lists every key; havre host show example-sovereign --yaml shows a whole one")
}
