package explain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

var french = &words{
	colon: " :", comma: ", ", and: " et ", or: " ou ", decimal: ",",
	headEntry: "Qui entre, et quand", headRules: "Qui reste", headExit: "Quand une personne sort", headSets: "Listes de concepts",
	enters: map[circe.Limit]string{
		circe.LimitAll:   "Une personne entre à chacun de ces événements",
		circe.LimitFirst: "Une personne entre au premier de ces événements",
		circe.LimitLast:  "Une personne entre au dernier de ces événements",
	},
	remaining: map[circe.Limit]string{
		circe.LimitAll:   "Tous les événements restants comptent.",
		circe.LimitFirst: "Parmi les événements restants, le premier de chaque personne compte.",
		circe.LimitLast:  "Parmi les événements restants, le dernier de chaque personne compte.",
	},
	countsOnlyIf: "L'événement ne compte qu'avec", unnamed: "une règle sans nom", everybody: "rien n'est demandé : tout le monde reste",
	endOfObservation: "À la fin de la période d'observation.", censoredBy: "Ou plus tôt, au premier de ces événements",
	andBelow: ", avec tout ce qui en dépend", andMapped: ", avec les codes sources qui y renvoient", nothing: "aucun concept", except: "Sauf",
	person: "une personne", sameVisit: "pendant la même venue", unobserved: "même hors observation", suchThat: "l'événement ayant",
	ofAnyKind: " quel qu'en soit le type", firstTime: "pour la première fois dans l'histoire de la personne", otherThan: "autre que",
	starting: "débutant", ending: "se terminant", years: " ans", days: " jours", female: "femmes", male: "hommes",
	entryAnchor: anchor{"l'entrée", "la fin de l'événement d'entrée"}, eventAnchor: anchor{"cet événement", "la fin de cet événement"},
	nouns: map[string]noun{
		"ConditionOccurrence": {"diagnostic", "diagnostics", " de ", false}, "ConditionEra": {"épisode", "épisodes", " de ", false},
		"DrugExposure": {"exposition", "expositions", " à ", true}, "DrugEra": {"traitement continu", "traitements continus", " par ", false},
		"DoseEra":             {"traitement à dose constante", "traitements à dose constante", " par ", false},
		"ProcedureOccurrence": {"acte", "actes", " ", false}, "Measurement": {"mesure", "mesures", " de ", true},
		"Observation": {"observation", "observations", " de ", true}, "DeviceExposure": {"dispositif utilisé", "dispositifs utilisés", " : ", false},
		"VisitOccurrence": {"venue", "venues", " de type ", true}, "VisitDetail": {"partie de venue", "parties de venue", " de type ", true},
		"Death": {"décès", "décès", " par ", false}, "Specimen": {"prélèvement", "prélèvements", " de ", false},
		"ObservationPeriod": {"période d'observation", "périodes d'observation", " ", true},
		"PayerPlanPeriod":   {"période d'assurance", "périodes d'assurance", " ", true},
		"LocationRegion":    {"résidence", "résidences", " en ", true}, "Episode": {"épisode de soins", "épisodes de soins", " de ", false},
	},
	attributes: map[string]string{
		"Age": "âge", "AgeAtStart": "âge au début", "AgeAtEnd": "âge à la fin", "Gender": "sexe", "Race": "origine", "Ethnicity": "ethnicité",
		"OccurrenceStartDate": "début", "OccurrenceEndDate": "fin", "EraStartDate": "début", "EraEndDate": "fin",
		"PeriodStartDate": "début", "PeriodEndDate": "fin", "VisitDetailStartDate": "début", "VisitDetailEndDate": "fin",
		"EpisodeStartDate": "début", "EpisodeEndDate": "fin", "EraLength": "durée", "VisitLength": "durée", "PeriodLength": "durée",
		"VisitDetailLength": "durée", "VisitType": "type de venue", "ProviderSpecialty": "spécialité du professionnel",
		"PlaceOfService": "lieu de soins", "ValueAsNumber": "valeur", "ValueAsConcept": "résultat", "ValueAsString": "texte",
		"RangeLow": "borne basse de la normale", "RangeHigh": "borne haute de la normale",
		"RangeLowRatio": "valeur rapportée à la borne basse de la normale", "RangeHighRatio": "valeur rapportée à la borne haute de la normale",
		"Abnormal": "anormal", "Unit": "unité", "Operator": "opérateur", "OccurrenceCount": "nombre d'occurrences", "Quantity": "quantité",
		"DaysSupply": "jours de traitement délivrés", "Refills": "renouvellements", "EffectiveDrugDose": "dose effective", "DoseUnit": "unité de dose",
		"DoseValue": "dose", "GapDays": "jours sans traitement", "RouteConcept": "voie d'administration", "StopReason": "motif d'arrêt",
		"LotNumber": "numéro de lot", "UniqueDeviceId": "identifiant du dispositif", "Modifier": "modificateur", "Qualifier": "qualificatif",
		"ConditionType": "type d'enregistrement", "DrugType": "type d'enregistrement", "ProcedureType": "type d'enregistrement",
		"MeasurementType": "type d'enregistrement", "ObservationType": "type d'enregistrement", "DeviceType": "type d'enregistrement",
		"DeathType": "type d'enregistrement", "SpecimenType": "type d'enregistrement", "VisitDetailType": "type d'enregistrement",
		"PeriodType": "type de période", "ConditionStatus": "statut du diagnostic", "AnatomicSite": "site anatomique", "DiseaseStatus": "état de la maladie",
		"SourceId": "identifiant source", "PayerConcept": "payeur", "PlanConcept": "contrat", "SponsorConcept": "souscripteur",
		"StopReasonConcept": "motif de fin", "PlaceOfServiceLocation": "région du lieu de soins", "UserDefinedPeriod": "dates fixes",
		"EpisodeNumber": "numéro de l'épisode", "EpisodeObjectConcept": "objet de l'épisode", "EpisodeType": "type d'enregistrement",
		"PayerSourceConcept": "code source du payeur", "PlanSourceConcept": "code source du contrat", "SponsorSourceConcept": "code source du souscripteur",
		"StopReasonSourceConcept": "code source du motif de fin", "SpecimenSourceConcept": "code source du prélèvement",
	},
	dates: map[circe.Op]string{
		circe.OpLess: "avant le $1", circe.OpLessEqual: "jusqu'au $1", circe.OpEqual: "le $1", circe.OpNotEqual: "pas le $1",
		circe.OpGreater: "après le $1", circe.OpGreaterEqual: "à partir du $1", circe.OpBetween: "du $1 au $2", circe.OpNotBetween: "hors du $1 au $2",
	},
	numbers: map[circe.Op]string{
		circe.OpLess: "moins de $1", circe.OpLessEqual: "au plus $1", circe.OpEqual: "$1", circe.OpNotEqual: "différent de $1",
		circe.OpGreater: "plus de $1", circe.OpGreaterEqual: "au moins $1", circe.OpBetween: "de $1 à $2", circe.OpNotBetween: "hors de $1 à $2",
	},
	contains: map[bool]string{false: "contient", true: "ne contient pas"},
	months:   [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
	quote:    func(s string) string { return "« " + s + " »" },
	article: func(n noun) string {
		if n.feminine {
			return "une "
		}
		return "un "
	},
	observed: func(prior, post int32) string {
		switch {
		case prior > 0 && post > 0:
			return fmt.Sprintf(", à condition d'être observée sans interruption de %s avant à %s après", frDays(prior), frDays(post))
		case prior > 0:
			return fmt.Sprintf(", à condition d'être observée depuis au moins %s", frDays(prior))
		case post > 0:
			return fmt.Sprintf(", à condition d'être observée encore au moins %s", frDays(post))
		}
		return ""
	},
	ofThese: func(k circe.GroupKind, n int) string {
		switch k {
		case circe.Any:
			return "au moins un de ces critères"
		case circe.AtLeast:
			return fmt.Sprintf("au moins %d de ces critères", n)
		case circe.AtMost:
			return fmt.Sprintf("au plus %d de ces critères", n)
		}
		return "tous ces critères"
	},
	howMany: func(c circe.Comparison, n int, feminine bool) string {
		e := ""
		if feminine {
			e = "e"
		}
		switch {
		case n == 0 && c != circe.NoFewerThan:
			return "aucun" + e
		case c == circe.NoMoreThan && n == 1:
			return "au plus un" + e
		case c == circe.NoMoreThan:
			return fmt.Sprintf("au plus %d", n)
		case c == circe.NoFewerThan && n == 1:
			return "au moins un" + e
		case c == circe.NoFewerThan:
			return fmt.Sprintf("au moins %d", n)
		case n == 1:
			return "exactement un" + e
		}
		return fmt.Sprintf("exactement %d", n)
	},
	distinctBy: func(column string) string {
		return ", compté une fois par " + map[string]string{"DOMAIN_CONCEPT": "concept", "DOMAIN_SOURCE_CONCEPT": "code source", "START_DATE": "date de début",
			"END_DATE": "date de fin", "VISIT_ID": "venue", "": "concept"}[column] + otherColumn(column)
	},
	sourceCode: func(set string) string { return ", codé " + set },
	endAtOffset: func(n int32, fromEnd bool) string {
		of := "le début de l'événement"
		if fromEnd {
			of = "la fin de l'événement"
		}
		switch {
		case n == 0 && fromEnd:
			return "À la fin de l'événement."
		case n == 0:
			return "Au début de l'événement."
		case n < 0:
			return frDays(-n) + " avant " + of + "."
		}
		return frDays(n) + " après " + of + ", ou à la fin de l'observation si elle vient plus tôt."
	},
	endOfExposure: func(set string, gap, after, supply int32) string {
		text := fmt.Sprintf("À la fin de l'exposition continue à %s ; les expositions séparées de %s au plus n'en font qu'une", set, frDays(gap))
		if after > 0 {
			text += fmt.Sprintf(", et %s sont ajoutés à la fin", frDays(after))
		}
		if supply >= 0 {
			text += fmt.Sprintf(" ; chaque exposition est réputée durer %s", frDays(supply))
		}
		return text + "."
	},
	eras: func(pad int32) string {
		if pad == 0 {
			return "Les périodes d'une même personne qui se recouvrent ou se touchent n'en font qu'une."
		}
		return fmt.Sprintf("Les périodes d'une même personne séparées de %s au plus n'en font qu'une.", frDays(pad))
	},
	censorWindow: func(from, to string) string {
		switch {
		case to == "":
			return "Rien ne compte avant le " + from + "."
		case from == "":
			return "Rien ne compte après le " + to + "."
		}
		return "Seul compte le temps du " + from + " au " + to + "."
	},
	fixedDates: func(from, to string) string {
		switch {
		case to == "":
			return "réputée débuter le " + from
		case from == "":
			return "réputée finir le " + to
		}
		return "réputée durer du " + from + " au " + to
	},
	adjusted: func(a *circe.Adjustment) string {
		point := func(end bool, days int32) string {
			return frOffset(days, map[bool]string{false: "son début", true: "sa fin"}[end])
		}
		return "pris de " + point(a.StartFromEnd, a.StartDays) + " à " + point(a.EndFromEnd, a.EndDays)
	},
	span: frSpan,
	ordinalDay: func(day int) string {
		if day == 1 {
			return "1er"
		}
		return strconv.Itoa(day)
	},
}

func frDays(n int32) string {
	if n <= 1 {
		return fmt.Sprintf("%d jour", n)
	}
	return fmt.Sprintf("%d jours", n)
}

func frOffset(n int32, of string) string {
	switch {
	case n == 0:
		return of
	case n < 0:
		return frDays(-n) + " avant " + of
	}
	return frDays(n) + " après " + of
}

func frSpan(from, to circe.Endpoint, a anchor) string {
	x := a.name
	day := "le jour de " + x
	switch {
	case from.Open && from.Before && to.Open && !to.Before:
		return "à tout moment de la période d'observation"
	case from.Open && from.Before && !to.Open:
		switch {
		case to.Days == 0:
			return "à tout moment avant " + x + " ou le jour même"
		case to.Days == -1:
			return "à tout moment avant " + x
		}
		return "à tout moment jusqu'à " + frOffset(to.Days, x)
	case to.Open && !to.Before && !from.Open:
		switch {
		case from.Days == 0:
			return day + " ou à tout moment après"
		case from.Days == 1:
			return "à tout moment après " + x
		}
		return "à tout moment à partir de " + frOffset(from.Days, x)
	case from.Open || to.Open:
		return "à aucun moment"
	case from.Days == 0 && to.Days == 0:
		return day
	case to.Days == 0:
		return "dans les " + frDays(-from.Days) + " avant " + x + " ou le jour même"
	case from.Days == 0:
		return day + " ou dans les " + frDays(to.Days) + " après"
	case to.Days < 0:
		return fmt.Sprintf("de %d à %s avant %s", -from.Days, frDays(-to.Days), x)
	case from.Days > 0:
		return fmt.Sprintf("de %d à %s après %s", from.Days, frDays(to.Days), x)
	}
	return "de " + frDays(-from.Days) + " avant à " + frDays(to.Days) + " après " + strings.TrimSpace(x)
}
