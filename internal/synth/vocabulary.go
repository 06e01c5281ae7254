package synth

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Concepts that a study of the built-in effect names. The two drugs are
// ingredients, with two clinical drugs below each; the bleeding has three
// kinds below it.
const (
	ConceptDrugA           = 2_000_001_002
	ConceptDrugB           = 2_000_001_005
	ConceptGIBleeding      = 2_000_000_002
	conceptBleedFirst      = 2_000_000_003 // the first of its three kinds
	conceptDrugAFirst      = 2_000_001_003 // the first of two clinical drugs
	conceptDrugBFirst      = 2_000_001_006
	conceptEndoscopy       = 2_000_002_002
	conceptHaemoglobin     = 2_000_003_002
	conceptMale            = 8507 // these eight are the numbers of the OMOP standard vocabularies
	conceptFemale          = 8532
	conceptInpatient       = 9201
	conceptOutpatient      = 9202
	conceptEmergency       = 9203
	conceptFromClaim       = 32810
	conceptFromHealthFile  = 32817
	conceptCDMVersion      = 756265
	sourceConcepts         = 100_000 // source concept = standard concept + this
	vocabularyID           = "HAVRE"
	sourceVocabularyID     = "HAVRE-LOCAL"
	vocabularyRelease      = "HAVRE 1"
	conceptUnitsFrom       = 2_000_004_001
	conceptMeasurementFrom = 2_000_003_001
)

// concept is one row of the vocabulary.
type concept struct {
	id         int64
	name       string
	domain     string
	vocabulary string
	class      string
	standard   string // S, C (classification) or ""
	code       string
	parents    []int // indexes into vocabulary.concepts

	weight int // how often it is drawn; leaves only
	sex    int // male, female or anySex
	minAge int
	maxAge int
}

const anySex = 2

// A tree of concepts is written one a line, a child two spaces deeper than its
// parent. After | come a leaf's weight and, where it is not for everybody, M or
// F and the ages.
const conditionTree = `
Digestive disorder
  Gastrointestinal bleeding
    Bleeding gastric ulcer | 0
    Bleeding duodenal ulcer | 0
    Bleeding of the colon | 0
  Gastritis | 40
  Gallstones | 25 30-110
  Appendicitis | 14 5-60
  Inguinal hernia | 20 M
  Diverticulitis | 18 40-110
  Crohn disease | 5
Circulatory disorder
  Essential hypertension | 60 35-110
  Heart failure | 30 55-110
  Ischaemic heart disease | 30 40-110
  Atrial fibrillation | 28 50-110
  Stroke | 16 45-110
  Deep vein thrombosis | 12 20-110
Respiratory disorder
  Asthma | 30
  Chronic obstructive lung disease | 22 40-110
  Pneumonia | 26
  Acute bronchitis | 30
  Bronchiolitis | 20 0-2
Metabolic disorder
  Type 2 diabetes | 40 35-110
  Type 1 diabetes | 4
  Obesity | 25 10-110
  High cholesterol | 30 35-110
  Hypothyroidism | 14 20-110
Mental disorder
  Depression | 30 15-110
  Anxiety | 26 12-110
  Dementia | 16 65-110
Injury
  Wrist fracture | 18
  Hip fracture | 14 60-110
  Ankle sprain | 26 8-70
  Head injury | 20
Neoplasm
  Breast cancer | 12 F 30-110
  Prostate cancer | 12 M 50-110
  Colon cancer | 9 45-110
  Lung cancer | 9 45-110
  Skin cancer | 8 40-110
Infection
  Influenza | 20
  Urinary tract infection | 28
  Sepsis | 8
  Viral gastroenteritis | 24
Pregnancy and birth
  Normal delivery | 50 F 18-44
  Pre-eclampsia | 3 F 18-44
Musculoskeletal disorder
  Low back pain | 40 15-110
  Osteoarthritis of the knee | 26 50-110
  Osteoporosis | 14 F 55-110
Kidney disorder
  Chronic kidney disease | 16 45-110
  Kidney stone | 14 20-80
Anaemia
  Iron deficiency anaemia | 18
`

const drugTree = `
Medicine for pain in joints
  Drug A
    Drug A 10 mg oral tablet | 0
    Drug A 20 mg oral tablet | 0
  Drug B
    Drug B 50 mg oral tablet | 0
    Drug B 100 mg oral tablet | 0
Analgesic
  Paracetamol
    Paracetamol 500 mg oral tablet | 80
    Paracetamol 1 g oral tablet | 120
  Tramadol
    Tramadol 50 mg oral capsule | 25 16-110
Antibacterial
  Amoxicillin
    Amoxicillin 500 mg oral capsule | 35
    Amoxicillin 1 g oral tablet | 45
  Azithromycin
    Azithromycin 250 mg oral tablet | 15
Antihypertensive
  Ramipril
    Ramipril 5 mg oral capsule | 45 35-110
    Ramipril 10 mg oral capsule | 30 35-110
  Amlodipine
    Amlodipine 5 mg oral capsule | 45 35-110
Lipid-lowering medicine
  Atorvastatin
    Atorvastatin 20 mg oral tablet | 50 40-110
    Atorvastatin 40 mg oral tablet | 30 40-110
Antidiabetic
  Metformin
    Metformin 850 mg oral tablet | 35 35-110
    Metformin 1 g oral tablet | 30 35-110
  Insulin glargine
    Insulin glargine 100 units/mL injection | 14
Anticoagulant
  Apixaban
    Apixaban 5 mg oral tablet | 22 50-110
  Fluindione
    Fluindione 20 mg oral tablet | 8 50-110
Medicine for asthma
  Salbutamol
    Salbutamol 100 micrograms inhaler | 30
  Budesonide
    Budesonide 200 micrograms inhaler | 18
Antidepressant
  Sertraline
    Sertraline 50 mg oral capsule | 22 16-110
  Escitalopram
    Escitalopram 10 mg oral tablet | 24 16-110
Medicine against acid
  Omeprazole
    Omeprazole 20 mg oral capsule | 60 18-110
Thyroid hormone
  Levothyroxine
    Levothyroxine 75 micrograms oral tablet | 26 20-110
Antihistamine
  Cetirizine
    Cetirizine 10 mg oral tablet | 34
Contraceptive
  Levonorgestrel
    Levonorgestrel 0.15 mg oral tablet | 30 F 15-49
Vitamin
  Cholecalciferol
    Cholecalciferol 100000 units oral solution | 40
Vaccine
  Influenza vaccine
    Influenza vaccine injection | 22 60-110
`

const procedureTree = `
Endoscopy
  Endoscopy of the stomach | 25 18-110
  Colonoscopy | 28 30-110
Imaging
  Chest radiograph | 60
  Abdominal ultrasound | 40
  Computed tomography of the head | 30
  Computed tomography of the chest | 28
  Magnetic resonance imaging of the knee | 16 12-110
  Echocardiography | 34 20-110
  Mammography | 22 F 45-80
Surgery
  Removal of the gallbladder | 8 25-110
  Removal of the appendix | 8 5-60
  Hip replacement | 10 55-110
  Knee replacement | 9 55-110
  Cataract surgery | 16 55-110
  Hernia repair | 9
  Caesarean section | 7 F 18-44
Other procedure of care
  Electrocardiogram | 70
  Physiotherapy session | 40
  Blood transfusion | 8
  Plaster cast | 14
  Dialysis session | 5 40-110
`

// laboratory lists the measurements with mean, deviation and range in tenths
// of the unit, or in units where whole is set.
var laboratory = []struct {
	name, unit          string
	whole               bool
	mean, sd, low, high int
	weight              int
}{
	{"Haemoglobin", "g/dL", false, 138, 16, 120, 170, 60},
	{"White blood cells", "10^9/L", false, 72, 22, 40, 100, 55},
	{"Platelets", "10^9/L", true, 250, 60, 150, 400, 55},
	{"Creatinine", "micromol/L", true, 78, 20, 50, 110, 55},
	{"Sodium", "mmol/L", true, 140, 3, 135, 145, 50},
	{"Potassium", "mmol/L", false, 42, 4, 35, 51, 50},
	{"Glucose", "mmol/L", false, 56, 12, 40, 61, 40},
	{"Glycated haemoglobin", "%", false, 58, 9, 40, 60, 18},
	{"C-reactive protein", "mg/L", true, 9, 12, 0, 5, 45},
	{"Alanine aminotransferase", "U/L", true, 28, 12, 5, 45, 35},
	{"Bilirubin", "micromol/L", true, 11, 4, 3, 21, 25},
	{"Total cholesterol", "mmol/L", false, 52, 9, 30, 52, 25},
	{"Thyrotropin", "mU/L", false, 20, 8, 4, 40, 18},
	{"Ferritin", "microgram/L", true, 120, 60, 30, 300, 15},
	{"Systolic blood pressure", "mmHg", true, 130, 16, 90, 140, 40},
	{"Body weight", "kg", false, 720, 140, 400, 1200, 25},
}

// chronicIllnesses are the illnesses for which the payer covers care in full:
// chances in 10,000 at fromAge, and how many more a year of age.
var chronicIllnesses = []struct {
	name                  string
	fromAge, chance, more int
}{
	{"Essential hypertension", 40, 200, 35},
	{"Type 2 diabetes", 40, 150, 26},
	{"Asthma", 5, 120, 4},
	{"Chronic obstructive lung disease", 45, 60, 16},
	{"Heart failure", 55, 60, 24},
	{"Ischaemic heart disease", 45, 80, 22},
	{"Depression", 18, 200, 5},
	{"Dementia", 68, 60, 40},
}

// deathCauses are the illnesses that a death is put down to.
var deathCauses = []string{"Heart failure", "Ischaemic heart disease", "Stroke", "Chronic obstructive lung disease", "Dementia",
	"Lung cancer", "Colon cancer", "Sepsis"}

// vocabulary is the whole vocabulary, and what is drawn from it.
type vocabulary struct {
	concepts   []concept
	conditions pick
	drugs      pick
	procedures pick
	chronic    []int64   // condition concept of each of chronicIllnesses
	deaths     []int64   // condition concept of each of deathCauses
	labs       []concept // of laboratory
	at         map[int64]int
	units      []string
	unitOf     []int64 // of each of laboratory
	tests      weighted
}

// pick draws leaves of one tree.
type pick struct {
	leaves []concept
	by     weighted
}

// draw gives a leaf that suits sex and age; after a few tries it settles for
// the first that suits everybody.
func (p *pick) draw(s *stream, sex, age int) *concept {
	for range 12 {
		c := &p.leaves[p.by.draw(s)]
		if (c.sex == anySex || c.sex == sex) && c.minAge <= age && age <= c.maxAge {
			return c
		}
	}
	for i := range p.leaves {
		if c := &p.leaves[i]; c.weight > 0 && c.sex == anySex && c.minAge == 0 && c.maxAge >= 110 {
			return c
		}
	}
	panic("synth: a tree of concepts has no leaf for everybody")
}

var theVocabulary = sync.OnceValue(func() *vocabulary {
	v := new(vocabulary)
	v.conditions = v.tree(conditionTree, 2_000_000_001, "Condition", "C", []string{"Disorder"})
	v.drugs = v.tree(drugTree, 2_000_001_001, "Drug", "D", []string{"Drug Class", "Ingredient", "Clinical Drug"})
	v.procedures = v.tree(procedureTree, 2_000_002_001, "Procedure", "P", []string{"Procedure"})
	v.addLaboratory()
	byName := make(map[string]int64)
	v.at = make(map[int64]int)
	for i, c := range v.concepts {
		byName[c.name], v.at[c.id] = c.id, i
	}
	for _, c := range chronicIllnesses {
		v.chronic = append(v.chronic, byName[c.name])
	}
	for _, name := range deathCauses {
		v.deaths = append(v.deaths, byName[name])
	}
	return v
})

// concept gives one of the vocabulary's own concepts.
func (v *vocabulary) concept(id int64) *concept { return &v.concepts[v.at[id]] }

// tree reads a tree, numbers its concepts from first on and gives its leaves.
// classes name the levels; the last one serves all deeper levels.
func (v *vocabulary) tree(text string, first int64, domain, letter string, classes []string) pick {
	var leaves []concept
	var path []int // indexes of the concepts above the line
	for k, line := range strings.Split(strings.TrimSpace(text), "\n") {
		name, rule, leaf := strings.Cut(line, " | ")
		depth := (len(name) - len(strings.TrimLeft(name, " "))) / 2
		c := concept{
			id: first + int64(k), name: strings.TrimSpace(name), domain: domain, vocabulary: vocabularyID,
			class: classes[min(depth, len(classes)-1)], standard: "S", code: fmt.Sprintf("HV-%s%03d", letter, k+1),
			sex: anySex, maxAge: 120,
		}
		if c.class == "Drug Class" {
			c.standard = "C"
		}
		path = append(path[:depth], len(v.concepts))
		if depth > 0 {
			c.parents = []int{path[depth-1]}
		}
		if leaf {
			for i, word := range strings.Fields(rule) {
				switch {
				case i == 0:
					mustScan(word, "%d", &c.weight)
				case word == "M":
					c.sex = male
				case word == "F":
					c.sex = female
				default:
					mustScan(word, "%d-%d", &c.minAge, &c.maxAge)
				}
			}
			leaves = append(leaves, c)
		}
		v.concepts = append(v.concepts, c)
	}
	return pick{leaves, newWeighted(len(leaves), func(i int) int { return leaves[i].weight })}
}

func mustScan(word, format string, into ...any) {
	if n, err := fmt.Sscanf(word, format, into...); err != nil || n != len(into) {
		panic("synth: a tree of concepts has the rule " + word)
	}
}

func (v *vocabulary) addLaboratory() {
	root := len(v.concepts)
	v.concepts = append(v.concepts, concept{id: conceptMeasurementFrom, name: "Laboratory or bedside measurement", domain: "Measurement",
		vocabulary: vocabularyID, class: "Measurement", standard: "S", code: "HV-M001"})
	for i, l := range laboratory {
		v.concepts = append(v.concepts, concept{id: conceptMeasurementFrom + 1 + int64(i), name: l.name, domain: "Measurement",
			vocabulary: vocabularyID, class: "Measurement", standard: "S", code: fmt.Sprintf("HV-M%03d", i+2), parents: []int{root}})
		at := len(v.units)
		for u, known := range v.units {
			if known == l.unit {
				at = u
			}
		}
		if at == len(v.units) {
			v.units = append(v.units, l.unit)
		}
		v.unitOf = append(v.unitOf, conceptUnitsFrom+int64(at))
	}
	v.labs = slices.Clone(v.concepts[root+1:])
	for i, u := range v.units {
		v.concepts = append(v.concepts, concept{id: conceptUnitsFrom + int64(i), name: u, domain: "Unit",
			vocabulary: vocabularyID, class: "Unit", standard: "S", code: fmt.Sprintf("HV-U%03d", i+1)})
	}
	v.tests = newWeighted(len(laboratory), func(i int) int { return laboratory[i].weight })
}
