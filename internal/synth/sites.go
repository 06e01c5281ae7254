package synth

import "fmt"

// sites gives the small tables that each holder has beside its persons: where
// they live (one row a department, no address), where care is given and by
// whom, and the description of the source.
func (g *generator) sites(h int) []file {
	var s stream
	s.start(g.seed, forSites, h)
	location := file{name: "location"}
	location.header("location_id,address_1,address_2,city,state,zip,county,location_source_value,country_concept_id,country_source_value,latitude,longitude")
	for i, department := range g.places.departments {
		location.int(int64(i + 1)).none(3).raw(department).none(2).raw(department).int(0).raw("FR").none(2).end()
	}

	site := file{name: "care_site"}
	site.header("care_site_id,care_site_name,place_of_service_concept_id,location_id,care_site_source_value,place_of_service_source_value")
	for i, name := range siteNames[one(h == payer)] {
		site.int(int64(i + 1)).text(name).int(0).int(int64(1 + s.below(len(g.places.departments)))).raw(fmt.Sprintf("%s-%02d", holders[h].name, i+1)).none(1).end()
	}

	provider := file{name: "provider"}
	provider.header("provider_id,provider_name,npi,dea,specialty_concept_id,care_site_id,year_of_birth,gender_concept_id,provider_source_value,specialty_source_value,specialty_source_concept_id,gender_source_value,gender_source_concept_id")
	for i := range providers {
		provider.int(int64(i + 1)).text("Dr " + g.names.family(&s, false)).none(2).int(0).int(int64(1 + i%careSites)).none(1).int(0).
			raw(fmt.Sprintf("%s-p%03d", holders[h].name, i+1)).raw("general").int(0).none(1).int(0).end()
	}

	source := file{name: "cdm_source"}
	source.header("cdm_source_name,cdm_source_abbreviation,cdm_holder,source_description,source_documentation_reference,cdm_etl_reference,source_release_date,cdm_release_date,cdm_version,cdm_version_concept_id,vocabulary_version")
	last := g.cal.spell(coverLast)
	source.text(holders[h].title).raw(holders[h].name).raw(holders[h].name).text("Made by havre synth: no real person, no real care").none(2).
		raw(last).raw(last).raw("5.4").int(conceptCDMVersion).raw(vocabularyRelease).end()
	return []file{location, site, provider, source}
}

// siteNames are the care sites of a hospital and of the payer.
var siteNames = [2][careSites]string{
	{"Emergency department", "Internal medicine", "Surgery, digestive", "Surgery, orthopaedic", `Maternity "Les Tilleuls"`, "Cardiology", "Geriatrics", "Day hospital"},
	{"General practice", "Group practice", "Health centre", "Pharmacy", "Specialist, town", "Nursing, at home", "Physiotherapy", "Laboratory, town"},
}
