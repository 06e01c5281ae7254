package study

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/havre-hub/havre/internal/havre"
)

// partialForm is the number of the form below; it only rises. Partial results
// of another form are not read but computed again.
const partialForm = 1

// The encoding of one bucket is the canonical JSON
//
//	{"bucket":7,"check":"...","form":1,"partials":[...]}
//
// with the partial results of all analyses in order. check is the SHA-256 of
// the study (its definition and the concepts that it stands for), the bucket
// and the partial results: so none of another study or bucket is ever merged,
// nor a damaged one. It is no signature; whoever carries partial results about
// seals them. It is written and split by hand: a library of definitions over
// ten thousand buckets is some hundred megabytes of it, and every partial result
// is read strictly by its analysis anyway.
func (m *Mapper) encode(bucket int, partials []Partial) ([]byte, error) {
	raw := make([][]byte, len(partials))
	for i, p := range partials {
		var err error
		if raw[i], err = p.Encode(); err != nil {
			return nil, err
		}
	}
	return m.join(bucket, raw), nil
}

// join puts the encoded partial results of a bucket together.
func (m *Mapper) join(bucket int, raw [][]byte) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d\n", m.digest, bucket)
	size := 128
	for _, r := range raw {
		h.Write(r)
		h.Write([]byte{'\n'})
		size += len(r) + 1
	}
	out := make([]byte, 0, size)
	out = fmt.Appendf(out, `{"bucket":%d,"check":"%x","form":%d,"partials":[`, bucket, h.Sum(nil), partialForm)
	for i, r := range raw {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, r...)
	}
	return append(out, "]}"...)
}

// decode reads the partial results of a bucket. It accepts one spelling only.
func (m *Mapper) decode(bucket int, data []byte) ([]Partial, error) {
	bad := havre.E("study.partial", havre.Invalid, fmt.Sprintf("a partial result is damaged, or not one of bucket %d of this study", bucket))
	_, list, _ := bytes.Cut(data, []byte(`,"partials":[`))
	raw := split(bytes.TrimSuffix(list, []byte("]}")))
	if len(raw) != len(m.analyses) || !bytes.Equal(m.join(bucket, raw), data) {
		return nil, bad
	}
	out := make([]Partial, len(raw))
	for i, a := range m.analyses {
		var err error
		if out[i], err = a.Decode(raw[i]); err != nil {
			return nil, bad.Wrap(err)
		}
	}
	return out, nil
}

// split cuts a list of JSON values at its commas. Of what is not JSON it makes
// pieces that no analysis reads.
func split(list []byte) (out [][]byte) {
	depth, start, text := 0, 0, false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			out, start = append(out, list[start:i]), i+1
		}
	}
	if len(list) == 0 {
		return nil
	}
	return append(out, list[start:])
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
