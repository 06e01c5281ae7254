package synth

import "fmt"

// places are where people are born and live: communes under their INSEE code
// (official geographic code) with a weight, and countries as 99 and a number.
type places struct {
	codes       []string
	communes    int      // codes[:communes] are in France, the rest countries
	departments []string // of France, in order
	department  []uint8  // of each commune, an index into departments
	inFrance    weighted
	abroad      weighted
}

// communesPerDepartment is how many communes a department has here beside the
// large towns; their weights fall as 1/rank, so most are small.
const communesPerDepartment = 110

func newPlaces() *places {
	p := new(places)
	for n := 1; n <= 95; n++ {
		if n == 20 {
			p.departments = append(p.departments, "2A", "2B")
			continue
		}
		p.departments = append(p.departments, fmt.Sprintf("%02d", n))
	}
	p.departments = append(p.departments, "971", "972", "973", "974", "976")

	var weights []int
	add := func(code string, department, weight int) {
		p.codes = append(p.codes, code)
		p.department = append(p.department, uint8(department))
		weights = append(weights, weight)
	}
	for d, dep := range p.departments {
		known := make(map[string]bool)
		for _, t := range towns {
			if t.department() == dep {
				add(t.code, d, t.weight)
				known[t.code] = true
			}
		}
		for rank := range communesPerDepartment {
			if code := communeCode(dep, rank); !known[code] && dep != "75" {
				add(code, d, 1+60/(rank+1))
				known[code] = true
			}
		}
	}
	p.communes = len(p.codes)
	p.inFrance = newWeighted(p.communes, func(i int) int { return weights[i] })
	p.abroad = newWeighted(len(countries), func(i int) int { return countries[i].weight })
	for _, c := range countries {
		p.codes = append(p.codes, c.code)
	}
	return p
}

// communeCode numbers the small communes of a department. Corsica's share one
// sequence, because they were one department, 20, until 1976.
func communeCode(department string, rank int) string {
	switch {
	case department == "2A":
		return fmt.Sprintf("2A%03d", 2+2*rank)
	case department == "2B":
		return fmt.Sprintf("2B%03d", 1+2*rank)
	case len(department) == 3:
		return fmt.Sprintf("%s%02d", department, 1+rank%35)
	}
	return fmt.Sprintf("%s%03d", department, 1+3*rank)
}

func (p *places) drawCommune(s *stream) int { return p.inFrance.draw(s) }

// drawBirth draws a place of birth: one in eight is abroad, more among the old.
func (p *places) drawBirth(s *stream, year int) int {
	abroad := 1250
	if year >= 1990 {
		abroad = 600
	}
	if s.chance(abroad) {
		return p.communes + p.abroad.draw(s)
	}
	return p.inFrance.draw(s)
}

// isAbroad says whether a place is a country.
func (p *places) isAbroad(place int) bool { return place >= p.communes }

// bornIn gives the code as it stands in civil records and in the NIR: that of
// the day of birth, so 20 for Corsica before 1976.
func (p *places) bornIn(place, year int) string {
	code := p.codes[place]
	if year < 1976 && (code[1] == 'A' || code[1] == 'B') {
		return "20" + code[2:]
	}
	return code
}

type weightedCode struct {
	code   string
	weight int
}

// department is the part of a commune's code that names its department.
func (w weightedCode) department() string {
	if w.code[:2] == "97" {
		return w.code[:3]
	}
	return w.code[:2]
}

// towns are large communes (Paris, Marseille and Lyon by district) with the
// codes of the official geographic code and rough relative sizes.
var towns = []weightedCode{
	{"75101", 20}, {"75102", 25}, {"75103", 40}, {"75104", 60}, {"75105", 70}, {"75106", 50}, {"75107", 60}, {"75108", 45},
	{"75109", 70}, {"75110", 100}, {"75111", 160}, {"75112", 220}, {"75113", 200}, {"75114", 210}, {"75115", 250}, {"75116", 170},
	{"75117", 180}, {"75118", 210}, {"75119", 200}, {"75120", 210},
	{"13201", 70}, {"13203", 80}, {"13205", 120}, {"13208", 110}, {"13210", 80}, {"13212", 90}, {"13213", 120}, {"13215", 110},
	{"69381", 50}, {"69382", 60}, {"69383", 160}, {"69384", 90}, {"69387", 120}, {"69388", 130}, {"69389", 50},
	{"31555", 480}, {"06088", 340}, {"44109", 310}, {"34172", 290}, {"67482", 280}, {"33063", 260}, {"59350", 230}, {"35238", 220},
	{"51454", 180}, {"83137", 175}, {"42218", 170}, {"76351", 165}, {"38185", 160}, {"21231", 155}, {"49007", 150}, {"69266", 150},
	{"63113", 145}, {"30189", 145}, {"13001", 145}, {"72181", 142}, {"29019", 140}, {"37261", 136}, {"80021", 133}, {"87085", 130},
	{"74010", 128}, {"66136", 120}, {"57463", 118}, {"25056", 117}, {"45234", 115}, {"76540", 112}, {"68224", 108}, {"14118", 105},
	{"54395", 104}, {"93066", 111}, {"95018", 110}, {"93048", 109}, {"92050", 95}, {"94028", 90}, {"84007", 92}, {"86194", 89},
	{"17300", 76}, {"64445", 77}, {"62041", 55}, {"02691", 54}, {"10387", 60}, {"56121", 57}, {"22278", 45}, {"50129", 80},
	{"2A004", 70}, {"2B033", 48}, {"2B096", 12}, {"2A247", 12},
	{"97101", 55}, {"97105", 30}, {"97120", 50}, {"97209", 80}, {"97213", 40}, {"97302", 60}, {"97307", 45}, {"97411", 150},
	{"97415", 105}, {"97416", 85}, {"97422", 78}, {"97611", 90},
}

// countries of birth with their codes of the official geographic code.
var countries = []weightedCode{
	{"99352", 1200}, {"99350", 900}, {"99351", 400}, {"99139", 620}, {"99127", 300}, {"99134", 260}, {"99132", 140}, {"99109", 190},
	{"99131", 150}, {"99208", 250}, {"99341", 120}, {"99335", 90}, {"99326", 110}, {"99322", 95}, {"99312", 90}, {"99324", 70},
	{"99333", 130}, {"99397", 60}, {"99410", 95}, {"99243", 80}, {"99234", 60}, {"99216", 110}, {"99223", 50}, {"99235", 50},
	{"99416", 50}, {"99122", 110}, {"99114", 120}, {"99140", 60}, {"99121", 60}, {"99123", 70}, {"99404", 40}, {"99330", 60},
	{"99390", 45}, {"99205", 45}, {"99206", 40},
}
