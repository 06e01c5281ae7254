package warehouse_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/quality"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// TestQuality plants each oddity once or more and counts; rows that are in
// order, and values that are not there, are never struck.
func TestQuality(t *testing.T) {
	w := warehousetest.New(t, 4)
	first := warehousetest.NewDelivery("a").Link("a1", 11).Link("a2", 12).Link("a3", 13).Link("a4", 14).
		Part(envelope.Health, "person", "tid,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,race_concept_id,ethnicity_concept_id\n"+
			"a1,8507,1950,6,15,0,0\na2,8532,1960,,,0,0\na3,8507,1970,2,31,0,0\n").
		Part(envelope.Health, "observation_period", "tid,observation_period_id,observation_period_start_date,observation_period_end_date,period_type_concept_id\n"+
			"a1,1,2010-01-01,2012-12-31,0\na1,2,2015-01-01,2015-12-31,0\na2,3,2010-01-01,2009-12-31,0\na4,4,2010-01-01,2010-12-31,0\n").
		Part(envelope.Health, "visit_occurrence", "tid,visit_occurrence_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id\n"+
			"a1,1,9201,2010-01-01,2010-01-05,0\na2,2,9201,2010-01-01,2010-01-05,0\n").
		Part(envelope.Health, "death", "tid,death_date\na1,2015-06-01\n").
		Part(envelope.Health, "condition_occurrence", "tid,condition_occurrence_id,condition_concept_id,condition_start_date,condition_end_date,condition_type_concept_id,visit_occurrence_id\n"+
			"a1,1,7,2010-01-01,,0,1\n"+ // in order
			"a1,2,7,2012-12-31,2012-12-31,0,\n"+ // in order: the last day
			"a1,3,7,2013-06-01,2013-05-31,0,2\n"+ // outside; ends before it begins; the visit is another person's
			"a1,4,99,2015-07-31,,0,9\n"+ // 60 days after death is in order; no such visit; unknown concept
			"a1,5,7,2015-08-01,,0,\n"+ // 61 days after death
			"a1,6,7,1950-06-14,,99,\n"+ // the day before birth, outside; unknown type
			"a2,7,7,1960-01-01,,0,\n"+ // may be the day of birth; outside
			"a3,8,7,2010-01-01,,0,\n"+ // outside: no period at all; birth date unknown
			"a4,9,0,2110-05-05,,0,\n"). // nobody's, outside, in the future; concept 0 is none
		Part(envelope.Health, "concept", "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,standard_concept,concept_code,valid_start_date,valid_end_date\n"+
			"7,a,b,c,d,S,e,1970-01-01,2099-12-31\n9201,v,b,c,d,S,e,1970-01-01,2099-12-31\n8507,m,b,c,d,S,e,1970-01-01,2099-12-31\n")
	// Another holder has a visit 9 of the same person: not the one that was meant.
	second := warehousetest.NewDelivery("b").Link("b1", 11).
		Part(envelope.Health, "visit_occurrence", "tid,visit_occurrence_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id\nb1,9,9201,2010-02-01,2010-02-01,0\n")
	warehousetest.Take(t, w, first, 1)
	_, s := warehousetest.Take(t, w, second, 2)
	r, err := s.Quality(context.Background(), havre.NoProgress)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"condition_occurrence after_death 1", "condition_occurrence before_birth 1", "condition_occurrence end_before_start 1", "condition_occurrence in_the_future 1",
		"condition_occurrence no_person 1", "condition_occurrence no_such_visit 2", "condition_occurrence not_in_vocabulary:condition_concept_id 1",
		"condition_occurrence not_in_vocabulary:condition_type_concept_id 1", "condition_occurrence outside_observation 5",
		"observation_period end_before_start 1", "observation_period no_person 1",
		"person no_observation_period 1", "person not_in_vocabulary:gender_concept_id 1", "visit_occurrence outside_observation 1",
	}
	if got := lines(r); !slices.Equal(got, want) || r.Rows != 3+4+3+1+9 || !r.Vocabulary || r.Snapshot != 2 {
		t.Errorf("%d rows, snapshot %d, vocabulary %v:\n%s", r.Rows, r.Snapshot, r.Vocabulary, strings.Join(got, "\n"))
	}
	if r.Of("condition_occurrence", "no_such_visit") != 2 || r.Of("death", "no_person") != 0 {
		t.Error("Of gives another number")
	}
}

func lines(r *quality.Report) (out []string) {
	for _, c := range r.Counts {
		out = append(out, fmt.Sprint(c.Table, " ", c.Rule, " ", c.Rows))
	}
	return out
}

// TestQualityOfNothing: an empty warehouse, and one without vocabulary.
func TestQualityOfNothing(t *testing.T) {
	w := warehousetest.New(t, 4)
	s, err := w.Current(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Quality(context.Background(), havre.NoProgress); err != nil || len(r.Counts) != 0 || r.Rows != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	d := warehousetest.NewDelivery("a").Link("a1", 11).Part(envelope.Health, "drug_exposure",
		"tid,drug_exposure_id,drug_concept_id,drug_exposure_start_date,drug_exposure_end_date,drug_type_concept_id\na1,1,5,2010-01-01,2010-01-01,0\n")
	_, s = warehousetest.Take(t, w, d, 1)
	r, err := s.Quality(context.Background(), havre.NoProgress)
	if err != nil || r.Vocabulary || !slices.Equal(lines(r), []string{"drug_exposure no_person 1", "drug_exposure outside_observation 1"}) {
		t.Errorf("%+v, %v", r, err)
	}
}
