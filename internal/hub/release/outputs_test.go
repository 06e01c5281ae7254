package release_test

import (
	"bytes"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/release"
	"github.com/havre-hub/havre/internal/hub/study"
)

const vector = `{"format":"havre-outputs-1","min_count":11,"outputs":[{"cells":[{"count":20,"key":["a"],"values":{"rate":0.5}},{"key":["b"],"suppressed":true}],"dimensions":[{"categories":["a","b"],"name":"x","total":false}],"kind":"rates","measures":["rate"],"name":"t","title":"T"}]}` + "\n"

func TestOutputsFormat(t *testing.T) {
	o := []study.Output{{Name: "t", Title: "T", Kind: study.Rates, Measures: []string{"rate"},
		Dimensions: []study.Dimension{{Name: "x", Categories: []string{"a", "b"}}},
		Cells: []study.Cell{{Key: []string{"a"}, Count: 20, Values: map[string]float64{"rate": 0.5}},
			{Key: []string{"b"}, Count: 7, Suppressed: "primary:min_count"}}}}
	b := must(release.EncodeOutputs(o, 11))(t)
	if string(b) != vector {
		t.Errorf("got  %swant %s", b, vector)
	}
	for name, bad := range map[string]string{
		"empty":                       "",
		"no object":                   "[]",
		"another format":              `{"format":"havre-outputs-2","min_count":11,"outputs":[]}` + "\n",
		"another spelling":            `{"format": "havre-outputs-1","min_count":11,"outputs":[]}` + "\n",
		"an unknown field":            `{"evidence":1,"format":"havre-outputs-1","min_count":11,"outputs":[]}` + "\n",
		"something after it":          vector + vector,
		"no newline":                  vector[:len(vector)-1],
		"a hidden cell with a number": string(bytes.Replace([]byte(vector), []byte(`{"key":["b"],`), []byte(`{"count":7,"key":["b"],`), 1)),
		"a cell without number":       string(bytes.Replace([]byte(vector), []byte(`{"key":["b"],"suppressed":true}`), []byte(`{"key":["b"]}`), 1)),
	} {
		if _, _, err := release.DecodeOutputs([]byte(bad)); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What is read back and written again is the same bytes: there is no second
// spelling, and no number in a hidden cell.
func FuzzDecodeOutputs(f *testing.F) {
	f.Add([]byte(vector))
	f.Add([]byte(`{"format":"havre-outputs-1","min_count":0,"outputs":[]}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		outputs, minCount, err := release.DecodeOutputs(b)
		if err != nil {
			if havre.KindOf(err) != havre.Invalid {
				t.Fatal(err)
			}
			return
		}
		again, err := release.EncodeOutputs(outputs, minCount)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("read and written again: %q, %v", again, err)
		}
		for _, o := range outputs {
			for _, c := range o.Cells {
				if c.Suppressed != "" && (c.Count != 0 || c.Values != nil || c.Contributors != nil) {
					t.Fatalf("a hidden cell has a number: %+v", c)
				}
			}
		}
	})
}

// A signed record has one spelling: whatever bytes are taken for it say the
// same and sign the same.
func FuzzRecord(f *testing.F) {
	signer := must(sign.ParseSigner(havre.NewSecret(bytes.Repeat([]byte{7}, 32))))(f)
	r := &record.Release{ID: "r-0001", Hub: "hub", Permit: "p-0001", Files: []record.File{{Name: "t.csv", SHA256: "00", Size: 1}}, Rules: record.DefaultRules()}
	signed := must(record.SignRelease(r, signer))(f)
	f.Add(signed)
	f.Add(bytes.TrimSpace(signed))
	f.Add([]byte(`{"payload":"e30=","payloadType":"application/vnd.havre.release.v1+json","signatures":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := record.VerifyRelease(b, signer.Public())
		if err != nil {
			if havre.KindOf(err) != havre.Tampered {
				t.Fatal(err)
			}
			return
		}
		if record.ReleaseDigest(got) != record.ReleaseDigest(r) {
			t.Fatalf("another record passes for the signed one: %+v", got)
		}
	})
}
