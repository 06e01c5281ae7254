package havre

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// The first number is the worked example of several public validators; the
// others were computed by hand with their rule.
func TestParseNIR(t *testing.T) {
	for _, c := range []struct {
		in, sex, dept, place            string
		year, month                     int
		provisional, fictive, certified bool
	}{
		{"2 95 10 99 126 111 93", "F", "99", "99126", 95, 10, false, false, true},
		{"255081416802538", "F", "14", "14168", 55, 8, false, false, true},
		{"180036912300130", "M", "69", "69123", 80, 3, false, false, true},
		{withKey(t, "1790397109045"), "M", "971", "97109", 79, 3, false, false, true},
		{withKey(t, "264022A004012"), "F", "2A", "2A004", 64, 2, false, false, true},
		{strings.ToLower(withKey(t, "101122B033001")), "M", "2B", "2B033", 1, 12, false, false, true},
		{withKey(t, "7850599350123"), "M", "99", "99350", 85, 5, true, false, false},
		{withKey(t, "4913075056002"), "F", "75", "75056", 91, 0, true, false, false},
		{withKey(t, "2555555751030"), "F", "55", "55751", 55, 0, false, true, false},
		{"2\u00a095\u202f10 99 126 111 93 ", "F", "99", "99126", 95, 10, false, false, true},
	} {
		n, ok := ParseNIR(c.in)
		if !ok || !ValidNIR(c.in) {
			t.Errorf("%q is refused", c.in)
			continue
		}
		year, month := n.YearMonth()
		if n.Sex() != c.sex || n.Department() != c.dept || n.BirthPlace() != c.place || year != c.year || month != c.month ||
			n.Provisional() != c.provisional || n.Fictive() != c.fictive || n.Certified() != c.certified || n.IsZero() {
			t.Errorf("%q is read as %s %s %s %d-%d provisional=%v fictive=%v certified=%v", c.in,
				n.Sex(), n.Department(), n.BirthPlace(), year, month, n.Provisional(), n.Fictive(), n.Certified())
		}
	}
}

func TestParseNIRRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty":                  "",
		"wrong key":              "295109912611194",
		"two digits swapped":     "259109912611193",
		"no key":                 "2951099126111",
		"one too many":           "2951099126111930",
		"sex 5":                  withKey(t, "5951099126111"),
		"sex 0":                  withKey(t, "0951099126111"),
		"month 0":                withKey(t, "2950099126111"),
		"month 13":               withKey(t, "2951399126111"),
		"month 29":               withKey(t, "2952999126111"),
		"month 45":               withKey(t, "2954599126111"),
		"department 00":          withKey(t, "2951000126111"),
		"commune 000":            withKey(t, "2951099000111"),
		"order 000":              withKey(t, "2951099126000"),
		"a letter elsewhere":     "29510991261A193",
		"Corsica out of place":   "295103A12611193",
		"Corsica 2C":             "295102C12611193",
		"dots":                   "2.95.10.99.126.111.93",
		"other digits":           "２95109912611193",
		"fifteen bytes of runes": "éééééééa",
	} {
		if ValidNIR(in) {
			t.Errorf("%s: %q is taken", name, in)
		}
	}
}

// Every single wrong digit and every swap of two unlike neighbours is seen:
// 97 is prime and larger than any such difference.
func TestNIRKeySeesTypingErrors(t *testing.T) {
	good := withKey(t, "1790397109045")
	for i := range 13 {
		for d := byte('0'); d <= '9'; d++ {
			if bad := good[:i] + string(d) + good[i+1:]; bad != good && ValidNIR(bad) {
				t.Errorf("%q passes for %q", bad, good)
			}
		}
		if i < 12 && good[i] != good[i+1] {
			if bad := good[:i] + string(good[i+1]) + string(good[i]) + good[i+2:]; ValidNIR(bad) {
				t.Errorf("%q passes for %q", bad, good)
			}
		}
	}
}

func TestNIRNeverPrints(t *testing.T) {
	const number = "295109912611193"
	n, _ := ParseNIR(number)
	j, err := json.Marshal(map[string]any{"a": n, "b": []NIR{n}})
	if err != nil {
		t.Fatal(err)
	}
	out := string(j) + fmt.Sprint(n, &n) + fmt.Sprintf("%v %+v %#v %s %q %x %d", n, n, n, n, n, n, n)
	if strings.Contains(out, number) || strings.Contains(out, fmt.Sprintf("%x", number)) {
		t.Errorf("a NIR was printed: %s", out)
	}
	if n.Reveal() != number || !(NIR{}).IsZero() || (NIR{}).Certified() || (NIR{}).Sex() != "" {
		t.Error("Reveal or the zero NIR is wrong")
	}
}

// FuzzParseNIR holds the parser against a slow second reading of the key and
// demands one spelling.
func FuzzParseNIR(f *testing.F) {
	for _, s := range []string{"2 95 10 99 126 111 93", "264022A00401281", "1 01 12 2b 033 001 11", "2555555751030xx", "", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := ParseNIR(s)
		if !ok {
			if !n.IsZero() {
				t.Fatal("a refused number is handed out")
			}
			return
		}
		again, ok := ParseNIR(n.Reveal())
		if !ok || again != n || len(n.Reveal()) != 15 {
			t.Fatal("the number does not read back as itself")
		}
		digits := strings.NewReplacer("2A", "19", "2B", "18").Replace(n.Reveal())
		body, _ := new(big.Int).SetString(digits[:13], 10)
		key, _ := new(big.Int).SetString(digits[13:], 10)
		if sum := body.Add(body, key); sum.Mod(sum, big.NewInt(97)).Sign() != 0 || key.Sign() == 0 {
			t.Fatal("number and key are not divisible by 97")
		}
	})
}

func withKey(t *testing.T, body string) string {
	t.Helper()
	key, ok := NIRKey(body)
	if !ok {
		t.Fatalf("no key for %q", body)
	}
	return body + key
}
