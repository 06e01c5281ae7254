package synth

import (
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

// record is one line of an identity file as a linker sees it.
type record struct {
	holder, id                    string
	name, given, date, sex, place string
	nir                           havre.NIR
}

// five is the strict traits in one string, or "" when one is not known.
func (r *record) five() string {
	if r.date == placeholder {
		return ""
	}
	return strings.Join([]string{r.name, r.given, r.date, r.sex, r.place}, "|")
}

// A rule says whether two records of different holders are one person.
type rule func(a, b *record) bool

// strictRule wants all five traits, and no two certified numbers that differ.
func strictRule(a, b *record) bool {
	contradict := a.nir.Certified() && b.nir.Certified() && a.nir != b.nir
	return !contradict && a.five() != "" && a.five() == b.five()
}

// numberRule also takes a certified number shared by two records, unless first
// given name, sex or date of birth speak against it.
func numberRule(a, b *record) bool {
	if a.nir.Certified() && a.nir == b.nir {
		return a.given == b.given && a.sex == b.sex && a.date == b.date
	}
	return strictRule(a, b)
}

// link applies a rule to every two records of different holders that share a
// number or the five traits, and counts.
func link(records []record, truth map[string]string, same rule) (right, wrong int) {
	groups := make(map[string][]*record)
	for i := range records {
		r := &records[i]
		if r.nir.Certified() {
			groups[r.nir.Reveal()] = append(groups[r.nir.Reveal()], r)
		}
		if f := r.five(); f != "" {
			groups[f] = append(groups[f], r)
		}
	}
	seen := make(map[[2]*record]bool)
	for _, group := range groups {
		for i, a := range group {
			for _, b := range group[:i] {
				pair := [2]*record{b, a}
				if a.holder == b.holder || seen[pair] || seen[[2]*record{a, b}] || !same(a, b) {
					continue
				}
				seen[pair] = true
				if truth[a.holder+"/"+a.id] == truth[b.holder+"/"+b.id] {
					right++
				} else {
					wrong++
				}
			}
		}
	}
	return right, wrong
}

func readIdentities(t *testing.T, dir string) (records []record, truth map[string]string) {
	t.Helper()
	for _, h := range holders {
		for _, row := range readCSV(t, dir, "holders", h.name, "identity.csv") {
			given, _, _ := strings.Cut(row["given_names"], " ")
			n, _ := havre.ParseNIR(row["nir"])
			records = append(records, record{holder: h.name, id: row["person_id"], name: row["birth_name"], given: given,
				date: row["birth_date"], sex: row["sex"], place: row["birth_place"], nir: n})
		}
	}
	truth = make(map[string]string)
	for _, row := range readCSV(t, dir, "truth", "persons.csv") {
		truth[row["holder"]+"/"+row["person_id"]] = row["person"]
	}
	return records, truth
}

// TestExactLinkage shows that exact rules link at least 85 % of the true pairs
// and no wrong one, and that a rule without conflict checks falls for the traps.
func TestExactLinkage(t *testing.T) {
	dir, sum := population(t)
	records, truth := readIdentities(t, dir)
	if len(records) != len(truth) {
		t.Fatalf("%d identity rows, but the truth knows %d", len(records), len(truth))
	}
	pairs := int(sum.Truth.Linkage.Pairs)
	for name, same := range map[string]rule{"five traits": strictRule, "number, else five traits": numberRule} {
		right, wrong := link(records, truth, same)
		t.Logf("%s: %d of %d pairs linked (recall %.4f), %d wrong", name, right, pairs, float64(right)/float64(pairs), wrong)
		if wrong != 0 || right*100 < pairs*85 {
			t.Errorf("%s: recall %d of %d pairs, %d wrong links", name, right, pairs, wrong)
		}
	}
	gullible := func(a, b *record) bool { return a.nir == b.nir && !a.nir.IsZero() }
	if _, wrong := link(records, truth, gullible); wrong == 0 {
		t.Error("a linker that believes every number makes no mistake: the traps are not there")
	}
}

// TestTraps counts what the issue asks a population to hold.
func TestTraps(t *testing.T) {
	dir, sum := population(t)
	traps := sum.Truth.Traps
	for name, n := range map[string]int64{"twins of the same sex": traps.SameSexTwins, "other twins": traps.OtherTwins, "born abroad": traps.BornAbroad,
		"born in Corsica": traps.BornCorsica, "born overseas": traps.BornOverseas, "married names": traps.MarriedNames,
		"insured parents": traps.ParentInsures, "moves": traps.Moved, "deaths": sum.Truth.Deaths} {
		if n < 10 {
			t.Errorf("%s: only %d", name, n)
		}
	}
	records, truth := readIdentities(t, dir)
	fictive := make(map[havre.NIR]map[string]bool)
	provisional, letters := 0, 0
	for i := range records {
		r := &records[i]
		who := truth[r.holder+"/"+r.id]
		switch {
		case r.nir.Fictive():
			if fictive[r.nir] == nil {
				fictive[r.nir] = make(map[string]bool)
			}
			fictive[r.nir][who] = true
		case r.nir.Provisional():
			provisional++
		case r.nir.Department() == "2A" || r.nir.Department() == "2B":
			letters++
		}
	}
	shared := 0
	for _, persons := range fictive {
		if len(persons) > 1 {
			shared++
		}
	}
	if shared == 0 || provisional == 0 || letters == 0 {
		t.Errorf("%d fictive numbers are shared, %d numbers are provisional, %d are from Corsica's two departments", shared, provisional, letters)
	}
}
