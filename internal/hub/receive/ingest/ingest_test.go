package ingest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

const (
	tidA = "0000000000000000000000000000000a"
	tidB = "0000000000000000000000000000000b"
	tidX = "000000000000000000000000000000ff" // nobody
)

// TestRules judges one row at a time, through both ways of reading.
func TestRules(t *testing.T) {
	const head = "tid,condition_occurrence_id,condition_concept_id,condition_start_date,condition_start_datetime,condition_end_date,condition_type_concept_id,stop_reason,provider_id\n"
	read := []string{"person_id", "condition_occurrence_id", "condition_concept_id", "condition_start_date", "condition_start_datetime", "condition_end_date", "condition_type_concept_id", "stop_reason", "provider_id"}
	for _, c := range []struct{ name, row, stored, rejected, warning string }{
		{"good", tidA + ",1,201826,2020-02-29,2020-02-29 10:11:12,2020-03-01,32817,none,7", "11|1|201826|2020-02-29|2020-02-29T10:11:12|2020-03-01|32817|none|7", "", ""},
		{"64 bits", tidA + ",9223372036854775807,-9223372036854775808,2020-02-29,,,1,,-3", `11|9223372036854775807|-9223372036854775808|2020-02-29|\N|\N|1|\N|-3`, "", ""},
		{"floats for integers", tidA + ",12.0,201826.,2020-02-29,,,32817.000,,+5", `11|12|201826|2020-02-29|\N|\N|32817|\N|5`, "", ""},
		{"blanks around", tidA + ", 12 ,201826,2020-02-29,, 2020-03-01,1,,", `11|12|201826|2020-02-29|\N|2020-03-01|1|\N|\N`, "", ""},
		{"year 2107", tidA + ",1,2,2107-12-31,2107-12-31 23:59:59,,1,,", `11|1|2|2107-12-31|2107-12-31T23:59:59|\N|1|\N|\N`, "", ""},
		{"compact date", tidA + ",1,2,20200229,20200229,20200301,1,,", `11|1|2|2020-02-29|2020-02-29T00:00:00|2020-03-01|1|\N|\N`, "", ""},
		{"datetime for date", tidA + ",1,2,2020-02-29T00:00:00Z,2020-02-29T10:11:12.5+02:00,2020-03-01 00:00:00,1,,", `11|1|2|2020-02-29|2020-02-29T10:11:12.5|2020-03-01|1|\N|\N`, "", ""},
		{"date for datetime", tidA + ",1,2,2020-02-29,2020-02-29,,1,,", `11|1|2|2020-02-29|2020-02-29T00:00:00|\N|1|\N|\N`, "", ""},
		{"text verbatim", tidA + `,1,2,2020-02-29,,,1," a ""b"", é` + "\n" + `c ",`, "11|1|2|2020-02-29|\\N|\\N|1| a \"b\", é\nc |\\N", "", ""},
		{"no concept", tidA + ",1,,2020-02-29,,,,,", `11|1|0|2020-02-29|\N|\N|0|\N|\N`, "", "concept_defaulted:condition_concept_id concept_defaulted:condition_type_concept_id"},
		{"optional placeholder", tidA + ",1,2,2020-02-29,1600-01-01 00:00:00,1600-01-01,1,,", `11|1|2|2020-02-29|\N|\N|1|\N|\N`, "", "placeholder_date:condition_end_date placeholder_date:condition_start_datetime"},
		{"unknown person", tidX + ",1,2,2020-02-29,,,1,,", "", "unknown_person", ""},
		{"no person", ",1,2,2020-02-29,,,1,,", "", "unknown_person", ""},
		{"31 February", tidA + ",1,2,2020-02-31,,,1,,", "", "bad_date:condition_start_date", ""},
		{"31 February, compact", tidA + ",1,2,20200231,,,1,,", "", "bad_date:condition_start_date", ""},
		{"French date", tidA + ",1,2,29/02/2020,,,1,,", "", "bad_date:condition_start_date", ""},
		{"infinity", tidA + ",1,2,infinity,,,1,,", "", "bad_date:condition_start_date", ""},
		{"epoch", tidA + ",1,2,2020-02-29,,epoch,1,,", "", "bad_date:condition_end_date", ""},
		{"text after date", tidA + ",1,2,2020-02-29x,,,1,,", "", "bad_date:condition_start_date", ""},
		{"year 0", tidA + ",1,2,0000-01-01,,,1,,", "", "bad_date:condition_start_date", ""},
		{"25 o'clock", tidA + ",1,2,2020-02-29,2020-02-29 25:00:00,,1,,", "", "bad_datetime:condition_start_datetime", ""},
		{"no date", tidA + ",1,2,,,,1,,", "", "missing:condition_start_date", ""},
		{"placeholder", tidA + ",1,2,1600-01-01,,,1,,", "", "missing_date:condition_start_date", ""},
		{"no id", tidA + ",,2,2020-02-29,,,1,,", "", "missing:condition_occurrence_id", ""},
		{"fraction", tidA + ",12.5,2,2020-02-29,,,1,,", "", "bad_integer:condition_occurrence_id", ""},
		{"beyond 64 bits", tidA + ",9223372036854775808,2,2020-02-29,,,1,,", "", "bad_integer:condition_occurrence_id", ""},
		{"hex", tidA + ",0x1F,2,2020-02-29,,,1,,", "", "bad_integer:condition_occurrence_id", ""},
		{"underscore", tidA + ",1_000,2,2020-02-29,,,1,,", "", "bad_integer:condition_occurrence_id", ""},
		{"word", tidA + ",1,2,2020-02-29,,,1,,DUPONT", "", "bad_integer:provider_id", ""},
		{"first rule wins", tidX + ",x,2,2020-02-31,,,1,,", "", "unknown_person", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := warehousetest.New(t, 1)
			// Beside a good row with all columns, which must not change what becomes of the other.
			d := warehousetest.NewDelivery("h").Link(tidA, 11).Part(envelope.Health, "condition_occurrence", head+c.row+"\n"+tidA+",-1,1,2000-01-01,2000-01-01 00:00:00,2000-01-01,1,x,1\n")
			r, s := warehousetest.Take(t, w, d, 3)
			var got []string
			for _, row := range warehousetest.AllRows(t, s, warehouse.Want{Table: "condition_occurrence", Columns: read}) {
				if !strings.HasPrefix(row, "11|-1|") {
					got = append(got, row)
				}
			}
			if strings.Join(got, " / ") != c.stored {
				t.Errorf("stored %q, want %q", got, c.stored)
			}
			if reasons := strings.Join(slices.Sorted(maps.Keys(r.Rejected())), " "); reasons != c.rejected {
				t.Errorf("rejected for %q, want %q", reasons, c.rejected)
			}
			if warnings := strings.Join(slices.Sorted(maps.Keys(r.Warnings())), " "); warnings != c.warning {
				t.Errorf("warnings %q, want %q", warnings, c.warning)
			}
			if r.RowsIn() != 2 {
				t.Errorf("%d rows in", r.RowsIn())
			}
		})
	}
}

func TestTables(t *testing.T) {
	w := warehousetest.New(t, 4)
	d := warehousetest.NewDelivery("h").Link(tidA, 11).Link(tidB, 22).
		Part(envelope.Health, "person", "tid,gender_concept_id,year_of_birth\n"+tidA+",8507,1950\n"+tidB+",8532,1960\n"+tidX+",8532,1960\n").
		Part(envelope.Health, "visit_occurrence", "tid,visit_occurrence_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id,admitting_source_concept_id,house_rule\n"+
			tidA+",1,9201,2020-01-01,2020-01-02,1,8765,z\n").
		Part(envelope.Health, "concept", "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,concept_code,valid_start_date,valid_end_date\n"+
			"1,One,Drug,V,C,c1,1970-01-01,2099-12-31\n2,,Drug,V,C,c1,1970-01-01,2099-12-31\n").
		Part(envelope.Health, "pension", "tid,amount\n"+tidA+",12\n"+tidB+",\"1,3\"\n").
		Part(envelope.Health, "death", "tid,death_date\n").
		Part(envelope.Malformed, "drug_exposure", "reason,line\ncolumn_count,\"1,2,3\"\ncolumn_count,x\nencoding,y\n")
	r, s := warehousetest.Take(t, w, d, 3)
	want := ingest.Account{Delivery: d.Manifest.Delivery, Holder: "h", HolderID: 3, CDMVersion: "5.4", Ingested: r.Ingested, Tables: []ingest.TableAccount{
		{Table: "concept", RowsIn: 2, Stored: 1, Rejected: map[string]int64{"missing:concept_name": 1}},
		{Table: "drug_exposure", RowsIn: 3, Rejected: map[string]int64{"malformed:column_count": 2, "malformed:encoding": 1}},
		{Table: "pension", RowsIn: 2, Rejected: map[string]int64{"unknown_table": 2}},
		{Table: "person", RowsIn: 3, Stored: 2, Rejected: map[string]int64{"unknown_person": 1}, Warnings: map[string]int64{"concept_defaulted:race_concept_id": 2, "concept_defaulted:ethnicity_concept_id": 2}},
		{Table: "visit_occurrence", RowsIn: 1, Stored: 1, Warnings: map[string]int64{"ignored_column:house_rule": 1}},
	}}
	if diff := cmp.Diff(want, r.Account); diff != "" {
		t.Error(diff)
	}
	if got := warehousetest.AllRows(t, s, warehouse.Want{Table: "visit_occurrence", Columns: []string{"holder_id", "person_id", "admitted_from_concept_id"}}); !slices.Equal(got, []string{"3|11|8765"}) {
		t.Errorf("visits %q", got)
	}
	if got := warehousetest.Rows(t, s, ingest.Unbucketed, warehouse.Want{Table: "concept", Columns: []string{"concept_id", "concept_name"}}); !slices.Equal(got, []string{"1|One"}) {
		t.Errorf("concepts %q", got)
	}
	var kept int64
	for _, r := range s.Manifest().Rejected {
		kept += r.Rows
	}
	if kept != 7 {
		t.Errorf("%d rows kept aside", kept)
	}
}

// TestTwice: the same delivery again writes nothing at all.
func TestTwice(t *testing.T) {
	w := warehousetest.New(t, 4)
	d := warehousetest.NewDelivery("h").Link(tidA, 11).Part(envelope.Health, "person", "tid,gender_concept_id,year_of_birth\n"+tidA+",8507,1950\n")
	first, s1 := warehousetest.Take(t, w, d, 1)
	second, s2 := warehousetest.Take(t, w, d, 1)
	if first.Already || !second.Already || s1.Number() != 1 || s2.Root() != s1.Root() {
		t.Errorf("already %v then %v, snapshots %d and %d", first.Already, second.Already, s1.Number(), s2.Number())
	}
	if second.Already = false; !cmp.Equal(first, second) {
		t.Error(cmp.Diff(first, second))
	}
}

// TestRefusals: what a well-meaning holder can not have sent. Nothing is taken in.
func TestRefusals(t *testing.T) {
	good := "tid,gender_concept_id,year_of_birth\n" + tidA + ",8507,1950\n"
	for name, c := range map[string]struct {
		d    *warehousetest.Delivery
		kind havre.Kind
	}{
		"identifying column": {warehousetest.NewDelivery("h").Part(envelope.Health, "person", "tid,person_source_value\n"+tidA+",x\n"), havre.Refused},
		"person id":          {warehousetest.NewDelivery("h").Part(envelope.Health, "person", "tid,person_id\n"+tidA+",1\n"), havre.Refused},
		"no tid":             {warehousetest.NewDelivery("h").Part(envelope.Health, "person", "gender_concept_id\n1\n"), havre.Invalid},
		"column twice":       {warehousetest.NewDelivery("h").Part(envelope.Health, "visit_occurrence", "tid,admitting_source_concept_id,admitted_from_concept_id\n"+tidA+",1,2\n"), havre.Invalid},
		"too many values":    {warehousetest.NewDelivery("h").Part(envelope.Health, "person", good+tidA+",1,2,3\n"), havre.Invalid},
		"too few values":     {warehousetest.NewDelivery("h").Part(envelope.Health, "person", good+tidA+"\n"), havre.Invalid},
		"open quote":         {warehousetest.NewDelivery("h").Part(envelope.Health, "person", good+tidA+",\"1,2\n"), havre.Invalid},
		"quote inside":       {warehousetest.NewDelivery("h").Part(envelope.Health, "person", good+tidA+",1\"1,2\n"), havre.Invalid},
		"not UTF-8":          {warehousetest.NewDelivery("h").Link(tidA, 1).Part(envelope.Health, "person", "tid,year_of_birth,gender_source_value\n"+tidA+",1950,\xe9\n"), havre.Invalid},
	} {
		w := warehousetest.New(t, 2)
		ctx := context.Background()
		b, err := w.Begin(ctx, warehousetest.Actor)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ingest.Run(ctx, c.d.Input(b, 1))
		if havre.KindOf(err) != c.kind || havre.HintOf(err) == "" && c.kind == havre.Refused {
			t.Errorf("%s: %v (%s)", name, err, havre.KindOf(err))
		}
		if err != nil && strings.Contains(fmt.Sprintf("%+v", err), tidA) {
			t.Errorf("%s: the error names a person: %v", name, err)
		}
		if s, err := w.Current(ctx); err != nil || s.Number() != 0 {
			t.Errorf("%s: snapshot %d, %v", name, s.Number(), err)
		}
	}
	d := warehousetest.NewDelivery("h").Link(tidA, 1).Part(envelope.Health, "person", good)
	d.Manifest.Parts[0].Rows = 7
	b, err := warehousetest.New(t, 2).Begin(context.Background(), warehousetest.Actor)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.Run(context.Background(), d.Input(b, 1)); havre.KindOf(err) != havre.Invalid {
		t.Errorf("wrong row count: %v", err)
	}
}
