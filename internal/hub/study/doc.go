// Package study runs permitted studies: a definition (study.yaml) names
// cohorts and analyses; an analysis is a map over buckets of persons, a merge
// of aggregates and a finish; only its Output can go on to disclosure checks.
package study
