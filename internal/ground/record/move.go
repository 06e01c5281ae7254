package record

import (
	"math/big"
	"strconv"
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// MoveType is the type of the signed report of a move or a drill (DSSE
// payloadType). Format: docs/formats/move-report.md.
const MoveType = "application/vnd.havre.move.v1+json"

// Kinds of Move.
const (
	KindMove  = "move"
	KindDrill = "drill"
)

// Move is the report of a hub's move to another store, or of a drill, which
// does the same up to the switch and then removes the second copy.
type Move struct {
	ID   string `json:"id"` // "m-0001", "d-0002"
	Kind string `json:"kind"`
	Hub  string `json:"hub"`
	From Place  `json:"from"`
	To   Place  `json:"to"`

	Objects  int64  `json:"objects"`
	Bytes    int64  `json:"bytes"`
	Root     string `json:"root"`      // of the tree over all objects as read from the old store (ObjectLeaf)
	RootBack string `json:"root_back"` // the same, as read back from the new store

	Before Evidence `json:"before"` // what the old store holds
	After  Evidence `json:"after"`  // what the new store holds

	Times        MoveTimes        `json:"times"`
	Milliseconds map[string]int64 `json:"milliseconds"` // spent on copy, read_back, freeze, verify, finish; work that a crash cut is not in it
	Runs         int              `json:"runs"`         // how often it was begun or taken up again
	Traffic      Traffic          `json:"traffic"`

	Keys    MoveKeys `json:"keys"`
	Removed Removed  `json:"removed"` // a move: the old copy; a drill: the second one
	Cost    Cost     `json:"cost"`
	Clock   Clock    `json:"clock"`

	Steps    map[string]int64 `json:"steps"`     // log position of each step before the last
	LogIndex int64            `json:"log_index"` // of the entry KIND.finished
}

// Place is a store as the report names it: no settings, no credentials.
type Place struct {
	Kind  string `json:"kind"`  // "file", "s3", "azblob"
	Where string `json:"where"` // "s3://bucket/prefix at host"
}

// Evidence is what one of the two stores holds, as the hub found it with its keys.
type Evidence struct {
	Snapshot   string      `json:"snapshot"` // Merkle root of the snapshot in force at the switch, hex
	Number     int64       `json:"number"`   // of that snapshot
	Deliveries int         `json:"deliveries"`
	Rows       int64       `json:"rows"`
	Log        LogHead     `json:"log"`     // rebuilt from the mirror in that store alone
	Studies    []StudyMark `json:"studies"` // reference studies, run on that store
}

// LogHead is a state of the log.
type LogHead struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

// StudyMark stands for the result of a study: HMAC-SHA-256, hex, under a key
// that was drawn for this move and is kept nowhere, because a bare hash of a
// small result could be guessed. Equal results have equal marks.
type StudyMark struct {
	Name string `json:"name"`
	Mark string `json:"mark"`
}

// MoveTimes are in UTC, whole seconds. A drill has no Switched and no Frozen.
type MoveTimes struct {
	Planned   time.Time `json:"planned"`
	Began     time.Time `json:"began"`
	Copied    time.Time `json:"copied"`
	Switched  time.Time `json:"switched,omitzero"`
	Verified  time.Time `json:"verified"`
	Finishing time.Time `json:"finishing"`
	Finished  time.Time `json:"finished"`
}

// Traffic is bytes of objects, without the protocol around them and without
// what a crash left uncounted.
type Traffic struct {
	Read     int64 `json:"read"`      // from the old store
	Written  int64 `json:"written"`   // to the new store
	ReadBack int64 `json:"read_back"` // from the new store
}

// MoveKeys names the custodians (by id) who could open the key ring.
type MoveKeys struct {
	Before  []string `json:"before"`
	After   []string `json:"after"`
	Changed bool     `json:"changed"` // the old wraps were destroyed
}

// Removed says what became of the copy that had to go.
type Removed struct {
	Objects  int64 `json:"objects"`  // deleted
	Probed   int64 `json:"probed"`   // names asked for afterwards
	Readable int64 `json:"readable"` // those that were still given; 0, or there is no report
}

// Cost of reading everything out once, at the price that was given.
type Cost struct {
	PerGB    string `json:"per_gb"`   // decimal, for 10^9 bytes; "0" if no price was given
	Currency string `json:"currency"` // "EUR"
	Total    string `json:"total"`    // decimal with two places
}

// Clock is the time that the Data Act allows (Regulation (EU) 2023/2854,
// Art. 25(2)(a) and (d)): notice of two months at most, then a transition of 30
// days at most. Dates are "2006-01-02".
type Clock struct {
	Notice        string `json:"notice"`         // given to the old provider
	NoticeEnds    string `json:"notice_ends"`    // two months later
	TransitionEnd string `json:"transition_end"` // 30 days after that
	InTime        bool   `json:"in_time"`        // finished no later than that day
}

// Egress is the cost of bytes at a price for 10^9 bytes, rounded half up to two
// places. It fails with Invalid if the price is not a decimal number >= 0.
func Egress(bytes int64, perGB string) (string, error) {
	price, ok := new(big.Rat).SetString(perGB)
	if !ok || price.Sign() < 0 || !decimal(perGB) {
		return "", havre.E("move.cost", havre.Invalid, "a price is a decimal number such as 0.08, not "+strconv.Quote(perGB))
	}
	total := price.Mul(price, big.NewRat(bytes, 1e9))
	return total.FloatString(2), nil
}

func decimal(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 20
}

// NewClock counts from the day of the notice.
func NewClock(notice time.Time) Clock {
	ends := addMonths(notice, 2)
	return Clock{Notice: day(notice), NoticeEnds: day(ends), TransitionEnd: day(ends.AddDate(0, 0, 30))}
}

// addMonths stays within the month: 31 December + 2 months is the last day of
// February (Regulation (EEC, Euratom) No 1182/71, Art. 3(2)(c)).
func addMonths(t time.Time, n int) time.Time {
	t = t.UTC()
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// At fills in whether a move that finished at t was in time.
func (c Clock) At(t time.Time) Clock {
	c.InTime = day(t) <= c.TransitionEnd
	return c
}

// Steps of a move, in order; the log's action is KIND.STEP, the subject its id.
// A drill has neither switching nor switched.
const (
	StepPlanned   = "planned"
	StepStarted   = "started"
	StepSwitching = "switching"
	StepSwitched  = "switched"
	StepVerified  = "verified"
	StepFinishing = "finishing"
	StepFinished  = "finished"
)

// MoveSteps lists the steps that must stand in the log, in order, without the last.
func MoveSteps(kind string) []string {
	if kind == KindDrill {
		return []string{StepPlanned, StepStarted, StepVerified, StepFinishing}
	}
	return []string{StepPlanned, StepStarted, StepSwitching, StepSwitched, StepVerified, StepFinishing}
}

// MoveStepFacts are the facts that the log's entry of a step must have.
func MoveStepFacts(m *Move, step string) map[string]string {
	objects, bytes := strconv.FormatInt(m.Objects, 10), strconv.FormatInt(m.Bytes, 10)
	switch step {
	case StepPlanned, StepStarted, StepSwitching:
		return map[string]string{"from": m.From.Where, "to": m.To.Where}
	case StepSwitched:
		return map[string]string{"objects": objects, "bytes": bytes, "root": m.Root}
	case StepVerified:
		return map[string]string{"objects": objects, "bytes": bytes, "root": m.Root, "root_back": m.RootBack,
			"snapshot": m.After.Snapshot, "rows": strconv.FormatInt(m.After.Rows, 10)}
	case StepFinishing:
		return map[string]string{"root": m.Root}
	case StepFinished:
		return map[string]string{"report_sha256": MoveDigest(m), "root": m.Root}
	}
	return nil
}

// MoveDigest is what the log keeps of a report, by the rule of PermitDigest.
func MoveDigest(m *Move) string {
	c := *m
	c.LogIndex = 0
	return sign.Digest(&c)
}

// SignMove makes the signed report.
func SignMove(m *Move, s *sign.Signer) ([]byte, error) { return sign.Sign(MoveType, m, s) }

// VerifyMove checks the signature and all that the report says of itself; the
// caller compares it with the log.
func VerifyMove(b []byte, hub ...sign.PublicKey) (*Move, error) {
	m := new(Move)
	if _, err := sign.Verify(b, MoveType, m, hub...); err != nil {
		return nil, err
	}
	if what := m.wrong(); what != "" {
		return nil, havre.E("move.verify", havre.Tampered, "the report of "+m.ID+" is signed, but "+what)
	}
	return m, nil
}

// wrong says what the report contradicts itself in, or "".
func (m *Move) wrong() string {
	total, err := Egress(m.Bytes, m.Cost.PerGB)
	notice, nerr := time.Parse(time.DateOnly, m.Clock.Notice)
	t := m.Times
	order := []time.Time{t.Planned, t.Began, t.Copied, t.Switched, t.Verified, t.Finishing, t.Finished}
	if m.Kind == KindDrill {
		order = []time.Time{t.Planned, t.Began, t.Copied, t.Verified, t.Finishing, t.Finished}
	}
	switch {
	case m.Kind != KindMove && m.Kind != KindDrill:
		return "it is neither a move nor a drill"
	case m.Root == "" || m.Root != m.RootBack:
		return "what was read back from the new store is not what the old one held"
	case len(m.Root) != 64 || m.Objects < 1 || m.Bytes < 0:
		return "it tells of no objects"
	case !m.Before.Same(m.After):
		return "the two stores do not give the same snapshot, rows or study results"
	case m.Removed.Readable != 0 || m.Removed.Probed < m.Objects:
		return "the copy that had to go was not shown to be gone"
	case err != nil || total != m.Cost.Total:
		return "its cost is not its bytes at its price"
	case nerr != nil || NewClock(notice).At(t.Finished) != m.Clock:
		return "its dates are not those of the Data Act for its notice"
	}
	for i, at := range order {
		if at.IsZero() || i > 0 && at.Before(order[i-1]) {
			return "its times are not in order"
		}
	}
	return ""
}

// Same says whether both stores hold the same data. The log of the later one
// may be longer.
func (e Evidence) Same(after Evidence) bool {
	if e.Snapshot == "" || e.Snapshot != after.Snapshot || e.Number != after.Number || e.Deliveries != after.Deliveries ||
		e.Rows != after.Rows || e.Log.Size > after.Log.Size || len(e.Studies) != len(after.Studies) {
		return false
	}
	for i, s := range e.Studies {
		if s != after.Studies[i] {
			return false
		}
	}
	return true
}
