package cohort

import "strings"

// minimal is a definition with a gap: CRITERION stands for members to add.
const minimal = `{"ConceptSets": [{"id": 5, "name": "s", "expression": {"items": [{"concept": {"CONCEPT_ID": 7}, "includeDescendants": true}]}}],
"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 5 CRITERION}}], "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
"PrimaryCriteriaLimit": {"Type": "All"}}, "ExpressionLimit": {"Type": "All"}}`

func minimalWith(_, text string) string { return strings.Replace(minimal, " CRITERION", text, 1) }
