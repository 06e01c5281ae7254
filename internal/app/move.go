package app

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/move"
)

// MoveRequest is one step of a move or a drill, for a hub that is open in this
// process or in another one (havre serve), which gets it as JSON.
type MoveRequest struct {
	Act        string           `json:"act"` // "plan", "run", "verify", "finish", "back", "drill", "status"
	By         string           `json:"by,omitempty"`
	To         string           `json:"to,omitempty"`       // plan, drill: URL of the other store
	Host       *descriptor.Host `json:"host,omitempty"`     // plan, drill: who runs that store
	PerGB      string           `json:"per_gb,omitempty"`   // plan, drill: egress price
	Currency   string           `json:"currency,omitempty"` // of it
	Notice     time.Time        `json:"notice,omitzero"`
	ID         string           `json:"id,omitempty"`         // finish: the move meant
	Custodians []string         `json:"custodians,omitempty"` // finish: who opens the key ring from then on; none = those of now, renewed
	Leave      bool             `json:"leave,omitempty"`      // back: the new copy stays where it is
	Pace       move.Pace        `json:"pace"`
	Studies    []ReferenceStudy `json:"studies,omitempty"` // verify, drill
}

// MoveResult is what a step found; fields of other steps are empty.
type MoveResult struct {
	Plan   *move.Plan   `json:"plan,omitempty"`
	Status *move.Status `json:"status,omitempty"`
	Report []byte       `json:"report,omitempty"` // signed (drill, finish)
	Moved  *record.Move `json:"moved,omitempty"`  // what stands in it
}

// The act between the two halves of finish; only this package asks for it.
const actRekey = "rekey"

// Move does one step of a move of the hub at dir. If another process has the
// hub open and serves, that one does it.
func Move(ctx context.Context, dir string, r MoveRequest, p havre.Progress) (MoveResult, error) {
	if r.Act == "finish" {
		// The keys change first; then the hub is opened again, so that nothing is
		// sealed to the old ones any more.
		rekey := r
		rekey.Act = actRekey
		if _, err := moveOnce(ctx, dir, rekey, p, 0); err != nil {
			return MoveResult{}, err
		}
		return moveOnce(ctx, dir, r, p, reopening)
	}
	return moveOnce(ctx, dir, r, p, 0)
}

func moveOnce(ctx context.Context, dir string, r MoveRequest, p havre.Progress, patience time.Duration) (res MoveResult, err error) {
	for end := time.Now().Add(patience); ; {
		h, err := OpenHub(ctx, dir)
		if havre.KindOf(err) != havre.Locked {
			if err != nil {
				return MoveResult{}, err
			}
			res, err = h.Move(ctx, r, p)
			return res, errors.Join(err, h.Close())
		}
		res, derr := askDoor(ctx, dir, r, p)
		if !errors.Is(derr, errNoDoor) {
			return res, derr
		}
		// A hub that just changed its keys opens again.
		if time.Now().After(end) {
			return MoveResult{}, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return MoveResult{}, ctx.Err()
		}
	}
}

// reopening is how long a serving hub may take to open again: what is being
// delivered to it ends first.
const reopening = 75 * time.Second

// Move does one step of a move of this hub.
func (h *Hub) Move(ctx context.Context, r MoveRequest, p havre.Progress) (MoveResult, error) {
	if p == nil {
		p = havre.NoProgress
	}
	m := h.moves.With(p, moveKeys{h, r}, examiner{h, r.Studies})
	if err := h.mayMove(ctx, r); err != nil {
		return MoveResult{}, err
	}
	status := func(s move.Status, err error) (MoveResult, error) { return MoveResult{Status: &s}, err }
	plan := move.PlanOptions{To: r.To, Actor: r.By, PerGB: r.PerGB, Currency: r.Currency, Notice: r.Notice}
	if r.Host != nil {
		b, err := json.Marshal(r.Host)
		if err != nil {
			return MoveResult{}, havre.E("move", havre.Internal, "the host's descriptor has no JSON form").Wrap(err)
		}
		plan.Host = b
	}
	switch r.Act {
	case "plan":
		p, err := m.Plan(ctx, plan)
		return MoveResult{Plan: &p}, err
	case "run":
		return status(m.Run(ctx, r.Pace))
	case "verify":
		return status(m.Verify(ctx, r.Pace))
	case "back":
		return status(m.Back(ctx, r.Pace, r.Leave))
	case "status":
		return status(m.Status(ctx))
	case actRekey:
		return MoveResult{}, h.rekey(ctx, m, r)
	case "finish":
		return h.reported(m.Finish(ctx, r.ID, r.Pace))
	case "drill":
		return h.reported(m.Drill(ctx, plan, r.Pace))
	}
	return MoveResult{}, havre.E("move", havre.Usage, "there is no step "+r.Act+" of a move")
}

func (h *Hub) reported(signed []byte, err error) (MoveResult, error) {
	if err != nil {
		return MoveResult{}, err
	}
	m, err := record.VerifyMove(signed, h.home.signer.Public())
	return MoveResult{Report: signed, Moved: m}, err
}

// MoveReport gives a signed report of the hub at dir, the last one if id is "".
func (h *Hub) MoveReport(ctx context.Context, id string) (MoveResult, error) {
	all, err := move.Reports(ctx, h.Meta)
	if err != nil {
		return MoveResult{}, err
	}
	for _, r := range slices.Backward(all) {
		if id == "" || r.ID == id {
			return h.reported(r.Signed, nil)
		}
	}
	return MoveResult{}, havre.E("move.report", havre.NotFound, "this hub has no signed report "+id+" of a move or drill").
		WithHint("a report is signed when a move or drill is finished: havre move status")
}

// rekey puts the new host on record, where one was named, and changes the keys.
func (h *Hub) rekey(ctx context.Context, m *move.Mover, r MoveRequest) error {
	s, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if len(s.Host) > 0 && s.State == move.Verified && s.ID == r.ID {
		var d descriptor.Host
		if err := json.Unmarshal(s.Host, &d); err != nil {
			return havre.E("move", havre.Internal, "the descriptor kept with the plan cannot be read").Wrap(err)
		}
		may, err := h.Host.MayPlace(ctx, host.Store, &d)
		if err != nil {
			return err
		}
		if _, err := h.Host.Place(ctx, host.Store, &d, may.Data, havre.NewPersonal(r.By)); err != nil {
			return err
		}
	}
	return m.Rekey(ctx, r.ID)
}

// mayMove demands an operator, and for a new place what the policy and the
// keys demand of it, before the first byte.
func (h *Hub) mayMove(ctx context.Context, r MoveRequest) error {
	if r.Act == "status" {
		return nil
	}
	roles, err := h.Permits.Roles(ctx, r.By)
	if err != nil {
		return err
	}
	if !slices.Contains(roles, havre.RoleOperator) {
		return havre.E("move", havre.Refused, "only an account with the role "+string(havre.RoleOperator)+" moves the hub").
			WithHint("havre account add makes one; name it with --as")
	}
	if r.Act != "plan" && r.Act != "drill" {
		return nil
	}
	conf := h.Config
	conf.Store = r.To
	if err := checkPlace(custodians(h.home.ring), h.home.dir, conf); err != nil {
		return err
	}
	s, err := h.Host.Standing(ctx)
	if err != nil {
		return err
	}
	placed := slices.ContainsFunc(s.Stands, func(x host.Stand) bool { return x.Role == host.Store })
	switch {
	case r.Host != nil:
		_, err := h.Host.MayPlace(ctx, host.Store, r.Host)
		return err
	case placed:
		return havre.E("move", havre.Refused, "the hub's host is on record, so the host of the new store must be named too").
			WithHint("--host NAME_OR_FILE (havre host list); a machine of your own is described like any other")
	}
	return nil
}

// attachMove puts the store that is open now behind h.Store and settles what a
// crash left of a move. Nothing has written yet.
func (h *Hub) attachMove(ctx context.Context) error {
	live := move.NewLive(h.Store)
	h.Store = live
	var err error
	h.moves, err = move.Attach(ctx, move.Config{Hub: h.Config.Name, Origin: logOrigin(h.Config.Name), Live: live, DB: h.Meta, Log: h.Log,
		Signer: h.home.signer, Home: moveHome{h}, Examiner: examiner{h: h}, ContentHash: contentHash, Now: havre.SystemNow,
		Mirror: func(ctx context.Context) error {
			_, err := h.Mirror(ctx)
			return err
		}})
	return err
}

// contentHash knows the objects that the warehouse names by their hash.
func contentHash(name string) string {
	for _, kind := range []string{"segment/", "rejected/"} {
		if rest, ok := strings.CutPrefix(name, kind); ok && len(rest) == 2+1+64 && rest[2] == '/' {
			return rest[3:]
		}
	}
	return ""
}

// moveHome is the hub's configuration for package move.
type moveHome struct{ h *Hub }

func (m moveHome) Store() (string, error) {
	conf := config.DefaultHub()
	err := config.Read(m.h.home.dir, &conf)
	return conf.Store, err
}

func (m moveHome) SetStore(url string) error {
	conf := config.DefaultHub()
	if err := config.Read(m.h.home.dir, &conf); err != nil {
		return err
	}
	conf.Store = url
	return config.Replace(m.h.home.dir, conf)
}

func (m moveHome) Open(ctx context.Context, url string, create bool) (blob.Store, error) {
	s, err := openStore(ctx, m.h.home.dir, url, create)
	if err == nil {
		m.h.stores = append(m.h.stores, s)
	}
	return s, err
}

func (m moveHome) Absolute(url string) string {
	if p, ok := strings.CutPrefix(url, "file:"); ok && !filepath.IsAbs(p) {
		if dir, err := filepath.Abs(m.h.home.dir); err == nil {
			return "file:" + filepath.Join(dir, p)
		}
	}
	return url
}

// moveKeys changes the custodians at the end of a move.
type moveKeys struct {
	h *Hub
	r MoveRequest
}

func (k moveKeys) Custodians(context.Context) ([]string, error) {
	return strings.Fields(names(custodians(k.h.home.ring))), nil
}

func (k moveKeys) Rotate(ctx context.Context) error {
	_, err := k.h.RotateKeys(ctx, Rotation{To: k.r.Custodians, By: k.r.By, Reason: "the hub moved: " + k.r.ID})
	return err
}

// exportMoves writes the signed reports of moves and drills for outsiders.
func (h *Hub) exportMoves(ctx context.Context, dir string) error {
	all, err := move.Reports(ctx, h.Meta)
	if err != nil || len(all) == 0 {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return havre.E("export", havre.NoSpace, "the folder "+dir+" cannot be written").Wrap(err)
	}
	for _, r := range all {
		if err := writeNew(filepath.Join(dir, r.ID+".json"), r.Signed); err != nil {
			return err
		}
	}
	return nil
}
