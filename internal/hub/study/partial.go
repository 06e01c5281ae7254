package study

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/havre-hub/havre/internal/havre"
)

// partialForm is the number of the form below; it only rises. Partial results
// of another form are not read but computed again.
const partialForm = 1

// bucketPartial is the encoding of one bucket: the partial results of all
// analyses in order. Check is the SHA-256 of the study (its definition and the
// concepts that it stands for), the bucket and the partial results: so none of
// another study or bucket is ever merged, nor a damaged one. It is no
// signature; whoever carries partial results about seals them. Fields are in
// alphabetical order and there are no blanks: canonical JSON, as long as the
// partial results are.
type bucketPartial struct {
	Bucket   int               `json:"bucket"`
	Check    string            `json:"check"`
	Form     int               `json:"form"`
	Partials []json.RawMessage `json:"partials"`
}

func (m *Mapper) encode(bucket int, partials []Partial) ([]byte, error) {
	e := bucketPartial{Bucket: bucket, Form: partialForm, Partials: make([]json.RawMessage, len(partials))}
	h := sha256.New()
	fmt.Fprintf(h, "%s %d\n", m.digest, bucket)
	for i, p := range partials {
		data, err := p.Encode()
		if err != nil {
			return nil, err
		}
		e.Partials[i] = data
		fmt.Fprintf(h, "%s\n", data)
	}
	e.Check = hex.EncodeToString(h.Sum(nil))
	return CanonicalJSON(e)
}

// decode reads the partial results of a bucket. It accepts one spelling only.
func (m *Mapper) decode(bucket int, data []byte) ([]Partial, error) {
	bad := havre.E("study.partial", havre.Invalid, fmt.Sprintf("a partial result is damaged, or not one of bucket %d of this study", bucket))
	var e bucketPartial
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return nil, bad.Wrap(err)
	}
	if e.Form != partialForm || len(e.Partials) != len(m.analyses) {
		return nil, bad
	}
	out := make([]Partial, len(e.Partials))
	for i, a := range m.analyses {
		var err error
		if out[i], err = a.Decode(e.Partials[i]); err != nil {
			return nil, bad.Wrap(err)
		}
	}
	if again, err := m.encode(bucket, out); err != nil || !bytes.Equal(again, data) {
		return nil, bad
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
