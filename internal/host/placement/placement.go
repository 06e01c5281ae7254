// Package placement judges whether data of a class may lie on a host. Health
// data paired with the national base may only where every layer is immune to
// extra-EU law, by the criteria of SecNumCloud 3.2 (19.2 and 19.6) and
// attested by a qualification that names the layer; a place in the Union alone
// never suffices. It is a function of the descriptor, the class and the day.
package placement

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/host/words"
)

// Class says what lies in a hub.
type Class string

// The classes, strictest first.
const (
	NationalBase Class = "national-base" // health data paired with the national base: immunity of every layer
	Health       Class = "health"        // other health data: storage in the EEA, certified health data hosting
	Synthetic    Class = "synthetic"     // invented persons: anywhere
)

// Classes lists them.
var Classes = []Class{NationalBase, Health, Synthetic}

// ParseClass reads a class.
func ParseClass(s string) (Class, error) {
	if !slices.Contains(Classes, Class(s)) {
		return "", havre.E("host", havre.Invalid, fmt.Sprintf("there is no class of data %.40q%s", s, havre.Nearest(s, []string{"national-base", "health", "synthetic"}))).
			WithHint("national-base (paired with the national base), health, or synthetic")
	}
	return Class(s), nil
}

// Finding is one criterion at one layer.
type Finding struct {
	Layer  descriptor.Layer `json:"layer"`
	Rule   string           `json:"rule"` // id of the source, "SecNumCloud 19.6.a"
	OK     bool             `json:"ok"`
	Reason words.Phrase     `json:"reason"`
}

// Verdict is the whole judgement.
type Verdict struct {
	Host     string    `json:"host"`
	Data     Class     `json:"data"`
	At       time.Time `json:"at"`
	Immune   bool      `json:"immune"`   // every layer meets every criterion of immunity
	Allowed  bool      `json:"allowed"`  // by the criteria alone; a derogation is another matter
	Findings []Finding `json:"findings"` // every criterion that the class asks for
}

// Failed lists the findings that do not hold.
func (v *Verdict) Failed() (all []Finding) {
	for _, f := range v.Findings {
		if !f.OK {
			all = append(all, f)
		}
	}
	return all
}

// Why is one line: what tells most at each layer that fails, layers with the
// same reason together. Who controls an operator tells more than the rest.
func (v *Verdict) Why(l words.Lang) string {
	first, control := map[descriptor.Layer]string{}, map[descriptor.Layer]bool{}
	for _, f := range v.Failed() {
		if _, ok := first[f.Layer]; !ok || strings.HasSuffix(f.Rule, "19.6.b") && !control[f.Layer] {
			first[f.Layer] = f.Reason.In(l) + " (" + f.Rule + ")"
			control[f.Layer] = strings.HasSuffix(f.Rule, "19.6.b")
		}
	}
	var parts []string
	for _, layer := range descriptor.Layers {
		reason, ok := first[layer]
		if !ok {
			continue
		}
		at := []string{}
		for _, other := range descriptor.Layers {
			if first[other] == reason {
				at = append(at, string(other))
				delete(first, other)
			}
		}
		parts = append(parts, strings.Join(at, ", ")+": "+reason)
	}
	return strings.Join(parts, "; ")
}

// Judge applies every criterion. It never fails: what is not stated does not hold.
func Judge(h *descriptor.Host, data Class, at time.Time) *Verdict {
	v := &Verdict{Host: h.Name, Data: data, At: at, Immune: true, Allowed: true, Findings: []Finding{}}
	for _, l := range descriptor.Layers {
		p := h.Layers.Part(l)
		if p.NotUsed != "" {
			continue
		}
		immunity := immune(l, p, at)
		for _, f := range immunity {
			v.Immune = v.Immune && f.OK
		}
		switch data {
		case NationalBase:
			v.Findings = append(v.Findings, immunity...)
			v.Findings = append(v.Findings, hosting(l, p, at)...)
		case Health:
			v.Findings = append(v.Findings, hosting(l, p, at)...)
		}
	}
	v.Allowed = len(v.Failed()) == 0
	return v
}

// Limits of SecNumCloud 3.2, 19.6.b, in percent, and 19.6.f, in days.
const (
	maxLargest = 24
	maxTotal   = 39
	maxNotice  = 31 // one month
)

// immune holds one layer against SecNumCloud 3.2, 19.2 and 19.6.
func immune(l descriptor.Layer, p *descriptor.Part, at time.Time) []Finding {
	var all []Finding
	add := func(rule string, ok bool, en, fr string, args ...any) {
		all = append(all, Finding{l, "SecNumCloud " + rule, ok, words.Say(en, fr, args...)})
	}
	rule := "19.2.b"
	if l == descriptor.Telemetry {
		rule = "19.2.d" // what telemetry holds is technical data
	}
	add(rule, within(p.DataIn, descriptor.InEU), "data in %s", "données en %s", places(p.DataIn))
	add("19.2.c", within(p.AdminFrom, descriptor.InEU), "administered from %s", "administré depuis %s", places(p.AdminFrom))
	add("19.6.a", descriptor.InEU(p.OperatorSeat), "%s has its seat in %s", "%s a son siège en %s", p.Operator, p.OperatorSeat)
	add("19.6.b", descriptor.InEU(p.ParentLaw), "controlled by %s, under the law of %s", "contrôlé par %s, sous le droit de %s", p.Parent, p.ParentLaw)
	if o := p.Ownership; !p.Own {
		switch {
		case o == nil:
			add("19.6.b", false, "the share of non-EU owners is not stated", "la part des actionnaires hors UE n'est pas indiquée")
		case o.Largest > maxLargest || o.Total > maxTotal:
			add("19.6.b", false, "non-EU owners hold %s %% at most each and %s %% together; 24 and 39 are allowed",
				"les actionnaires hors UE détiennent jusqu'à %s %% chacun et %s %% ensemble ; 24 et 39 sont permis", percent(o.Largest), percent(o.Total))
		case o.Veto == nil || o.Boards == nil:
			add("19.6.b", false, "whether non-EU owners have a veto or a majority in a board is not stated",
				"un droit de veto ou une majorité d'un organe pour des actionnaires hors UE n'est ni confirmé ni exclu")
		default:
			add("19.6.b", !*o.Veto && !*o.Boards, "non-EU owners: %s %% together, veto %s, board majority %s",
				"actionnaires hors UE : %s %% ensemble, veto %s, majorité d'un organe %s", percent(o.Total), yes(*o.Veto), yes(*o.Boards))
		}
	}
	all = append(all, thirdParties(l, p)...)
	if p.Own {
		return all // nobody else's rights, notices and certificates
	}
	add("19.6.e", p.Rights != "", "respect of fundamental rights: %s", "respect des droits fondamentaux : %s", stated(p.Rights))
	add("19.6.f", p.NoticeDays > 0 && p.NoticeDays <= maxNotice, "notice of changes: %s", "annonce des changements : %s", days(p.NoticeDays))
	return append(all, qualified(l, p, at))
}

func thirdParties(l descriptor.Layer, p *descriptor.Part) (all []Finding) {
	add := func(rule string, ok bool, en, fr string, args ...any) {
		all = append(all, Finding{l, "SecNumCloud " + rule, ok, words.Say(en, fr, args...)})
	}
	if len(p.ThirdParties) == 0 {
		add("19.6.c", p.NoThirdParty || p.Own, "suppliers under extra-EU law: %s", "fournisseurs soumis à un droit extra-européen : %s", none(p.NoThirdParty || p.Own))
		return all
	}
	for _, t := range p.ThirdParties {
		if descriptor.InEU(t.Law) {
			continue
		}
		reach := t.Data != nil && t.TechnicalData != nil && !*t.Data && !*t.TechnicalData
		en, fr := "%s (%s, %s) cannot reach data or technical data", "%s (%s, %s) ne peut atteindre ni données ni données techniques"
		if !reach {
			en, fr = "%s (%s, %s) can reach data or technical data, or that is not stated", "%s (%s, %s) peut atteindre des données ou données techniques, ou cela n'est pas indiqué"
		}
		add("19.6.c", reach, en, fr, t.Name, t.Law, t.Role)
		add("19.6.d", t.Autonomy != "none", "autonomy from %s: %s", "autonomie vis-à-vis de %s : %s", t.Name, strings.ReplaceAll(t.Autonomy, "_", " "))
	}
	return all
}

// qualified asks for a current SecNumCloud qualification, 3.2 or later, of this
// very layer: immunity entered the scheme with 3.2, and it is granted for each
// activity apart (chapters 2 and 3.2).
func qualified(l descriptor.Layer, p *descriptor.Part, at time.Time) Finding {
	f := Finding{l, "SecNumCloud 3.2", false, words.Say("no SecNumCloud qualification of this layer", "aucune qualification SecNumCloud de cette couche")}
	for _, c := range p.Certificates {
		if c.Scheme != descriptor.SecNumCloud {
			continue
		}
		switch {
		case !atLeast(c.Version, 3, 2):
			f.Reason = words.Say("qualified SecNumCloud %s, before immunity was asked for", "qualifié SecNumCloud %s, avant que l'immunité soit exigée", c.Version)
		case !c.Current(at):
			f.Reason = words.Say("SecNumCloud %s: number, begin or end not stated, or not in force", "SecNumCloud %s : numéro, début ou fin non indiqués, ou pas en vigueur", c.Version)
		default:
			f.OK = true
			f.Reason = words.Say("SecNumCloud %s, no. %s, until %s", "SecNumCloud %s, n° %s, jusqu'au %s", c.Version, c.Number, c.Until)
			return f
		}
	}
	return f
}

// activities are what HDS must cover at a layer that others run.
var activities = map[descriptor.Layer][]string{
	descriptor.IaaS: {"sites", "hardware", "virtual"}, descriptor.CaaS: {"platform"}, descriptor.PaaS: {"platform"}, descriptor.SaaS: {"operation"},
}

// hosting holds one layer against HDS v2: requirement 28 (storage in the EEA)
// and a current certificate for the activities of the layer (CSP L.1111-8).
func hosting(l descriptor.Layer, p *descriptor.Part, at time.Time) []Finding {
	all := []Finding{}
	if l != descriptor.Telemetry && l != descriptor.Support {
		all = append(all, Finding{l, "HDS EXI 28", within(p.DataIn, descriptor.InEEA), words.Say("data in %s", "données en %s", places(p.DataIn))})
	}
	need := activities[l]
	if p.Own || len(need) == 0 {
		return all
	}
	missing := slices.Clone(need)
	for _, c := range p.Certificates {
		if c.Scheme == descriptor.HDS && atLeast(strings.TrimPrefix(c.Version, "v"), 2, 0) && c.Current(at) {
			missing = slices.DeleteFunc(missing, func(a string) bool { return slices.Contains(c.Activities, a) })
		}
	}
	if len(missing) > 0 {
		return append(all, Finding{l, "HDS v2", false, words.Say("no HDS v2 certificate with number and dates for: %s", "aucun certificat HDS v2 avec numéro et dates pour : %s", strings.Join(missing, ", "))})
	}
	return append(all, Finding{l, "HDS v2", true, words.Say("HDS v2 for: %s", "HDS v2 pour : %s", strings.Join(need, ", "))})
}

// atLeast compares a version such as "3.2" or "v2" by numbers.
func atLeast(version string, major, minor int) bool {
	a, b, _ := strings.Cut(version, ".")
	x, err := strconv.Atoi(a)
	if err != nil {
		return false
	}
	y, err := strconv.Atoi(b)
	if err != nil {
		y = 0
	}
	return x > major || x == major && y >= minor
}

func within(all []string, in func(string) bool) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(c string) bool { return !in(c) })
}

func places(all []string) words.Phrase {
	if len(all) == 0 {
		return words.Say("places not stated", "lieux non indiqués")
	}
	s := strings.Join(all, ", ")
	return words.Phrase{EN: s, FR: s}
}

func percent(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }

func yes(b bool) words.Phrase {
	if b {
		return words.Say("yes", "oui")
	}
	return words.Say("no", "non")
}

func none(ok bool) words.Phrase {
	if ok {
		return words.Say("none", "aucun")
	}
	return words.Say("not stated", "non indiqué")
}

func stated(s string) words.Phrase {
	if s == "" {
		return words.Say("not stated", "non indiqué")
	}
	return words.Phrase{EN: s, FR: s}
}

func days(n int) words.Phrase {
	if n == 0 {
		return words.Say("not stated", "non indiquée")
	}
	return words.Say("%d days", "%d jours", n)
}
