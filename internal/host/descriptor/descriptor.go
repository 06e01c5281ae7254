// Package descriptor describes a host layer by layer: who operates each layer,
// who owns the operator and under which law, where data are and where they are
// administered from, and which certificates cover exactly that. A descriptor
// states what somebody read somewhere, with the date and the place; package
// placement judges it.
package descriptor

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/strict"
)

// Layer is one layer of a host (SecNumCloud 3.2, chapter 2, names the first
// four as activities; support and telemetry see technical data).
type Layer string

// The layers, from the ground up.
const (
	IaaS      Layer = "iaas"
	CaaS      Layer = "caas"
	PaaS      Layer = "paas"
	SaaS      Layer = "saas"
	Support   Layer = "support"
	Telemetry Layer = "telemetry"
)

// Layers lists all of them; a descriptor speaks of each.
var Layers = []Layer{IaaS, CaaS, PaaS, SaaS, Support, Telemetry}

// Host is a descriptor.
type Host struct {
	Name     string      `yaml:"name" json:"name"`
	Title    string      `yaml:"title" json:"title"`
	AsOf     strict.Date `yaml:"as_of" json:"as_of"`                          // when the facts were looked up
	Example  bool        `yaml:"example" json:"example,omitempty"`            // shipped with Havre: to be checked before use
	Notes    string      `yaml:"notes" json:"notes,omitempty"`                // what a reader must know
	Endpoint Endpoint    `yaml:"endpoint,omitempty" json:"endpoint,omitzero"` // how its object store is reached
	Layers   Stack       `yaml:"layers" json:"layers"`
}

// Endpoint says how an object store of the host is written as a store URL.
type Endpoint struct {
	URL    string `yaml:"url" json:"url"`       // with capitals for what the user fills in
	Tested string `yaml:"tested" json:"tested"` // by whom and when, or "not tested here"
	Source string `yaml:"source" json:"source"` // where the form is documented
}

// Stack holds the six layers.
type Stack struct {
	IaaS      Part `yaml:"iaas" json:"iaas"`
	CaaS      Part `yaml:"caas" json:"caas"`
	PaaS      Part `yaml:"paas" json:"paas"`
	SaaS      Part `yaml:"saas" json:"saas"`
	Support   Part `yaml:"support" json:"support"`
	Telemetry Part `yaml:"telemetry" json:"telemetry"`
}

// Part is one layer as the hub uses it. Countries are ISO 3166 two-letter
// codes, or EU or EEA for any of their members. What is left out is unknown,
// and counts against the host.
type Part struct {
	NotUsed      string        `yaml:"not_used,omitempty" json:"not_used,omitempty"`                   // why the hub does not use this layer; then nothing else stands here
	Own          bool          `yaml:"own,omitempty" json:"own,omitempty"`                             // run by the hub's own body: nobody else to certify
	Service      string        `yaml:"service,omitempty" json:"service,omitempty"`                     // what is bought, by its commercial name
	Operator     string        `yaml:"operator,omitempty" json:"operator,omitempty"`                   // company that runs it
	OperatorSeat string        `yaml:"operator_seat,omitempty" json:"operator_seat,omitempty"`         // country of its seat, central administration and main establishment
	Parent       string        `yaml:"parent,omitempty" json:"parent,omitempty"`                       // who ultimately controls the operator
	ParentLaw    string        `yaml:"parent_law,omitempty" json:"parent_law,omitempty"`               // country whose law binds the parent
	DataIn       []string      `yaml:"data_in,omitempty" json:"data_in,omitempty"`                     // countries where this layer's data lie
	AdminFrom    []string      `yaml:"administered_from,omitempty" json:"administered_from,omitempty"` // countries from which it is administered and supervised
	Ownership    *Ownership    `yaml:"ownership,omitempty" json:"ownership,omitempty"`
	ThirdParties []ThirdParty  `yaml:"third_parties,omitempty" json:"third_parties,omitempty"`                 // suppliers from outside the EU or controlled from there
	NoThirdParty bool          `yaml:"no_third_party,omitempty" json:"no_third_party,omitempty"`               // stated: there is none such
	Rights       string        `yaml:"fundamental_rights,omitempty" json:"fundamental_rights,omitempty"`       // what shows respect of EU fundamental rights
	NoticeDays   int           `yaml:"notice_of_change_days,omitempty" json:"notice_of_change_days,omitempty"` // within how many days changes to any of this are told
	Certificates []Certificate `yaml:"certificates,omitempty" json:"certificates,omitempty"`
	Evidence     []Evidence    `yaml:"evidence,omitempty" json:"evidence,omitempty"`
}

// Ownership is the share of non-EU entities in the operator (SecNumCloud 3.2,
// 19.6.b), capital or votes, whichever is more, in percent.
type Ownership struct {
	Largest float64 `yaml:"non_eu_largest_percent" json:"non_eu_largest_percent"`
	Total   float64 `yaml:"non_eu_total_percent" json:"non_eu_total_percent"`
	Veto    *bool   `yaml:"non_eu_veto" json:"non_eu_veto"`     // they can veto; unknown if absent
	Boards  *bool   `yaml:"non_eu_boards" json:"non_eu_boards"` // they can name most members of a board; unknown if absent
}

// ThirdParty is a supplier under extra-EU law (SecNumCloud 3.2, 19.6.c and d).
type ThirdParty struct {
	Name          string `yaml:"name" json:"name"`
	Law           string `yaml:"law" json:"law"`
	Role          string `yaml:"role" json:"role"`
	Data          *bool  `yaml:"can_reach_data" json:"can_reach_data"`                     // technical possibility; unknown if absent
	TechnicalData *bool  `yaml:"can_reach_technical_data" json:"can_reach_technical_data"` // identities, logs, directory, certificates, access settings
	Autonomy      string `yaml:"autonomy" json:"autonomy"`                                 // own_skills, two_alternatives, qualified or none
}

// Schemes of certificates.
const (
	SecNumCloud = "SecNumCloud"
	HDS         = "HDS"
	ISO27001    = "ISO 27001"
)

// Activities of an HDS certificate (code de la santé publique, R.1111-9, in our words).
var Activities = []string{"sites", "hardware", "virtual", "platform", "operation", "backup"}

// Certificate is what a third party attested, for whom exactly and until when.
type Certificate struct {
	Scheme     string      `yaml:"scheme" json:"scheme"`
	Version    string      `yaml:"version" json:"version"`
	Service    string      `yaml:"service" json:"service"`                           // the service it names; must be the one that is used
	Covers     []Layer     `yaml:"covers,omitempty" json:"covers,omitempty"`         // layers it names; must hold the one it stands under
	Activities []string    `yaml:"activities,omitempty" json:"activities,omitempty"` // HDS only
	Number     string      `yaml:"number" json:"number"`
	From       strict.Date `yaml:"from" json:"from"`
	Until      strict.Date `yaml:"until" json:"until"`
	Source     string      `yaml:"source" json:"source"`
}

// Evidence is where a statement of the layer was read.
type Evidence struct {
	Says string      `yaml:"says" json:"says"`
	URL  string      `yaml:"url" json:"url"`
	Read strict.Date `yaml:"read" json:"read"`
}

// Part gives one layer.
func (s *Stack) Part(l Layer) *Part {
	return map[Layer]*Part{IaaS: &s.IaaS, CaaS: &s.CaaS, PaaS: &s.PaaS, SaaS: &s.SaaS, Support: &s.Support, Telemetry: &s.Telemetry}[l]
}

// Current says whether the certificate is in force at an instant. One without
// a number or without its dates never is: nobody could check it.
func (c Certificate) Current(at time.Time) bool {
	return c.Number != "" && !c.From.IsZero() && !c.Until.IsZero() && !at.Before(c.From.Start()) && at.Before(c.Until.End())
}

// Lapsed says whether the certificate has an end and it has passed.
func (c Certificate) Lapsed(at time.Time) bool { return !c.Until.IsZero() && !at.Before(c.Until.End()) }

// CheckDates fails with Invalid if a certificate of the host has lapsed or has
// not begun: who puts a hub on a host does not rest on either.
func (h *Host) CheckDates(at time.Time) error {
	for _, l := range Layers {
		for _, c := range h.Layers.Part(l).Certificates {
			name := fmt.Sprintf("the certificate %s %s of layer %s of host %s", c.Scheme, c.Version, l, h.Name)
			switch {
			case c.Lapsed(at):
				return invalid(name + " lapsed on " + c.Until.String()).
					WithHint("ask the operator for the new one and write its number and dates, or take the certificate out")
			case !c.From.IsZero() && at.Before(c.From.Start()):
				return invalid(name + " begins only on " + c.From.String()).WithHint("wait until then, or take the certificate out")
			}
		}
	}
	return nil
}

//go:embed examples/*.yaml
var examples embed.FS

// Examples gives the shipped descriptors by name: dated examples with their
// sources, to be checked against the host's own papers before they are used.
func Examples() ([]*Host, error) {
	files, err := fs.ReadDir(examples, "examples")
	if err != nil {
		return nil, havre.E("host", havre.Internal, "the examples are not in the program").Wrap(err)
	}
	var all []*Host
	for _, f := range files {
		h, err := Example(strings.TrimSuffix(f.Name(), ".yaml"))
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

// Example gives one shipped descriptor, or fails with NotFound.
func Example(name string) (*Host, error) {
	b, err := ExampleText(name)
	if err != nil {
		return nil, err
	}
	return Parse("the shipped host "+name, b)
}

// ExampleText gives a shipped descriptor as it is written.
func ExampleText(name string) ([]byte, error) {
	b, err := examples.ReadFile(path.Join("examples", name+".yaml"))
	if err != nil {
		return nil, havre.E("host", havre.NotFound, fmt.Sprintf("no host %.60q is shipped with Havre%s", name, havre.Nearest(name, names()))).
			WithHint("havre host list shows them; a descriptor of your own is named by its file")
	}
	return b, nil
}

func names() (all []string) {
	files, _ := fs.ReadDir(examples, "examples")
	for _, f := range files {
		all = append(all, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return all
}

// Text writes a descriptor as YAML that Parse reads back.
func (h *Host) Text() ([]byte, error) {
	b, err := yaml.Marshal(h)
	if err != nil {
		return nil, havre.E("host", havre.Internal, "the descriptor cannot be written").Wrap(err)
	}
	return b, nil
}

// Parties lists the operators and parents of the layers in use, each once, in
// the order of the layers, as "operator (law)".
func (h *Host) Parties() (all []string) {
	for _, l := range Layers {
		p := h.Layers.Part(l)
		if p.NotUsed != "" {
			continue
		}
		for _, who := range []string{p.Operator + " (" + p.OperatorSeat + ")", p.Parent + " (" + p.ParentLaw + ")"} {
			if !slices.Contains(all, who) {
				all = append(all, who)
			}
		}
	}
	return all
}

func invalid(message string) *havre.Error { return havre.E("host", havre.Invalid, message) }
