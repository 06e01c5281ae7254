package deliver

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
)

// generate writes a CDM of that many persons with 20 conditions and 30
// measurements each, and an identity file; it gives the bytes of health CSV.
func generate(t testing.TB, dir string, persons int) (size int64) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	file := func(name, header string, write func(w *bufio.Writer)) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriterSize(f, 1<<20)
		fmt.Fprintln(w, header)
		write(w)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if st, err := f.Stat(); err == nil && name != "identity.csv" {
			size += st.Size()
		}
		_ = f.Close()
	}
	id := func(p int) string { return strconv.Itoa(700_000_000_000 + p*7919) }
	day := func() string {
		return time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(5000)).Format(time.DateOnly)
	}
	name := func() string {
		b := make([]byte, 5+r.IntN(6))
		for i := range b {
			b[i] = 'A' + byte(r.IntN(26))
		}
		return string(b)
	}
	file("identity.csv", "person_id,birth_name,given_names,birth_date,sex,birth_place,nir", func(w *bufio.Writer) {
		for p := range persons {
			fmt.Fprintf(w, "%s,%s,%s %s,%s,F,78006,\n", id(p), name(), name(), name(), day())
		}
	})
	file("person.csv", "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id,person_source_value,gender_source_value", func(w *bufio.Writer) {
		for p := range persons {
			fmt.Fprintf(w, "%s,8507,%d,0,0,IPP%d,M\n", id(p), 1930+p%80, p)
		}
	})
	codes := []string{"K92.2", "I10", "E11.9", "J45.909", "38341003", "Hypertension artérielle", "N18.3"}
	file("condition_occurrence.csv", "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_start_datetime,condition_end_date,condition_end_datetime,condition_type_concept_id,condition_status_concept_id,stop_reason,provider_id,visit_occurrence_id,visit_detail_id,condition_source_value,condition_source_concept_id,condition_status_source_value", func(w *bufio.Writer) {
		for i := range persons * 20 {
			d := day()
			fmt.Fprintf(w, "%d,%s,%d,%s,%s 10:%02d:00,%s,,32020,0,,%d,%d,0,%s,%d,\n", 4_000_000_000+i, id(i%persons), 192671+i%900, d, d, i%60, d, i%500, i/3, codes[i%len(codes)], 40000000+i%900)
		}
	})
	file("measurement.csv", "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_datetime,measurement_time,measurement_type_concept_id,operator_concept_id,value_as_number,value_as_concept_id,unit_concept_id,range_low,range_high,provider_id,visit_occurrence_id,visit_detail_id,measurement_source_value,measurement_source_concept_id,unit_source_value,value_source_value", func(w *bufio.Writer) {
		for i := range persons * 30 {
			d := day()
			v := float64(r.IntN(20000)) / 100
			fmt.Fprintf(w, "%d,%s,%d,%s,%s 08:%02d:00,,32020,,%g,0,8840,3.5,5.1,%d,%d,,8331-%d,0,mg/dL,%g\n", 9_000_000_000+i, id(i%persons), 3004000+i%400, d, d, i%60, v, i%500, i/3, i%10, v)
		}
	})
	return size
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDeliver measures the whole way from CSV files to sealed parts in
// two folders, with an identity file to guard against. cpu-MB/s is per core:
// it does not depend on what else the machine does.
func BenchmarkDeliver(b *testing.B) {
	w := newWorld(b)
	dir := b.TempDir()
	size := generate(b, dir, 20_000)
	b.SetBytes(size)
	used := cpu()
	n := 0
	for b.Loop() {
		o := w.options(b, dir)
		o.Identity = filepath.Join(dir, "identity.csv")
		if _, err := Run(context.Background(), o); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(size)*float64(n)/1e6/(cpu()-used).Seconds(), "cpu-MB/s")
}

// TestPartsAreBounded delivers more than a part may hold.
func TestPartsAreBounded(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	generate(t, dir, 12_000)
	o := w.options(t, dir)
	o.Identity = filepath.Join(dir, "identity.csv")
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	parts, rows := map[string]int{}, map[string]int64{}
	for _, p := range r.Manifest.Parts {
		parts[p.Table]++
		rows[p.Table] += p.Rows
		if p.PlainSize > MaxPlain {
			t.Errorf("%s holds %d bytes", p.Name, p.PlainSize)
		}
		if p.Table == "measurement" {
			w.open(t, r.Manifest.Delivery, p)
		}
	}
	if parts["measurement"] != 2 || rows["measurement"] != 360_000 || rows["person_identity"] != 12_000 {
		t.Errorf("parts %v, rows %v", parts, rows)
	}
	for i := 1; i < len(r.Manifest.Parts); i++ {
		if r.Manifest.Parts[i-1].Name >= r.Manifest.Parts[i].Name {
			t.Errorf("parts are not in order: %s, %s", r.Manifest.Parts[i-1].Name, r.Manifest.Parts[i].Name)
		}
	}
	if _, err := envelope.VerifyManifest(r.Envelope, w.home.Signer.Public()); err != nil {
		t.Error(err)
	}
}

// TestAMillionPersonsFit holds the table of transport ids under 200 MiB.
func TestAMillionPersonsFit(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := newPeople()
	var id []byte
	for i := range 1_000_000 {
		id = strconv.AppendInt(id[:0], -9_000_000_000_000_000_000+int64(i)*18_000_000_000_000, 10)
		p.add(id)
		p.own = append(p.own, ownNames{1, 2})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := (after.HeapAlloc - before.HeapAlloc) >> 20; used > 200 {
		t.Errorf("a million persons take %d MiB", used)
	} else {
		t.Logf("a million persons take %d MiB", used)
	}
	if i, ok := p.find(id); !ok || i != 999_999 {
		t.Errorf("the last person is %d, %v", i, ok)
	}
	runtime.KeepAlive(p)
}
