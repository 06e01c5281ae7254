package synth

import "strconv"

// foreignConcepts are the concepts of OMOP's standard vocabularies that the
// files use, so that the small vocabulary resolves every id.
var foreignConcepts = []concept{
	{id: 0, name: "No matching concept", domain: "Metadata", vocabulary: "None", class: "Undefined", code: "No matching concept"},
	{id: conceptMale, name: "MALE", domain: "Gender", vocabulary: "Gender", class: "Gender", standard: "S", code: "M"},
	{id: conceptFemale, name: "FEMALE", domain: "Gender", vocabulary: "Gender", class: "Gender", standard: "S", code: "F"},
	{id: conceptInpatient, name: "Inpatient Visit", domain: "Visit", vocabulary: "Visit", class: "Visit", standard: "S", code: "IP"},
	{id: conceptOutpatient, name: "Outpatient Visit", domain: "Visit", vocabulary: "Visit", class: "Visit", standard: "S", code: "OP"},
	{id: conceptEmergency, name: "Emergency Room Visit", domain: "Visit", vocabulary: "Visit", class: "Visit", standard: "S", code: "ER"},
	{id: conceptFromClaim, name: "Claim", domain: "Type Concept", vocabulary: "Type Concept", class: "Type Concept", standard: "S", code: "OMOP4976870"},
	{id: conceptFromHealthFile, name: "EHR", domain: "Type Concept", vocabulary: "Type Concept", class: "Type Concept", standard: "S", code: "OMOP4976890"},
	{id: conceptCDMVersion, name: "OMOP CDM Version 5.4.0", domain: "Metadata", vocabulary: "CDM", class: "CDM", standard: "S", code: "CDM v5.4.0"},
}

// file is a whole small file: a name without ".csv" and its rows.
type file struct {
	name string
	rows
}

// files gives the vocabulary tables as files.
func (v *vocabulary) files() []file {
	all := append(append([]concept(nil), foreignConcepts...), v.concepts...)
	concepts := file{name: "concept"}
	concepts.header("concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,standard_concept,concept_code,valid_start_date,valid_end_date,invalid_reason")
	write := func(c *concept) {
		concepts.int(c.id)
		for _, text := range []string{c.name, c.domain, c.vocabulary, c.class, c.standard, c.code} {
			concepts.text(text)
		}
		concepts.raw(conceptsFrom).raw(conceptsTo).none(1).end()
	}
	maps := file{name: "concept_relationship"}
	maps.header("concept_id_1,concept_id_2,relationship_id,valid_start_date,valid_end_date,invalid_reason")
	relate := func(from int64, how string, to int64) {
		maps.int(from).int(to).raw(how).raw(conceptsFrom).raw(conceptsTo).none(1).end()
	}
	for i := range all {
		write(&all[i])
	}
	for _, c := range v.concepts {
		if c.domain != "Unit" && c.standard == "S" {
			source := c
			source.id, source.vocabulary, source.standard = c.id+sourceConcepts, sourceVocabularyID, ""
			write(&source)
			relate(source.id, "Maps to", c.id)
			relate(c.id, "Mapped from", source.id)
			relate(c.id, "Maps to", c.id)
			relate(c.id, "Mapped from", c.id)
		}
		for _, p := range c.parents {
			relate(c.id, "Is a", v.concepts[p].id)
			relate(v.concepts[p].id, "Subsumes", c.id)
		}
	}
	return append([]file{concepts, maps, v.ancestors()}, v.lists()...)
}

// The validity of every concept.
const conceptsFrom, conceptsTo = "1970-01-01", "2099-12-31"

// ancestors is the closure of the hierarchy, each concept being its own
// ancestor at level 0.
func (v *vocabulary) ancestors() file {
	f := file{name: "concept_ancestor"}
	f.header("ancestor_concept_id,descendant_concept_id,min_levels_of_separation,max_levels_of_separation")
	for i, c := range v.concepts {
		if c.domain == "Unit" {
			continue
		}
		for level, at := 0, i; ; level++ {
			f.int(v.concepts[at].id).int(c.id).int(int64(level)).int(int64(level)).end()
			if len(v.concepts[at].parents) == 0 {
				break
			}
			at = v.concepts[at].parents[0]
		}
	}
	return f
}

// lists are the four small tables that name vocabularies, domains, classes and
// relationships. They stand for no concept of their own.
func (v *vocabulary) lists() []file {
	vocabularies := file{name: "vocabulary"}
	vocabularies.header("vocabulary_id,vocabulary_name,vocabulary_reference,vocabulary_version,vocabulary_concept_id")
	for _, r := range [][2]string{
		{"None", "OMOP Standardized Vocabularies"}, {"Gender", "OMOP Gender"}, {"Visit", "OMOP Visit"}, {"Type Concept", "OMOP Type Concept"},
		{"CDM", "OMOP Common Data Model"}, {vocabularyID, "Havre synthetic vocabulary"}, {sourceVocabularyID, "Codes of the synthetic holders"},
	} {
		version := vocabularyRelease
		vocabularies.text(r[0]).text(r[1]).raw("generated").raw(version).int(0).end()
	}
	domains := file{name: "domain"}
	domains.header("domain_id,domain_name,domain_concept_id")
	for _, d := range []string{"Condition", "Drug", "Procedure", "Measurement", "Unit", "Gender", "Visit", "Type Concept", "Metadata"} {
		domains.raw(d).raw(d).int(0).end()
	}
	classes := file{name: "concept_class"}
	classes.header("concept_class_id,concept_class_name,concept_class_concept_id")
	for _, c := range []string{"Disorder", "Drug Class", "Ingredient", "Clinical Drug", "Procedure", "Measurement", "Unit", "Gender", "Visit", "Type Concept", "CDM", "Undefined"} {
		classes.raw(c).raw(c).int(0).end()
	}
	relations := file{name: "relationship"}
	relations.header("relationship_id,relationship_name,is_hierarchical,defines_ancestry,reverse_relationship_id,relationship_concept_id")
	for _, r := range [][4]string{{"Maps to", "0", "0", "Mapped from"}, {"Mapped from", "0", "0", "Maps to"}, {"Is a", "1", "0", "Subsumes"}, {"Subsumes", "1", "1", "Is a"}} {
		relations.raw(r[0]).raw(r[0]).raw(r[1]).raw(r[2]).raw(r[3]).int(0).end()
	}
	return []file{vocabularies, domains, classes, relations}
}

// tenths spells n/10 with one decimal; n is not negative.
func tenths(b []byte, n int) []byte {
	b = strconv.AppendInt(b, int64(n/10), 10)
	return append(b, '.', '0'+byte(n%10))
}
