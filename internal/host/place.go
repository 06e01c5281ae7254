package host

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/host/placement"
	"github.com/havre-hub/havre/internal/host/strict"
	"github.com/havre-hub/havre/internal/host/words"
)

// Role is what the hub uses a host for.
type Role string

// The roles. The store sees ciphertext; the machine that the hub runs on sees
// its memory.
const (
	Store   Role = "store"
	Compute Role = "compute"
)

// Roles lists them.
var Roles = []Role{Store, Compute}

// ByCriteria is why a placement is allowed when no derogation was needed.
const ByCriteria = "criteria"

// Placement is the decision that a role of the hub stands on a host, for data
// of a class.
type Placement struct {
	Head
	Role   Role             `json:"role"`
	Data   placement.Class  `json:"data"`
	Host   *descriptor.Host `json:"host"`
	By     string           `json:"by"`     // "criteria", or the derogation's id
	Failed []string         `json:"failed"` // rules that do not hold, "iaas: SecNumCloud 19.6.b"
}

// Derogation lets data of a class lie, until a day, on a host where the
// criteria do not hold.
type Derogation struct {
	Head
	ID        string          `json:"id"` // "dg-0001"
	Host      string          `json:"host"`
	Data      placement.Class `json:"data"`
	Authority string          `json:"authority"` // who granted it
	Reference string          `json:"reference"` // of the decision
	Reasons   string          `json:"reasons"`
	Until     strict.Date     `json:"until"` // its last day, UTC
}

// Live says whether the derogation is in force.
func (d Derogation) Live(at time.Time) bool { return at.Before(d.Until.End()) }

// Place puts a role of the hub on a host for data of a class. It fails with
// Invalid if a certificate of the descriptor is not in force, and with Refused
// if the criteria do not hold, for this role or another one that would then
// carry the same data, and no derogation is on record; the refusal is logged,
// and the hub is as it was.
func (o *Office) Place(ctx context.Context, role Role, h *descriptor.Host, data placement.Class, by havre.Personal[string]) (Placement, error) {
	o.deciding.Lock()
	defer o.deciding.Unlock()
	head, err := o.next(ctx, kindPlacement)
	if err != nil {
		return Placement{}, err
	}
	p := Placement{Head: head, Role: role, Data: data, Host: h}
	facts := map[string]string{"role": string(role), "host": h.Name, "descriptor_sha256": sign.Digest(h), "data": string(data)}
	against, err := o.judge(ctx, &p)
	if err != nil {
		return Placement{}, err
	}
	if against != nil {
		facts["failed"] = strings.Join(rules(against.Verdict), ", ")
		if err := o.refused(ctx, facts, by); err != nil {
			return Placement{}, err
		}
		return Placement{}, notPlaced(against)
	}
	facts["by"] = p.By
	_, err = o.keep(ctx, p, decision{"host.placed", h.Name, facts, by})
	return p, err
}

// MayPlace says what Place would, for the data that the hub holds by its
// record, and decides nothing: who plans a move asks it first. Data are
// national-base where nothing is on record yet.
func (o *Office) MayPlace(ctx context.Context, role Role, h *descriptor.Host) (Placement, error) {
	placed, err := o.placed(ctx)
	if err != nil {
		return Placement{}, err
	}
	p := Placement{Head: Head{Hub: o.Hub, Kind: kindPlacement, At: o.Now().UTC()}, Role: role, Data: placement.NationalBase, Host: h}
	if now := placed[role]; now != nil {
		p.Data = now.Doc.Data
	}
	against, err := o.judge(ctx, &p)
	if err == nil && against != nil {
		err = notPlaced(against)
	}
	return p, err
}

// judge fills in by what a placement is allowed, or gives the role where it,
// or what then follows from it, is not.
func (o *Office) judge(ctx context.Context, p *Placement) (against *Stand, err error) {
	if !slices.Contains(Roles, p.Role) {
		return nil, havre.E("host.set", havre.Invalid, fmt.Sprintf("a host is for store or compute, not %.30q", p.Role))
	}
	if err := p.Host.CheckDates(p.At); err != nil {
		return nil, err
	}
	placed, err := o.placed(ctx)
	if err != nil {
		return nil, err
	}
	derogations, err := o.Derogations(ctx)
	if err != nil {
		return nil, err
	}
	p.Failed = []string{}
	placed[p.Role] = &Kept[Placement]{Doc: *p}
	for _, s := range stands(placed, derogations, p.At) {
		if s.By == "" {
			return &s, nil
		}
		if s.Role == p.Role {
			p.By, p.Failed = s.By, rules(s.Verdict)
		}
	}
	return nil, nil
}

func notPlaced(s *Stand) error {
	return havre.E("host.set", havre.Refused, fmt.Sprintf("%s data may not be placed on %s (%s): %s", s.Verdict.Data, s.Verdict.Host, s.Role, s.Verdict.Why(words.EN))).
		WithHint("havre host check shows every criterion; choose another host, or put an authority's derogation on record: havre host derogation add")
}

func (o *Office) refused(ctx context.Context, facts map[string]string, by havre.Personal[string]) error {
	if o.Log == nil {
		return nil // nothing can be decided from here, and keep says so
	}
	_, err := o.Log.Record(ctx, audit.Event{Action: "host.refused", Actor: by, Subject: facts["host"], Facts: facts})
	return err
}

// Derogate puts a derogation on record. Its end must lie ahead.
func (o *Office) Derogate(ctx context.Context, d Derogation, by havre.Personal[string]) (Derogation, error) {
	const op = "host.derogation"
	o.deciding.Lock()
	defer o.deciding.Unlock()
	head, err := o.next(ctx, kindDerogation)
	if err != nil {
		return Derogation{}, err
	}
	d.Head, d.ID = head, fmt.Sprintf("dg-%04d", head.Number)
	for _, need := range []struct{ name, value string }{{"host", d.Host}, {"authority", d.Authority}, {"reference", d.Reference}, {"reasons", d.Reasons}} {
		if strings.TrimSpace(need.value) == "" || len(need.value) > 4000 {
			return Derogation{}, havre.E(op, havre.Invalid, "a derogation needs its "+need.name+", in at most 4000 characters")
		}
	}
	if _, err := placement.ParseClass(string(d.Data)); err != nil {
		return Derogation{}, err
	}
	if d.Until.IsZero() || !d.Live(head.At) {
		return Derogation{}, havre.E(op, havre.Invalid, fmt.Sprintf("a derogation ends on a day that lies ahead; %q does not", d.Until)).
			WithHint("write its last day, --until 2027-12-31")
	}
	_, err = o.keep(ctx, d, decision{"host.derogated", d.ID, map[string]string{"host": d.Host, "data": string(d.Data), "authority": d.Authority,
		"reference": d.Reference, "until": d.Until.String()}, by})
	return d, err
}

// Derogations lists all on record, oldest first, those that ended too.
func (o *Office) Derogations(ctx context.Context) ([]Derogation, error) {
	kept, err := load[Derogation](ctx, o, kindDerogation)
	if err != nil {
		return nil, err
	}
	all := []Derogation{}
	for _, k := range kept {
		all = append(all, k.Doc)
	}
	return all, nil
}

// placed gives the newest placement of each role.
func (o *Office) placed(ctx context.Context) (map[Role]*Kept[Placement], error) {
	kept, err := load[Placement](ctx, o, kindPlacement)
	if err != nil {
		return nil, err
	}
	out := map[Role]*Kept[Placement]{}
	for i := range kept {
		out[kept[i].Doc.Role] = &kept[i]
	}
	return out, nil
}

// Stand is where one role stands at an instant.
type Stand struct {
	Role       Role               `json:"role"`
	Host       *descriptor.Host   `json:"host"`
	Data       placement.Class    `json:"data"` // the strictest class of all roles
	Since      time.Time          `json:"since"`
	LogIndex   int64              `json:"log_index"`
	Verdict    *placement.Verdict `json:"verdict"`
	By         string             `json:"by"` // "criteria", a derogation's id, or "" if neither holds any more
	Derogation *Derogation        `json:"derogation,omitempty"`
}

// stands judges every role on record. The class is the strictest of all: the
// same data pass through each.
func stands(placed map[Role]*Kept[Placement], derogations []Derogation, at time.Time) []Stand {
	data := placement.Synthetic
	for _, p := range placed {
		if slices.Index(placement.Classes, p.Doc.Data) < slices.Index(placement.Classes, data) {
			data = p.Doc.Data
		}
	}
	var all []Stand
	for _, role := range Roles {
		p, ok := placed[role]
		if !ok {
			continue
		}
		s := Stand{Role: role, Host: p.Doc.Host, Data: data, Since: p.Doc.At, LogIndex: p.LogIndex, Verdict: placement.Judge(p.Doc.Host, data, at)}
		if s.Verdict.Allowed {
			s.By = ByCriteria
		} else {
			for i, d := range derogations {
				if d.Host != p.Doc.Host.Name || d.Data != data {
					continue
				}
				s.Derogation = &derogations[i] // the newest, even one that ended
				s.By = ""
				if d.Live(at) {
					s.By = d.ID
				}
			}
		}
		all = append(all, s)
	}
	return all
}

func rules(v *placement.Verdict) []string {
	all := []string{}
	for _, f := range v.Failed() {
		all = append(all, string(f.Layer)+": "+f.Rule)
	}
	return slices.Compact(all)
}

// Clock is what a derogation's end makes due.
type Clock struct {
	Days       int         `json:"days"`        // until its last day; below zero when it has passed
	Alarm      bool        `json:"alarm"`       // half a year or less
	DrillEvery int         `json:"drill_every"` // days between two rehearsals of leaving, from now on
	NoticeBy   strict.Date `json:"notice_by"`   // last day to give the host notice: 2 months and a transition of 30 days before the end (Data Act, Art. 25(2))
	ReadOnly   strict.Date `json:"read_only"`   // first day on which nothing is written any more
}

// ClockOf says what is due at an instant. The nearer the end, the more often
// leaving is rehearsed.
func (d Derogation) ClockOf(at time.Time) Clock {
	c := Clock{Days: d.Until.Days(at), NoticeBy: d.Until.AddDate(0, -2, -30), ReadOnly: d.Until.AddDate(0, 0, 1)}
	c.Alarm = c.Days <= 182
	switch {
	case c.Days <= 30:
		c.DrillEvery = 7
	case c.Days <= 182:
		c.DrillEvery = 30
	case c.Days <= 365:
		c.DrillEvery = 90
	default:
		c.DrillEvery = 180
	}
	return c
}

func plural(n int, one, many string) string {
	if n == 1 || n == -1 {
		return strconv.Itoa(n) + " " + one
	}
	return strconv.Itoa(n) + " " + many
}
