// Package host keeps what was decided about where the hub stands: on which
// host its store and its machine are and for which data, derogations with
// their ends, orders that suspend the hub, and frozen catalogues of
// requirements with the answers given to them. Every decision is a signed
// document, added and never changed, with its entry in the log.
//
// Children: descriptor (hosts layer by layer), placement (the rule),
// catalogue (requirements), posture (the report).
package host

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Config is what the office works with.
type Config struct {
	Hub    string // name of this hub
	DB     *meta.DB
	Signer *sign.Signer   // signs documents
	Log    audit.Recorder // nil when opened beside the process that works on the hub: then only Suspend writes
	Now    havre.Now
}

// Office decides and remembers. Safe for concurrent use. Any number of
// processes may read; whoever decides holds the log, except for Suspend.
type Office struct {
	Config
	deciding sync.Mutex // one decision at a time, so that a number is given once

	mu    sync.Mutex // guards the last order that was verified
	order verifiedOrder
}

// New makes an office.
func New(c Config) *Office { return &Office{Config: c} }

// Kinds of documents, and the types they are signed under.
const (
	kindPlacement  = "placement"
	kindDerogation = "derogation"
	kindOrder      = "order"
	kindCatalogue  = "catalogue"
	kindAnswers    = "answers"
)

func payloadType(kind string) string { return "application/vnd.havre.host-" + kind + ".v1+json" }

// Head begins every document.
type Head struct {
	Hub    string    `json:"hub"`
	Kind   string    `json:"kind"`
	Number int       `json:"number"` // within the kind, from 1
	At     time.Time `json:"at"`
}

func (h Head) head() Head { return h }

// document is any of them.
type document interface{ head() Head }

// decision is what the log tells of a document.
type decision struct {
	action  string
	subject string
	facts   map[string]string
	by      havre.Personal[string]
}

// Kept is a document as it is kept.
type Kept[T any] struct {
	Doc      T
	Signed   []byte
	SHA256   string // of Signed, hex
	LogIndex int64  // -1 while an order waits for its entry
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// next gives the head of the next document of a kind. The caller holds deciding.
func (o *Office) next(ctx context.Context, kind string) (Head, error) {
	now := o.Now()
	if err := o.DB.CheckClock(ctx, now); err != nil {
		return Head{}, err
	}
	var last int
	if err := o.DB.DB().QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM host_document WHERE kind = ?", kind).Scan(&last); err != nil {
		return Head{}, meta.Fail("host", "the documents on the host cannot be read", err)
	}
	return Head{o.Hub, kind, last + 1, now.UTC().Truncate(time.Second)}, nil
}

// keep logs and adds a document. No log record, no effect.
func (o *Office) keep(ctx context.Context, doc document, d decision) (int64, error) {
	if o.Log == nil {
		return 0, havre.E("host", havre.Locked, "another process works on the hub, so nothing can be decided from here").
			WithHint("wait until it has ended, or stop it; havre host suspend works meanwhile")
	}
	signed, err := sign.Sign(payloadType(doc.head().Kind), doc, o.Signer)
	if err != nil {
		return 0, err
	}
	pos, err := o.record(ctx, d, signed)
	if err != nil {
		return 0, err
	}
	return pos, o.insert(ctx, doc.head(), signed, d.by, pos)
}

func (o *Office) record(ctx context.Context, d decision, signed []byte) (int64, error) {
	facts := map[string]string{"document_sha256": sha(signed)}
	maps.Copy(facts, d.facts)
	pos, err := o.Log.Record(ctx, audit.Event{Action: d.action, Actor: d.by, Subject: d.subject, Facts: facts})
	return pos.Index, err
}

// insert adds the row; logged < 0 leaves its entry open.
func (o *Office) insert(ctx context.Context, h Head, signed []byte, by havre.Personal[string], logged int64) error {
	index := sql.NullInt64{Int64: logged, Valid: logged >= 0}
	_, err := o.DB.DB().ExecContext(ctx, "INSERT INTO host_document (kind, number, signed, actor, log_index) VALUES (?, ?, ?, ?, ?)",
		h.Kind, h.Number, signed, by.Reveal(), index)
	if err != nil {
		return meta.Fail("host", "the document cannot be written", err)
	}
	return nil
}

// load reads and verifies every document of a kind, oldest first.
func load[T document](ctx context.Context, o *Office, kind string) ([]Kept[T], error) {
	rows, err := o.DB.DB().QueryContext(ctx, "SELECT number, signed, log_index FROM host_document WHERE kind = ? ORDER BY number", kind)
	if err != nil {
		return nil, meta.Fail("host", "the documents on the host cannot be read", err)
	}
	var all []Kept[T]
	for rows.Next() {
		var number int
		var signed []byte
		var index sql.NullInt64
		if err := rows.Scan(&number, &signed, &index); err != nil {
			return nil, meta.Fail("host", "the documents on the host cannot be read", errors.Join(err, rows.Close()))
		}
		k, err := verify[T](o, kind, number, signed, index)
		if err == nil && number != len(all)+1 {
			err = tampered(kind, "has a gap in its numbers")
		}
		if err != nil {
			_ = rows.Close()
			return nil, err
		}
		all = append(all, k)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, meta.Fail("host", "the documents on the host cannot be read", err)
	}
	return all, nil
}

func verify[T document](o *Office, kind string, number int, signed []byte, index sql.NullInt64) (Kept[T], error) {
	k := Kept[T]{Signed: signed, SHA256: sha(signed), LogIndex: -1}
	if index.Valid {
		k.LogIndex = index.Int64
	}
	if _, err := sign.Verify(signed, payloadType(kind), &k.Doc, o.Signer.Public()); err != nil {
		return k, tampered(kind, "holds a document that this hub did not sign, or that was altered since")
	}
	if h := k.Doc.head(); h.Hub != o.Hub || h.Kind != kind || h.Number != number {
		return k, tampered(kind, "holds a document in the wrong place")
	}
	return k, nil
}

func tampered(kind, why string) error {
	return havre.E("host", havre.Tampered, "the control database's list of "+kind+" documents "+why).
		WithHint("compare it with the log, and restore the control database from its backup")
}

// Logged is a document's hash and its place in the log.
type Logged struct {
	Kind     string
	SHA256   string // of the signed document, hex; the fact document_sha256 of its entry
	LogIndex int64  // -1 while an order waits for its entry
}

// Documents lists every document that is kept, for comparing with the log.
func (o *Office) Documents(ctx context.Context) ([]Logged, error) {
	rows, err := o.DB.DB().QueryContext(ctx, "SELECT kind, signed, coalesce(log_index, -1) FROM host_document ORDER BY kind, number")
	if err != nil {
		return nil, meta.Fail("host", "the documents on the host cannot be read", err)
	}
	var all []Logged
	for rows.Next() {
		var d Logged
		var signed []byte
		if err := rows.Scan(&d.Kind, &signed, &d.LogIndex); err != nil {
			return nil, meta.Fail("host", "the documents on the host cannot be read", errors.Join(err, rows.Close()))
		}
		d.SHA256 = sha(signed)
		all = append(all, d)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, meta.Fail("host", "the documents on the host cannot be read", err)
	}
	return all, nil
}

// Actions are the log's words for decisions that are kept as documents.
var Actions = []string{"host.placed", "host.derogated", "hub.suspended", "hub.resumed", "catalogue.frozen", "catalogue.answered"}
