package warehousetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
)

// Table is one table of a synthetic delivery.
type Table struct {
	Name    string
	Columns string
	Share   int // percent of the rows
	row     func(b []byte, r *rand.Rand, id, concept int, day string) []byte
}

// Tables are the tables of a synthetic delivery.
var Tables = []Table{
	{"measurement", "tid,measurement_id,measurement_concept_id,measurement_date,measurement_datetime,measurement_type_concept_id,operator_concept_id,value_as_number,value_as_concept_id,unit_concept_id,range_low,range_high,provider_id,visit_occurrence_id,measurement_source_value,measurement_source_concept_id,unit_source_value,value_source_value", 60,
		func(b []byte, r *rand.Rand, id, c int, day string) []byte {
			return fmt.Appendf(b, "%d,%d,%s,%s %02d:%02d:00,32856,,%.1f,,8840,60,100,%d,%d,LOINC-%d,0,mg/dL,", id, 3000000+c, day, day, r.IntN(24), r.IntN(60), r.Float64()*200, r.IntN(3000), id/8, c)
		}},
	{"condition_occurrence", "tid,condition_occurrence_id,condition_concept_id,condition_start_date,condition_start_datetime,condition_end_date,condition_type_concept_id,provider_id,visit_occurrence_id,condition_source_value,condition_source_concept_id", 20,
		func(b []byte, r *rand.Rand, id, c int, day string) []byte {
			return fmt.Appendf(b, "%d,%d,%s,%s 00:00:00,%s,32817,%d,%d,K%02d.%d,%d", id, 4000000+c, day, day, day, r.IntN(3000), id/3, c%100, c%10, 45000000+c)
		}},
	{"drug_exposure", "tid,drug_exposure_id,drug_concept_id,drug_exposure_start_date,drug_exposure_end_date,drug_type_concept_id,quantity,days_supply,visit_occurrence_id,drug_source_value,drug_source_concept_id", 20,
		func(b []byte, r *rand.Rand, id, c int, day string) []byte {
			return fmt.Appendf(b, "%d,%d,%s,%s,32869,%d,%d,%d,34009%08d,%d", id, 19000000+c, day, day, 1+r.IntN(3), 30, id/3, c, 45000000+c)
		}},
}

// Concepts is the number of concepts in each table; low numbers are frequent.
const Concepts = 3000

// TID is the transport id of a synthetic person.
func TID(person int) string {
	return fmt.Sprintf("%016x%016x", uint64(person)*0x9e3779b97f4a7c15, person)
}

// csv makes rows [from, to) of a table, persons one after the other as holders
// export them.
func (g Table) csv(seed uint64, from, to, rows, persons int) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(from)))
	b := append([]byte(g.Columns), '\n')
	start := time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC)
	for id := from; id < to; id++ {
		b = append(b, TID(int(int64(id)*int64(persons)/int64(rows)))...)
		b = append(b, ',')
		day := start.AddDate(0, 0, r.IntN(3650)).Format("2006-01-02")
		b = append(g.row(b, r, id, int(Concepts*r.Float64()*r.Float64()), day), '\n')
	}
	return b
}

// Synthetic is a delivery of about that many rows of Tables, in parts of some
// 32 MiB that are made anew at each opening: it costs no memory. Persons have
// the ids 7919 p + 13.
func Synthetic(seed uint64, rows, persons int) *Delivery {
	d := NewDelivery("synthetic")
	for p := range persons {
		d.Link(TID(p), int64(p)*7919+13)
	}
	for _, g := range Tables {
		n := rows / 100 * g.Share
		perPart := 32 << 20 / (len(g.csv(seed, 0, 1000, n, persons)) / 1000)
		for from := 0; from < n; from += perPart {
			to := min(from+perPart, n)
			d.Made(envelope.Health, g.Name, g.Columns, int64(to-from), func() []byte { return g.csv(seed, from, to, n, persons) })
		}
	}
	return d
}

// Keep makes every part now, so that opening one costs nothing.
func (d *Delivery) Keep() *Delivery {
	for name, text := range d.parts {
		made := text()
		d.parts[name] = func() []byte { return made }
	}
	return d
}
