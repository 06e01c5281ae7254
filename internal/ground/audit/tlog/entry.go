package tlog

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// EntryVersion is the version of the entry format that is written and read.
const EntryVersion = 1

// MaxEntry is the largest entry in bytes: a bundle holds its length in 16 bits.
const MaxEntry = 1<<16 - 1

// timeLayout has a fixed width, so that times have one spelling and sort as text.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Entry is one thing that happened. No field holds a personal value: Actor and
// Commitments are salted hashes (see Opening).
type Entry struct {
	Time        time.Time         // UTC, microseconds; never before the time of the entry before it
	Action      string            // "delivery.received": words of lower-case letters, digits, _ and -, joined by dots
	Actor       string            // commitment to the account or body that acted; "" is the hub itself
	Subject     string            // what was acted on; not personal
	Facts       map[string]string // public facts
	Commitments map[string]string // commitments to personal facts, by name
}

// wire is the JSON form; every field is always present.
type wire struct {
	Version     int               `json:"version"`
	Time        string            `json:"time"`
	Action      string            `json:"action"`
	Actor       string            `json:"actor"`
	Subject     string            `json:"subject"`
	Facts       map[string]string `json:"facts"`
	Commitments map[string]string `json:"commitments"`
}

var (
	actionRE     = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+$`)
	commitmentRE = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Encode gives the canonical JSON (RFC 8785) of e, the bytes that the log
// hashes. It fails with Invalid if a field is not as Entry says or the entry is
// too large.
func (e Entry) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	w := wire{EntryVersion, e.Time.UTC().Format(timeLayout), e.Action, e.Actor, e.Subject, e.Facts, e.Commitments}
	if w.Facts == nil {
		w.Facts = map[string]string{}
	}
	if w.Commitments == nil {
		w.Commitments = map[string]string{}
	}
	b, err := sign.Canonical(w)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxEntry {
		return nil, invalid("an entry of " + strconv.Itoa(len(b)) + " bytes is larger than the log takes (" + strconv.Itoa(MaxEntry) + ")").
			WithHint("log the hash of what is large, not the thing itself")
	}
	return b, nil
}

// ParseEntry reads what Encode wrote and nothing else: another spelling of the
// same entry is Invalid.
func ParseEntry(b []byte) (Entry, error) {
	var w wire
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return Entry{}, invalid("the entry is not the JSON of an entry").Wrap(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Entry{}, invalid("there is data after the entry")
	}
	if w.Version != EntryVersion {
		return Entry{}, invalid("the entry has version " + strconv.Itoa(w.Version) + "; this program reads version " + strconv.Itoa(EntryVersion)).
			WithHint("use a newer release of Havre")
	}
	t, err := time.Parse(timeLayout, w.Time)
	if err != nil {
		return Entry{}, invalid("the entry has no proper time").Wrap(err)
	}
	e := Entry{t.UTC(), w.Action, w.Actor, w.Subject, w.Facts, w.Commitments}
	again, err := e.Encode()
	if err != nil {
		return Entry{}, err
	}
	if !bytes.Equal(again, b) {
		return Entry{}, invalid("the entry is not in canonical form (RFC 8785)")
	}
	return e, nil
}

func (e Entry) check() error {
	if !actionRE.MatchString(e.Action) {
		return invalid("an entry's action is noun.verb in lower case, not " + strconv.QuoteToASCII(e.Action))
	}
	if e.Actor != "" && !commitmentRE.MatchString(e.Actor) {
		return invalid("the actor of the entry " + e.Action + " is not a commitment")
	}
	if y := e.Time.UTC().Year(); y < 1970 || y > 9999 {
		return invalid("the entry " + e.Action + " has no proper time")
	}
	if !utf8.ValidString(e.Subject) {
		return invalid("the subject of the entry " + e.Action + " is not UTF-8")
	}
	for k, v := range e.Facts {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return invalid("a fact of the entry " + e.Action + " is not UTF-8")
		}
	}
	for k, c := range e.Commitments {
		if !utf8.ValidString(k) || !commitmentRE.MatchString(c) {
			return invalid("a commitment of the entry " + e.Action + " is not 64 hex digits")
		}
	}
	return nil
}

func invalid(msg string) *havre.Error { return havre.E("audit.entry", havre.Invalid, msg) }
