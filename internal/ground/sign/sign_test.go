package sign

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/havre-hub/havre/internal/havre"
)

const docType = "application/vnd.havre.test.v1+json"

type doc struct {
	ID    string         `json:"id"`
	When  time.Time      `json:"when"`
	N     int64          `json:"n"`
	Share float64        `json:"share"`
	Names []string       `json:"names"`
	Map   map[string]int `json:"map,omitempty"`
}

func sample() doc {
	return doc{ID: "d-1 é \u2028 <&>", When: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC), N: 1 << 52, Share: 0.1, Names: []string{"b", "a"}, Map: map[string]int{"z": 1, "é": 2}}
}

func TestRoundTrip(t *testing.T) {
	s := NewSigner()
	for name, d := range map[string]doc{"full": sample(), "empty": {}, "no map": {ID: "x", Names: []string{}}} {
		b, err := Sign(docType, d, s)
		if err != nil {
			t.Fatal(err)
		}
		var got doc
		k, err := Verify(b, docType, &got, NewSigner().Public(), s.Public())
		if err != nil || k.String() != s.Public().String() {
			t.Fatalf("%s: %v", name, err)
		}
		if Digest(got) != Digest(d) {
			t.Errorf("%s: came back as %+v", name, got)
		}
	}
}

func TestKeysAsText(t *testing.T) {
	s := NewSigner()
	again, err := ParseSigner(s.Secret())
	if err != nil || again.Public().String() != s.Public().String() {
		t.Fatalf("the signer read back differs: %v", err)
	}
	p, err := ParsePublicKey(s.Public().String())
	if err != nil || p.ID() != s.Public().ID() {
		t.Fatalf("the key read back differs: %v", err)
	}
	text := s.Public().String()
	for _, bad := range []string{"", "havre-ed25519:", text[:len(text)-1], text + "A", strings.ToUpper(text), "x" + text, text[:len(text)-2] + "B=", strings.Replace(text, ":", ":\n", 1)} {
		if _, err := ParsePublicKey(bad); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%q was read: %v", bad, err)
		}
	}
	if _, err := ParseSigner(havre.NewSecret([]byte("short"))); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("a short seed: %v", err)
	}
	if got := fmt.Sprintf("%v %s %+v", s, s, s); strings.Contains(got, fmt.Sprint(s.Secret().Reveal())) || !strings.Contains(got, "[secret]") {
		t.Error("a signer prints its key")
	}
	if _, err := Sign(docType, sample(), nil); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("signing without a key: %v", err)
	}
}

// signed makes an envelope around any payload, with a sound signature.
func signed(t testing.TB, s *Signer, payloadType string, payload []byte) *dsse.Envelope {
	t.Helper()
	es, err := dsse.NewEnvelopeSigner(dsseKey{s: s, p: s.Public()})
	if err != nil {
		t.Fatal(err)
	}
	env, err := es.SignPayload(t.Context(), payloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestVerifyRefuses(t *testing.T) {
	s, other := NewSigner(), NewSigner()
	good, err := Sign(docType, sample(), s)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := Canonical(sample())
	if err != nil {
		t.Fatal(err)
	}
	env := func(e *dsse.Envelope) []byte {
		b, err := Canonical(e)
		if err != nil {
			t.Fatal(err)
		}
		return append(b, '\n')
	}
	edit := func(old, with string) []byte {
		if !bytes.Contains(payload, []byte(old)) {
			t.Fatalf("the payload has no %q", old)
		}
		return env(signed(t, s, docType, bytes.Replace(payload, []byte(old), []byte(with), 1)))
	}
	twice := signed(t, s, docType, payload)
	twice.Signatures = append(twice.Signatures, twice.Signatures[0])
	url := signed(t, s, docType, payload)
	raw, _ := base64.StdEncoding.DecodeString(url.Payload)
	url.Payload = base64.URLEncoding.EncodeToString(raw)
	nokey := signed(t, s, docType, payload)
	nokey.Signatures[0].KeyID = ""
	var indented bytes.Buffer
	_ = json.Indent(&indented, good, "", " ")

	for name, b := range map[string][]byte{
		"nothing":              nil,
		"no JSON":              []byte("hello"),
		"another signer":       env(signed(t, other, docType, payload)),
		"another type":         env(signed(t, s, "application/other", payload)),
		"two signatures":       env(twice),
		"URL base64":           env(url),
		"another key id":       env(nokey),
		"spaces":               indented.Bytes(),
		"no newline":           bytes.TrimSpace(good),
		"two newlines":         append(bytes.Clone(good), '\n'),
		"data after it":        append(bytes.Clone(good), good...),
		"an unknown field":     edit(`{"id"`, `{"a":1,"id"`),
		"a field missing":      edit(`"n":4503599627370496,`, ``),
		"a field twice":        edit(`{"id"`, `{"id":"x","id"`),
		"a field in capitals":  edit(`"id"`, `"ID"`),
		"fields out of order":  edit(`"n":4503599627370496,"names":["b","a"]`, `"names":["b","a"],"n":4503599627370496`),
		"another number":       edit(`0.1`, `0.10`),
		"another time":         edit(`12:00:00Z`, `12:00:00.0Z`),
		"a time zone":          edit(`12:00:00Z`, `12:00:00+00:00`),
		"a space":              edit(`"n":4`, `"n": 4`),
		"an escape":            edit(`é`, `\u00e9`),
		"an empty map":         edit(`{"z":1,"é":2}`, `{}`),
		"a payload of null":    env(signed(t, s, docType, []byte("null"))),
		"a payload of nothing": env(signed(t, s, docType, nil)),
	} {
		var d doc
		if _, err := Verify(b, docType, &d, s.Public()); havre.KindOf(err) != havre.Tampered {
			t.Errorf("%s: %v", name, err)
		}
	}
	var d doc
	if _, err := Verify(good, docType, &d); havre.KindOf(err) != havre.Tampered {
		t.Errorf("without keys: %v", err)
	}
	if _, err := Verify(good, docType, &d, PublicKey{}); havre.KindOf(err) != havre.Tampered {
		t.Errorf("with an empty key: %v", err)
	}
}

// FuzzMalleability: whatever verifies is byte for byte what Sign gives for the
// same document, so no document has a second spelling.
func FuzzMalleability(f *testing.F) {
	s, err := ParseSigner(havre.NewSecret(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		f.Fatal(err)
	}
	good, err := Sign(docType, sample(), s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.Replace(good, []byte(`"payload"`), []byte(`"Payload"`), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d doc
		if _, err := Verify(b, docType, &d, s.Public()); err != nil {
			return
		}
		if again, err := Sign(docType, d, s); err != nil || !bytes.Equal(again, b) {
			t.Errorf("a second spelling verifies:\n%s\n%s", b, again)
		}
	})
}

// FuzzSignedPayload lets the signer itself be careless: any payload is signed,
// and only one that is the canonical form of a doc is taken.
func FuzzSignedPayload(f *testing.F) {
	s := NewSigner()
	good, err := Canonical(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"id":"a","ID":"b"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		b, err := Canonical(signed(t, s, docType, payload))
		if err != nil {
			t.Fatal(err)
		}
		var d doc
		if _, err := Verify(append(b, '\n'), docType, &d, s.Public()); err != nil {
			return
		}
		if again, err := Canonical(d); err != nil || !bytes.Equal(again, payload) {
			t.Errorf("a second spelling is read:\n%s\n%s", payload, again)
		}
	})
}

// TestCanonicalVectors: the examples of RFC 8785, sections 3.2.2 and 3.2.3.
func TestCanonicalVectors(t *testing.T) {
	for in, want := range map[string]string{
		`{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
		  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`: `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`: "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}",
	} {
		if got, err := Canonical(json.RawMessage(in)); err != nil || string(got) != want {
			t.Errorf("%s\n gives %s (%v)\nwant %s", in, got, err, want)
		}
	}
}
