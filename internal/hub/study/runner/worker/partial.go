package worker

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// partialHead is what a worker signs of a partial result: it belongs to one
// bucket of one round of one plan, and the worker stands for it.
type partialHead struct {
	Body   string `json:"body_sha256"`
	Bucket int    `json:"bucket"`
	Micros int64  `json:"micros"` // time spent on the bucket, in microseconds
	Plan   string `json:"plan"`
	Round  int    `json:"round"`
}

const (
	partialMark = "partial "
	errorMark   = "error "
)

// partialLine makes the line that a worker writes for a finished bucket.
func partialLine(h partialHead, partial []byte, s *sign.Signer, to seal.Recipient) (string, error) {
	h.Body = sum(partial)
	sealed, err := pack(partialType, h, partial, s, to)
	if err != nil {
		return "", err
	}
	return partialMark + base64.StdEncoding.EncodeToString(sealed), nil
}

// openPartial reads such a line. Any fault is of kind Tampered.
func openPartial(line string, k *seal.Key, workers ...sign.PublicKey) (partialHead, []byte, sign.PublicKey, error) {
	bad := func(what string, err error) (partialHead, []byte, sign.PublicKey, error) {
		return partialHead{}, nil, sign.PublicKey{}, havre.E("worker.partial", havre.Tampered, "a worker's answer "+what).
			WithHint("nothing of it was used; find out which machine or link between the workers and the hub altered it").Wrap(err)
	}
	text, ok := strings.CutPrefix(line, partialMark)
	if !ok {
		return bad("is no partial result", nil)
	}
	sealed, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // the decoder passes over ends of lines
		return bad("is no partial result", err)
	}
	var h partialHead
	body, by, err := unpack(sealed, partialType, &h, k, workers...)
	if err != nil {
		return bad("was altered, or comes from a worker that this plan was not made for", err)
	}
	if sum(body) != h.Body {
		return bad("is not the partial result that was signed", nil)
	}
	return h, body, by, nil
}

// failure is an error as a line, so that the hub can tell what happened far away.
type failure struct {
	Kind    havre.Kind `json:"kind"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
}

// ErrorLine makes the line that a worker writes before it gives up. By the rule
// of the house, messages hold no personal value.
func ErrorLine(err error) string {
	b, _ := json.Marshal(failure{havre.KindOf(err), err.Error(), havre.HintOf(err)}) // text can always be written
	return errorMark + string(b)
}

// ParseError reads such a line; ok is false if it is none.
func ParseError(line string) (err error, ok bool) {
	text, ok := strings.CutPrefix(line, errorMark)
	var f failure
	if !ok || json.Unmarshal([]byte(text), &f) != nil || f.Kind == "" {
		return nil, false
	}
	known := false
	for _, k := range havre.Kinds() {
		known = known || k == f.Kind
	}
	if !known {
		f.Kind = havre.Internal
	}
	return havre.E("worker", f.Kind, "a worker says: "+f.Message).WithHint(f.Hint), true
}
