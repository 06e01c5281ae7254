package deliver

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

func testNames() (*names, []ownNames) {
	n := newNames()
	own := []ownNames{
		n.add([]byte("LEFÈVRE"), []byte("d'Aubigné"), []byte("Zoé, Marie")),
		n.add([]byte("Le Gall"), nil, []byte("Jean-Paul Noël")),
		n.add([]byte("ROY"), nil, []byte("Al")),
		n.add([]byte("MARTIN"), nil, []byte("MARTIN")),
		n.add([]byte("Œuvrard"), []byte("X"), nil),
	}
	n.seal()
	return n, own
}

func TestGuard(t *testing.T) {
	n, own := testNames()
	prose, code, place := newGuarded(omop.Field{Name: "sig"}), newGuarded(omop.Field{Name: "condition_source_value"}), newGuarded(omop.Field{Name: "city"})
	nir := "2850578006084" + key(t, "2850578006084")
	corsica := "18505" + "2A00608" + "4"
	corsica += key(t, corsica)
	for _, tc := range []struct {
		column *guarded
		value  string
		person int
		want   rule
	}{
		{code, nir, 0, ruleNIR},
		{code, corsica, 0, ruleNIR},
		{code, strings.ToLower(corsica), 0, ruleNIR},
		{code, "n°" + nir[:1] + " " + nir[1:3] + " " + nir[3:5] + " " + nir[5:7] + " " + nir[7:10] + " " + nir[10:13] + " " + nir[13:], 0, ruleNIR},
		{code, nir[:13] + "-" + nir[13:], 0, ruleNIR},
		{code, nir[:13] + "." + nir[13:], 0, ruleNIR},
		{code, nir[:1] + "\u202f" + nir[1:13] + "\u00a0" + nir[13:], 0, ruleNIR},
		{code, "NIR" + nir + "X", 0, ruleNIR},
		{code, "id 12 " + nir, 0, ruleNIR},
		{code, nir[:13], 0, nothing},
		{code, nir + "1", 0, nothing},
		{code, "1" + nir, 0, nothing},
		{code, nir[:14] + string('0'+(nir[14]-'0'+1)%10), 0, nothing},
		{code, nir[:1] + "." + nir[1:], 0, nothing}, // a decimal number
		{code, "a" + nir + "f-0000", 0, nothing},    // within a UUID
		{code, "999000041000000102", 0, nothing},
		{code, "2015-10-02 10:11:12.123456", 0, nothing},
		{code, "-9223372036854775808", 0, nothing},
		{code, "06 12 34 56 78", 0, rulePhone},
		{code, "tel:06.12.34.56.78.", 0, rulePhone},
		{code, "06\u00a012\u00a034\u00a056\u00a078", 0, rulePhone},
		{code, "+33 6 12 34 56 78", 0, rulePhone},
		{code, "+33(0)612345678", 0, rulePhone},
		{code, "0033612345678", 0, rulePhone},
		{code, "0612345678", 0, nothing},
		{prose, "0612345678", 0, rulePhone},
		{prose, "rappeler au 0612345678, merci", 0, rulePhone},
		{prose, "lot A0612345678", 0, nothing},
		{prose, "06123456789", 0, nothing},
		{code, "06 12-34 56 78", 0, nothing},
		{code, "00 12 34 56 78", 0, nothing},
		{code, "12 06 12 34 56 789", 0, nothing},
		{code, "jean.roy@example.org", 0, ruleEmail},
		{code, "<a+b@x-y.co.uk>", 0, ruleEmail},
		{code, "5 mg @ 10.5", 0, nothing},
		{code, "a@b", 0, nothing},
		{code, "a @b.fr", 0, nothing},
		{code, "lefevre", 1, ruleBirthName},
		{code, "Œuvrard", 1, ruleBirthName},
		{code, "OEUVRARD", 1, ruleBirthName},
		{code, "le-gall", 0, ruleBirthName},
		{code, "MARTIN", 0, ruleBirthName},
		{code, "Lefevre 500", 1, nothing},
		{place, "Roy", 1, nothing},
		{code, "vu avec Lefèvre", 1, nothing},
		{code, "vu avec Lefèvre", 0, ruleOwnName},
		{code, "Mme D’AUBIGNE, 36 ans", 0, ruleOwnName},
		{code, "Mme Aubigne", 0, nothing},
		{code, "lefevreux", 0, nothing},
		{code, "Zoé L. et Marie LEFEVRE", 3, ruleFullName},
		{code, "LE GALL Jean Paul", 3, ruleFullName},
		{code, "LE GALL Jean", 3, nothing},
		{code, "Noël chez les Le Gall", 3, ruleFullName},
		{code, "Zoé Le Gall", 3, nothing},
		{code, "Martin Martin 2", 0, ruleFullName},
		{code, "Al Roy", 0, nothing}, // two letters are no name to look for
		{code, "white", 0, nothing},
		{code, "", 0, nothing},
		{code, strings.Repeat("mot ", 100) + "lefevre zoe", 3, ruleFullName},
	} {
		g := newGuard(n)
		for range 2 { // the second time from memory
			if got := g.check(tc.column, []byte(tc.value), own[tc.person]); got != tc.want {
				t.Errorf("%q of person %d: %q, want %q", tc.value, tc.person, got, tc.want)
			}
		}
	}
	if r := newGuard(nil).check(code, []byte("lefevre zoe"), ownNames{}); r != nothing {
		t.Errorf("without an identity file: %q", r)
	}
}

func key(t testing.TB, body string) string {
	k, ok := havre.NIRKey(body)
	if !ok {
		t.Fatalf("%s has no key", body)
	}
	return k
}

// TestSnomedExtensions: identifiers with the right partition and check digit
// are codes, though one in a hundred of them has the key of a NIR.
func TestSnomedExtensions(t *testing.T) {
	found := 0
	for n := range 98_000 {
		body := fmt.Sprintf("1850578%05d1", n+1000)
		id := body + key(t, body)
		if !snomedExtension(id) {
			continue
		}
		if !havre.ValidNIR(id) {
			continue
		}
		found++
		if hasNIR([]byte(id)) {
			t.Errorf("%s is taken for a NIR", id)
		}
		if parted := id[:13] + " " + id[13:]; !hasNIR([]byte(parted)) {
			t.Errorf("%s is written as a NIR and passes", parted)
		}
	}
	if found == 0 {
		t.Error("no identifier tried has the key of a NIR, so this test proves nothing")
	}
}

func TestIdentityColumns(t *testing.T) {
	for name, want := range map[string]bool{
		"nom": true, "Prénom": true, "birth_name": true, "GivenNames": true, "patient_name": true, "e_mail": true, "email_address": true, "TEL": true, "nir": true,
		"num_nir_1": true, "adresse2": true, "date(nom)": true, "lastName": true, "SSN": true, "IPP": true,
		"name": false, "concept_name": false, "nomenclature": false, "denominator": false, "care_site_name": false, "vendor_name": false, "unit": false, "hotel": false,
		"reveue_code_source_value": false, "production_id": false, "": false, "drug_name": false, "telemetry": false,
	} {
		if identityColumn(name) != want {
			t.Errorf("identityColumn(%q) = %v", name, !want)
		}
	}
}

var (
	slowPhone = regexp.MustCompile(`(?:^|[^0-9])0[1-9](?: [0-9]{2} [0-9]{2} [0-9]{2} [0-9]{2}|(?:\.[0-9]{2}){4}|(?:-[0-9]{2}){4}|(?:/[0-9]{2}){4})(?:[^0-9]|$)`)
	slowEmail = regexp.MustCompile(`[A-Za-z0-9_]@[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2}`)
)

// TestGuardAgainstExpressions compares the hand-written scanning with regular
// expressions on texts made of the pieces that matter.
func TestGuardAgainstExpressions(t *testing.T) {
	pieces := []string{"0", "06", "12", "34", "56", "78", " ", ".", "-", "/", "+33", "@", "a", "bc", "fr", "6", "x.", "_"}
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[bool]int{}
	for range 300_000 {
		var b bytes.Buffer
		sep := pieces[6+r.IntN(4)]
		for range 3 + r.IntN(9) {
			b.WriteString(pieces[r.IntN(len(pieces))])
			if r.IntN(3) > 0 {
				b.WriteString(sep)
			}
		}
		v := b.Bytes()
		if want := slowPhone.Match(v); want && !hasPhone(v, false) {
			t.Fatalf("a telephone number in %q passes", v)
		} else if !want && hasPhone(v, false) && !bytes.Contains(v, []byte("33")) && !bytes.Contains(v, []byte("_")) {
			t.Fatalf("%q is taken for a telephone number", v)
		} else {
			seen[want]++
		}
		if want := slowEmail.Match(v); want && !hasEmail(v) {
			t.Fatalf("an e-mail address in %q passes", v)
		}
	}
	if seen[true] < 30 {
		t.Errorf("only %d texts held a number", seen[true])
	}
}

func FuzzGuard(f *testing.F) {
	f.Add("2 85 05 78 006 084 41")
	f.Add("Zoé LEFÈVRE +33 6 12 34 56 78 a@b.fr")
	f.Add("\xff\xfe\x00")
	n, own := testNames()
	f.Fuzz(func(t *testing.T, s string) {
		g := newGuard(n)
		c := newGuarded(omop.Field{Name: "sig"})
		first := g.check(c, []byte(s), own[0])
		if again := g.check(c, []byte(s), own[0]); again != first {
			t.Errorf("%q: %q, then %q", s, first, again)
		}
		if embedded := g.check(c, []byte("x "+s+" y"), own[0]); (first == ruleNIR || first == rulePhone || first == ruleEmail || first == ruleOwnName) && embedded == nothing {
			t.Errorf("%q is %q alone and nothing within a text", s, first)
		}
	})
}

func BenchmarkGuard(b *testing.B) {
	n, own := testNames()
	g := newGuard(n)
	values := [][]byte{[]byte("9223372036854775807"), []byte("192671"), []byte("2015-10-02"), []byte("2015-10-02 10:00:00"), []byte("K92.2"), []byte("8331-1"),
		[]byte("white"), []byte("b2a6f7d3-bed4-4e23-aaf3-74bc5ad2d0c6"), []byte("36.6"), []byte("comprimé 500 mg")}
	c := newGuarded(omop.Field{Name: "x"})
	size := 0
	for _, v := range values {
		size += len(v)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		for _, v := range values {
			if g.check(c, v, own[0]) != nothing {
				b.Fatal("a hit")
			}
		}
	}
}
