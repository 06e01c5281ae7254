package explain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

var french = &words{
	colon: " :", comma: ", ", semicolon: " ; ", and: " et ", or: " ou ", decimal: ",",
	headEntry: "Qui entre, et quand", headRules: "Qui reste", headExit: "Quand une personne sort", headSets: "Listes de concepts",
	enters: func(l circe.Limit, observed string) string {
		return "Les personnes entrent " + map[circe.Limit]string{circe.LimitAll: "à chacun", circe.LimitFirst: "au premier", circe.LimitLast: "au dernier"}[l] +
			" de ces événements" + observed
	},
	remaining: map[circe.Limit]string{
		circe.LimitAll:   "Tous ces événements sont retenus.",
		circe.LimitFirst: "Parmi eux, seul le premier événement de chaque personne est retenu.",
		circe.LimitLast:  "Parmi eux, seul le dernier événement de chaque personne est retenu.",
	},
	lasting: map[circe.Limit]string{
		circe.LimitAll:   "Au bout du compte, chaque événement restant compte.",
		circe.LimitFirst: "Au bout du compte, seul le premier événement restant de chaque personne compte.",
		circe.LimitLast:  "Au bout du compte, seul le dernier événement restant de chaque personne compte.",
	},
	countsOnlyIf: "L'événement ne compte que si ", unnamed: "une règle sans nom", everybody: "rien n'est demandé",
	thereIs: "l'on trouve", suchThat: "où, autour de cet événement, ",
	endOfObservation: "Une personne sort à la fin de sa période d'observation.", censoredBy: "Une personne sort plus tôt, au premier de ces événements",
	andBelow: ", avec tout ce qui en dépend", andMapped: ", avec les codes sources qui y renvoient", nothing: "aucun concept", except: "sauf ",
	person: "une personne", sameVisit: "pendant la même venue", unobserved: "même hors de la période d'observation", inObservation: " de la période d'observation",
	firstTime: "pour la première fois dans l'histoire de la personne", otherThan: "tout sauf ", sourceCode: " avec un code source de ",
	starting: "débutant", ending: "se terminant", eventStarting: "l'événement ayant lieu ", eventEnding: "l'événement se terminant ",
	lastingFor: "d'une durée ", withValue: "avec une valeur ", withDose: "à une dose ", abnormal: "avec un résultat anormal",
	inSex:       map[int64]string{8532: "chez une femme", 8507: "chez un homme"},
	ofSex:       map[int64]string{8532: "de sexe féminin", 8507: "de sexe masculin"},
	sexNames:    map[int64]string{8532: "femmes", 8507: "hommes"},
	entryAnchor: anchor{"l'entrée", "la fin de l'événement d'entrée"}, eventAnchor: anchor{"cet événement", "la fin de cet événement"},
	nouns: map[string]noun{
		"ConditionOccurrence": {"diagnostic", "diagnostics", " de ", " de n'importe quel type", false, false},
		"ConditionEra":        {"épisode", "épisodes", " de ", " de n'importe quelle affection", false, true},
		"DrugExposure":        {"exposition", "expositions", " à ", " à n'importe quel médicament", true, true},
		"DrugEra":             {"traitement continu", "traitements continus", " par ", " par n'importe quel médicament", false, true},
		"DoseEra":             {"traitement à dose constante", "traitements à dose constante", " par ", " par n'importe quel médicament", false, true},
		"ProcedureOccurrence": {"acte", "actes", " de ", " de n'importe quel type", false, false},
		"Measurement":         {"mesure", "mesures", " de ", " de n'importe quel type", true, false},
		"Observation":         {"observation", "observations", " de ", " de n'importe quel type", true, false},
		"DeviceExposure":      {"utilisation d'un dispositif", "utilisations d'un dispositif", " de type ", " de n'importe quel type", true, true},
		"VisitOccurrence":     {"venue", "venues", " de type ", " de n'importe quel type", true, true},
		"VisitDetail":         {"partie de venue", "parties de venue", " de type ", " de n'importe quel type", true, true},
		"Death":               {"décès", "décès", " par ", " de n'importe quelle cause", false, false},
		"Specimen":            {"prélèvement", "prélèvements", " de ", " de n'importe quel type", false, false},
		"ObservationPeriod":   {"période d'observation", "périodes d'observation", " ", "", true, true},
		"PayerPlanPeriod":     {"période d'assurance", "périodes d'assurance", " ", "", true, true},
		"LocationRegion":      {"résidence", "résidences", " en ", " dans n'importe quelle région", true, true},
		"Episode":             {"épisode de soins", "épisodes de soins", " de ", " de n'importe quel type", false, true},
	},
	attributes: map[string]string{
		"AgeAtEnd": "âge à la fin", "Gender": "sexe", "Race": "origine", "Ethnicity": "ethnicité", "UserDefinedPeriod": "dates fixes",
		"VisitType": "type de venue", "ProviderSpecialty": "spécialité du professionnel", "PlaceOfService": "lieu de soins",
		"PlaceOfServiceLocation": "région du lieu de soins", "ValueAsConcept": "résultat", "ValueAsString": "texte",
		"RangeLow": "borne basse de la normale", "RangeHigh": "borne haute de la normale",
		"RangeLowRatio": "valeur rapportée à la borne basse de la normale", "RangeHighRatio": "valeur rapportée à la borne haute de la normale",
		"Unit": "unité", "Operator": "opérateur", "OccurrenceCount": "nombre d'occurrences", "Quantity": "quantité",
		"DaysSupply": "jours de traitement délivrés", "Refills": "renouvellements", "EffectiveDrugDose": "dose effective", "DoseUnit": "unité de dose",
		"GapDays": "jours sans traitement", "RouteConcept": "voie d'administration", "LotNumber": "numéro de lot",
		"UniqueDeviceId": "identifiant du dispositif", "Modifier": "modificateur", "Qualifier": "qualificatif", "ConditionStatus": "statut du diagnostic",
		"ConditionType": "type d'enregistrement", "DrugType": "type d'enregistrement", "ProcedureType": "type d'enregistrement",
		"MeasurementType": "type d'enregistrement", "ObservationType": "type d'enregistrement", "DeviceType": "type d'enregistrement",
		"DeathType": "type d'enregistrement", "SpecimenType": "type d'enregistrement", "VisitDetailType": "type d'enregistrement",
		"EpisodeType": "type d'enregistrement", "PeriodType": "type d'enregistrement", "AnatomicSite": "site anatomique",
		"DiseaseStatus": "état de la maladie", "SourceId": "identifiant source", "PayerConcept": "payeur", "PlanConcept": "contrat",
		"SponsorConcept": "souscripteur", "StopReason": "motif d'arrêt", "StopReasonConcept": "motif de fin",
		"PayerSourceConcept": "code source du payeur", "PlanSourceConcept": "code source du contrat", "SponsorSourceConcept": "code source du souscripteur",
		"StopReasonSourceConcept": "code source du motif de fin", "EpisodeNumber": "numéro de l'épisode", "EpisodeObjectConcept": "objet de l'épisode",
	},
	ages: map[circe.Op]string{
		circe.OpLess: "à moins de $1 ans", circe.OpLessEqual: "à $1 ans ou moins", circe.OpEqual: "à $1 ans", circe.OpNotEqual: "à un autre âge que $1 ans",
		circe.OpGreater: "à plus de $1 ans", circe.OpGreaterEqual: "à $1 ans ou plus", circe.OpBetween: "entre $1 et $2 ans", circe.OpNotBetween: "à un âge hors de $1 à $2 ans",
	},
	aged: map[circe.Op]string{
		circe.OpLess: "âgée de moins de $1 ans", circe.OpLessEqual: "âgée de $1 ans ou moins", circe.OpEqual: "âgée de $1 ans", circe.OpNotEqual: "d'un autre âge que $1 ans",
		circe.OpGreater: "âgée de plus de $1 ans", circe.OpGreaterEqual: "âgée de $1 ans ou plus", circe.OpBetween: "âgée de $1 à $2 ans", circe.OpNotBetween: "d'un âge hors de $1 à $2 ans",
	},
	years: map[circe.Op]string{
		circe.OpLess: "moins de $1 ans", circe.OpLessEqual: "$1 ans ou moins", circe.OpEqual: "$1 ans", circe.OpNotEqual: "tout sauf $1 ans",
		circe.OpGreater: "plus de $1 ans", circe.OpGreaterEqual: "$1 ans ou plus", circe.OpBetween: "de $1 à $2 ans", circe.OpNotBetween: "hors de $1 à $2 ans",
	},
	lengths: map[circe.Op]string{
		circe.OpLess: "de moins de $1 jours", circe.OpLessEqual: "d'au plus $1 jours", circe.OpEqual: "de $1 jours", circe.OpNotEqual: "autre que $1 jours",
		circe.OpGreater: "de plus de $1 jours", circe.OpGreaterEqual: "d'au moins $1 jours", circe.OpBetween: "de $1 à $2 jours", circe.OpNotBetween: "hors de $1 à $2 jours",
	},
	dates: map[circe.Op]string{
		circe.OpLess: "avant le $1", circe.OpLessEqual: "jusqu'au $1 inclus", circe.OpEqual: "le $1", circe.OpNotEqual: "un autre jour que le $1",
		circe.OpGreater: "après le $1", circe.OpGreaterEqual: "à partir du $1", circe.OpBetween: "du $1 au $2", circe.OpNotBetween: "hors de la période du $1 au $2",
	},
	numbers: map[circe.Op]string{
		circe.OpLess: "moins de $1", circe.OpLessEqual: "au plus $1", circe.OpEqual: "$1", circe.OpNotEqual: "tout sauf $1",
		circe.OpGreater: "plus de $1", circe.OpGreaterEqual: "au moins $1", circe.OpBetween: "de $1 à $2", circe.OpNotBetween: "hors de $1 à $2",
	},
	values: map[circe.Op]string{
		circe.OpLess: "de moins de $1", circe.OpLessEqual: "d'au plus $1", circe.OpEqual: "de $1", circe.OpNotEqual: "autre que $1",
		circe.OpGreater: "de plus de $1", circe.OpGreaterEqual: "d'au moins $1", circe.OpBetween: "de $1 à $2", circe.OpNotBetween: "hors de $1 à $2",
	},
	likes: map[string]string{"is": "égal à", "starts": "commençant par", "ends": "finissant par", "contains": "contenant",
		"not is": "différent de", "not starts": "ne commençant pas par", "not ends": "ne finissant pas par", "not contains": "ne contenant pas"},
	oneOnly: strings.NewReplacer("jours", "jour", " ans", " an"), isOne: func(v float64) bool { return v > -2 && v < 2 },
	months: [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
	quote:  func(s string) string { return "« " + s + " »" },
	elide: func(leading, name string) string {
		if head, ok := strings.CutSuffix(leading, "de "); ok && frVowel(name) {
			return head + "d'" + name
		}
		return leading + name
	},
	article: func(n noun, first bool) string {
		switch {
		case first && n.feminine:
			return "une première "
		case first:
			return "un premier "
		case n.feminine:
			return "une "
		}
		return "un "
	},
	people: func(event, observed string, l circe.Limit, once bool) string {
		return "Les personnes ayant " + event + observed + "." + map[bool]string{false: " " + frEach(l)}[once]
	},
	peopleWith: func(event string) string { return "Les personnes ayant " + event },
	entersWhen: func(observed string, l circe.Limit, once bool) string {
		if observed != "" {
			observed = "Elles doivent être" + strings.TrimPrefix(observed, ", à condition d'être") + ". "
		}
		return observed + map[bool]string{false: frEach(l), true: "Elles entrent à cet événement."}[once]
	},
	observed: func(prior, post int32) string {
		switch {
		case prior > 0 && post > 0:
			return fmt.Sprintf(", à condition d'être observées sans interruption de %s avant à %s après", frDays(prior), frDays(post))
		case prior > 0:
			return fmt.Sprintf(", à condition d'être observées depuis au moins %s", frDays(prior))
		case post > 0:
			return fmt.Sprintf(", à condition d'être observées encore au moins %s", frDays(post))
		}
		return ""
	},
	ofThese: func(k circe.GroupKind, n int) string {
		switch {
		case k == circe.Any || k == circe.AtLeast && n == 1:
			return "au moins un de ces critères est rempli"
		case k == circe.AtLeast && n == 0:
			return "un nombre quelconque de ces critères est rempli"
		case k == circe.AtLeast:
			return fmt.Sprintf("au moins %d de ces critères sont remplis", n)
		case k == circe.AtMost && n == 0:
			return "aucun de ces critères n'est rempli"
		case k == circe.AtMost && n == 1:
			return "au plus un de ces critères est rempli"
		case k == circe.AtMost:
			return fmt.Sprintf("au plus %d de ces critères sont remplis", n)
		}
		return "tous ces critères sont remplis"
	},
	howMany: func(c circe.Comparison, n int, feminine bool) string {
		e := map[bool]string{true: "e"}[feminine]
		number := strconv.Itoa(n)
		if n == 1 {
			number = "un" + e
		}
		switch {
		case n == 0 && c == circe.NoFewerThan:
			return "un nombre quelconque de"
		case n == 0:
			return "aucun" + e
		case c == circe.NoMoreThan:
			return "au plus " + number
		case c == circe.NoFewerThan:
			return "au moins " + number
		}
		return "exactement " + number
	},
	distinctBy: func(column string) string {
		return "en ne comptant qu'une fois chaque " + frColumn(column)
	},
	endAtOffset: func(n int32, fromEnd bool) string {
		of := "le début de l'événement d'entrée"
		if fromEnd {
			of = "la fin de l'événement d'entrée"
		}
		switch {
		case n == 0 && fromEnd:
			return "Une personne sort à la fin de l'événement d'entrée."
		case n == 0:
			return "Une personne sort au début de l'événement d'entrée."
		case n < 0:
			return "Une personne sort " + frDays(-n) + " avant " + of + "."
		}
		return "Une personne sort " + frDays(n) + " après " + of + ", ou à la fin de l'observation si elle vient plus tôt."
	},
	endOfExposure: func(set string, gap, after int32, supply *int32) string {
		text := "Une personne sort à la fin de l'exposition continue à " + set
		if after > 0 {
			text = "Une personne sort " + frDays(after) + " après la fin de l'exposition continue à " + set
		} else if after < 0 {
			text = "Une personne sort " + frDays(-after) + " avant la fin de l'exposition continue à " + set
		}
		text += fmt.Sprintf(" ; une pause %s au plus ne l'interrompt pas", frOfDays(gap))
		if supply != nil {
			text += fmt.Sprintf(" ; chaque exposition est réputée durer %s, quoi qu'il soit enregistré", frDays(*supply))
		}
		return text + "."
	},
	eras: func(pad int32) string {
		if pad == 0 {
			return "Les périodes d'une même personne qui se recouvrent ou se touchent n'en font qu'une."
		}
		return fmt.Sprintf("Les périodes d'une même personne séparées %s au plus n'en font qu'une.", frOfDays(pad))
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
		case to == "" && from == "":
			return "prise telle quelle"
		case to == "":
			return "qui comprend le " + from + " et est réputée débuter ce jour"
		case from == "":
			return "qui comprend le " + to + " et est réputée finir ce jour"
		}
		return "qui comprend le temps du " + from + " au " + to + " et est réputée durer ce temps"
	},
	adjusted: func(a *circe.Adjustment) string {
		point := func(end bool, days int32) string {
			return frPoint(days, map[bool]string{false: "son début", true: "sa fin"}[end])
		}
		return "que l'on fait durer de " + point(a.StartFromEnd, a.StartDays) + " à " + point(a.EndFromEnd, a.EndDays)
	},
	span: frSpan,
	ordinalDay: func(day int) string {
		if day == 1 {
			return "1er"
		}
		return strconv.Itoa(day)
	},
}

// frVowel says whether a name, in quotes or not, begins with a vowel, before
// which "de" becomes "d'".
func frVowel(name string) bool {
	first := []rune(strings.TrimPrefix(name, "« "))
	return len(first) > 0 && strings.ContainsRune("aeiouyàâäéèêëîïôöùûüœæAEIOUÀÂÄÉÈÊËÎÏÔÖÙÛÜŒÆ", first[0])
}

func frEach(l circe.Limit) string {
	return map[circe.Limit]string{circe.LimitAll: "Elles entrent à chaque événement de ce genre.", circe.LimitFirst: "Elles entrent au premier événement de ce genre.",
		circe.LimitLast: "Elles entrent au dernier événement de ce genre."}[l]
}

func frDays(n int32) string {
	if n > -2 && n < 2 {
		return fmt.Sprintf("%d jour", n)
	}
	return fmt.Sprintf("%d jours", n)
}

// frOfDays is "de" and so many days.
func frOfDays(n int32) string {
	if n == 1 {
		return "d'un jour"
	}
	return "de " + frDays(n)
}

func frPoint(n int32, of string) string {
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
	usual := (!from.Open || from.Before) && (!to.Open || !to.Before)
	switch {
	case !usual || !from.Open && !to.Open && from.Days > to.Days:
		return "depuis " + frBound(from, x) + " jusqu'à " + frBound(to, x)
	case from.Open && to.Open:
		return "à tout moment de la période d'observation"
	case from.Open && to.Days == 0:
		return "à tout moment avant " + x + " ou le jour même"
	case from.Open && to.Days == -1:
		return "à tout moment avant " + x
	case from.Open:
		return "à tout moment jusqu'à " + frPoint(to.Days, x)
	case to.Open && from.Days == 0:
		return day + " ou à tout moment après"
	case to.Open && from.Days == 1:
		return "à tout moment après " + x
	case to.Open:
		return "à tout moment à partir de " + frPoint(from.Days, x)
	case from.Days == 0 && to.Days == 0:
		return day
	case from.Days == to.Days && from.Days == -1:
		return "la veille de " + x
	case from.Days == to.Days && from.Days == 1:
		return "le lendemain de " + x
	case from.Days == to.Days:
		return "exactement " + frPoint(from.Days, x)
	case from.Days == -1 && to.Days == 0:
		return "la veille de " + x + " ou le jour même"
	case to.Days == 0:
		return "dans les " + frDays(-from.Days) + " avant " + x + " ou le jour même"
	case from.Days == 0 && to.Days == 1:
		return day + " ou le lendemain"
	case from.Days == 0:
		return day + " ou dans les " + frDays(to.Days) + " après"
	case to.Days == -1:
		return "dans les " + frDays(-from.Days) + " avant " + x
	case from.Days == 1:
		return "dans les " + frDays(to.Days) + " après " + x
	case to.Days < 0:
		return fmt.Sprintf("de %d à %s avant %s", -from.Days, frDays(-to.Days), x)
	case from.Days > 0:
		return fmt.Sprintf("de %d à %s après %s", from.Days, frDays(to.Days), x)
	}
	return "de " + frDays(-from.Days) + " avant à " + frDays(to.Days) + " après " + x
}

func frBound(e circe.Endpoint, x string) string {
	switch {
	case e.Open && e.Before:
		return "le premier jour d'observation"
	case e.Open:
		return "le dernier jour d'observation"
	case e.Days == 0:
		return "le jour de " + x
	}
	return frPoint(e.Days, x)
}

// frColumn names a column that is counted distinct.
func frColumn(column string) string {
	if name, ok := map[string]string{"DOMAIN_CONCEPT": "concept", "START_DATE": "date de début", "END_DATE": "date de fin", "DURATION": "durée",
		"VISIT_ID": "venue", "VALUE_AS_NUMBER": "valeur", "UNIT": "unité", "QUANTITY": "quantité", "REFILLS": "nombre de renouvellements",
		"DAYS_SUPPLY": "durée délivrée", "RANGE_LOW": "borne basse", "RANGE_HIGH": "borne haute", "GAP_DAYS": "nombre de jours sans traitement",
		"ERA_OCCURRENCES": "nombre d'occurrences"}[column]; ok {
		return name
	}
	return strings.ToLower(strings.ReplaceAll(column, "_", " "))
}
