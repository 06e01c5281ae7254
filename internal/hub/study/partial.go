package study

import (
	"bytes"
	"encoding/json"

	"github.com/havre-hub/havre/internal/havre"
)

// partialForm is the number of the form below; it only rises. Partial results
// of another form are not read but computed again.
const partialForm = 1

// bucketPartial is the encoding of one bucket: the partial results of all
// analyses in order, bound to the definition and the concepts that it stands
// for. Fields are in alphabetical order and values without blanks, so it is
// canonical JSON as long as the partial results are.
type bucketPartial struct {
	Digest   string            `json:"digest"`
	Form     int               `json:"form"`
	Partials []json.RawMessage `json:"partials"`
}

func (m *Mapper) encode(partials []Partial) ([]byte, error) {
	e := bucketPartial{Digest: m.digest, Form: partialForm, Partials: make([]json.RawMessage, len(partials))}
	for i, p := range partials {
		var err error
		if e.Partials[i], err = p.Encode(); err != nil {
			return nil, err
		}
	}
	return CanonicalJSON(e)
}

func (m *Mapper) decode(data []byte) ([]Partial, error) {
	bad := havre.E("study.partial", havre.Invalid, "a partial result is not one of this study")
	var e bucketPartial
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return nil, bad.Wrap(err)
	}
	if e.Digest != m.digest || e.Form != partialForm || len(e.Partials) != len(m.analyses) {
		return nil, bad
	}
	out := make([]Partial, len(e.Partials))
	for i, a := range m.analyses {
		var err error
		if out[i], err = a.Decode(e.Partials[i]); err != nil {
			return nil, err
		}
	}
	if again, err := m.encode(out); err != nil || !bytes.Equal(again, data) {
		return nil, bad // one spelling only
	}
	return out, nil
}

// CanonicalJSON writes v as RFC 8785 does, provided that the fields of its
// structs are in the order of their names and its numbers are whole and below
// 2^53.
func CanonicalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
