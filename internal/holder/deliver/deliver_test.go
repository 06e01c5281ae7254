package deliver

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake/omop"
	"github.com/havre-hub/havre/internal/realinput"
)

// world is a holder, a hub and a keeper on one disk.
type world struct {
	dir         string
	hub, keeper *seal.Key
	hubSigner   *sign.Signer
	home        *Home
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), hubSigner: sign.NewSigner()}
	var err error
	if w.hub, err = seal.NewKey(); err != nil {
		t.Fatal(err)
	}
	if w.keeper, err = seal.NewKey(); err != nil {
		t.Fatal(err)
	}
	w.home, err = CreateHome(filepath.Join(w.dir, "holder"), Peers{
		Holder: "chu-nord",
		Hub:    HubPeer{Name: "demo", PublicKey: w.hubSigner.Public(), Recipient: w.hub.Recipient()},
		Keeper: KeeperPeer{Recipient: w.keeper.Recipient()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) options(t testing.TB, place string) Options {
	t.Helper()
	src, err := omop.Open(context.Background(), place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	o := w.home.Options()
	o.Source = src
	o.Keeper, o.To = NewFolder(filepath.Join(w.dir, "to-keeper")), NewFolder(filepath.Join(w.dir, "to-hub"))
	return o
}

func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open opens a part with its one key and gives header and rows.
func (w *world) open(t testing.TB, d havre.DeliveryID, p envelope.Part) (header []string, rows [][]string) {
	t.Helper()
	side, key, other := "to-hub", w.hub, w.keeper
	if p.Purpose == envelope.Identity {
		side, key, other = "to-keeper", w.keeper, w.hub
	}
	sealed, err := os.ReadFile(filepath.Join(w.dir, side, string(d), p.Name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(sealed, other); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("%s opens with the wrong key: %v", p.Name, err)
	}
	packed, err := seal.Open(sealed, key)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(bytes.NewReader(plain)).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	if int64(len(plain)) != p.PlainSize || int64(len(plain)) > MaxPlain || int64(len(sealed)) != p.Size ||
		int64(len(all)-1) != p.Rows || !slices.Equal(all[0], p.Columns) {
		t.Errorf("%s is not as the manifest describes it: %+v", p.Name, p)
	}
	return all[0], all[1:]
}

// rows is what tables hold, whatever its order: each row is the text
// " column=value ..." with the holder's person id in the place of the tid, "?"
// for a person of no table.
type rows struct {
	lines map[string][]string // kept only where texts is set
	sum   map[string]uint64   // sum of the hashes
	count map[string]int
	texts bool
	seed  maphash.Seed
}

func newRows(texts bool, seed maphash.Seed) *rows {
	return &rows{map[string][]string{}, map[string]uint64{}, map[string]int{}, texts, seed}
}

func (r *rows) add(table string, line []byte) {
	r.count[table]++
	r.sum[table] += maphash.Bytes(r.seed, line)
	if r.texts {
		r.lines[table] = append(r.lines[table], string(line))
		sort.Strings(r.lines[table])
	}
}

// received opens every health part.
func (w *world) received(t testing.TB, m *envelope.Manifest, into *rows) {
	t.Helper()
	who := map[string]string{}
	for _, p := range m.Parts {
		if p.Purpose == envelope.Identity {
			_, rows := w.open(t, m.Delivery, p)
			for _, r := range rows {
				who[r[0]] = r[1]
			}
		}
	}
	var line []byte
	for _, p := range m.Parts {
		if p.Purpose != envelope.Health {
			continue
		}
		header, rows := w.open(t, m.Delivery, p)
		for _, r := range rows {
			line = line[:0]
			for i, v := range r {
				if header[i] == "tid" {
					if len(v) != 32 {
						t.Fatalf("%s: the tid %q has no 32 digits", p.Name, v)
					}
					id, ok := who[v]
					if !ok {
						id = "?"
					}
					line = appendPair(line, "tid", id)
				} else if v != "" {
					line = appendPair(line, header[i], v)
				}
			}
			into.add(p.Table, line)
		}
	}
}

func appendPair(line []byte, column, value string) []byte {
	return append(append(append(append(line, ' '), column...), '='), value...)
}

// sent reads what the source holds, without what must stay there.
func sent(t testing.TB, src Source, persons map[string]bool, into *rows) {
	t.Helper()
	stays := map[string]bool{"person.person_source_value": true, "location.address_1": true, "location.location_source_value": true, "note.note_text": true, "provider.provider_name": true}
	var line []byte
	for _, f := range src.Files() {
		person := slices.IndexFunc(f.Columns, func(c string) bool { return c == "person_id" || c == "subject_id" })
		for row, err := range src.Rows(context.Background(), f) {
			if err != nil {
				t.Fatal(err)
			}
			line = line[:0]
			if person >= 0 {
				id := string(row.Values[person])
				if !persons[id] {
					id = "?"
				}
				line = appendPair(line, "tid", id)
			}
			for i, c := range f.Columns {
				if len(row.Values[i]) > 0 && i != person && !stays[f.Table+"."+c] {
					line = appendPair(line, c, string(row.Values[i]))
				}
			}
			into.add(f.Table, line)
		}
	}
}

func personsOf(t testing.TB, src Source) map[string]bool {
	all := map[string]bool{}
	for _, f := range src.Files() {
		if f.Table != "person" {
			continue
		}
		at := slices.Index(f.Columns, "person_id")
		for row, err := range src.Rows(context.Background(), f) {
			if err != nil {
				t.Fatal(err)
			}
			all[string(row.Values[at])] = true
		}
	}
	return all
}

func TestRealInputsArriveWhole(t *testing.T) {
	for _, place := range []string{"omop/gibleed", "omop/gibleed-csv", "cohorts/dense-cdm", "omop/lauren/cdm"} {
		t.Run(place, func(t *testing.T) {
			w := newWorld(t)
			o := w.options(t, realinput.Path(t, place))
			r, err := Run(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			m := r.Manifest
			persons := personsOf(t, o.Source)
			seed := maphash.MakeSeed()
			got, want := newRows(false, seed), newRows(false, seed)
			w.received(t, m, got)
			sent(t, o.Source, persons, want)
			if !maps.Equal(got.count, nonzero(want.count)) || !maps.Equal(got.sum, nonzero(want.sum)) {
				t.Errorf("what arrived is not what was sent: rows %v, %v", got.count, want.count)
			}
			if m.Persons != int64(len(persons)) || m.Period == nil {
				t.Errorf("manifest says %d persons, period %v", m.Persons, m.Period)
			}
			var rowsSent, rowsInParts int64
			for _, s := range m.Sources {
				rowsSent += s.RowsSent
			}
			for _, p := range m.Parts {
				if p.Purpose == envelope.Health {
					rowsInParts += p.Rows
				}
			}
			if rowsSent != m.RowsIn() || rowsSent != rowsInParts {
				t.Errorf("%d rows in, %d sent, %d in parts", m.RowsIn(), rowsSent, rowsInParts)
			}
			if _, err := envelope.VerifyManifest(r.Envelope, w.home.Signer.Public()); err != nil {
				t.Error(err)
			}
			if err := w.home.Keep(r.Envelope, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func nonzero[V comparable](m map[string]V) map[string]V {
	var zero V
	maps.DeleteFunc(m, func(_ string, v V) bool { return v == zero })
	return m
}

const identityCSV = `person_id,birth_name,given_names,used_name,birth_date,sex,birth_place,nir,residence,email
11,LEFÈVRE,"Zoé, Marie",D'AUBIGNÉ,1985-05-07,F,78006,285057800608441,78000,zoe@example.org
12,MARTIN-PETIT,Jean Paul,,1950-01-02,M,99109,,75001,
-9223372036854775808,ROY,Al,,1960-01-02,M,2A004,,,
`

func health() map[string]string {
	return map[string]string{
		"cdm/person.csv": "person_id,gender_concept_id,year_of_birth,person_source_value\n11,8532,1985,IPP-11\n12,8507,1950,IPP-12\n-9223372036854775808,8507,1960,IPP-13\n14,8507,1970,\n",
		"cdm/CONDITION_OCCURRENCE.csv": "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_source_value,stop_reason,my_note\n" +
			"9223372036854775807,11,192671,2020-03-04,K92.2,,a\n-5,12,192671,2019-03-04 10:00:00,\"K92,2\",,\n7,99,1,2021-01-01,x,,\n8,,1,31/02/2021,x,,\n9,12,1\n10,99,1,2021-01-01,x,,\n",
		"cdm/observation.csv":       "observation_id,person_id,observation_concept_id,observation_date,value_as_string,observation_source_value\n1,11,1,2020-01-01,white,\n2,12,1,2020-01-01,\"two\nlines\",42\n",
		"cdm/note.csv":              "note_id,person_id,note_date,note_text,note_title\n1,11,2020-01-01,Madame LEFEVRE 0612345678,Titre\n2,11,2020-01-01,\"broken,x\n",
		"cdm/location.csv":          "location_id,address_1,city,zip,location_source_value\n1,3 rue des Lilas,Roy,78000,x\n",
		"cdm/concept.csv":           "concept_id\tconcept_name\tconcept_code\n1\tLefèvre syndrome\t0612345678\n2\tshort\n",
		"cdm/fact_relationship.csv": "domain_concept_id_1,fact_id_1,domain_concept_id_2,fact_id_2,relationship_concept_id\n56,11,56,12,4\n21,5,27,6,4\n",
		"cdm/cohort.csv":            "cohort_definition_id,subject_id,cohort_start_date,cohort_end_date\n1,12,2020-01-01,2020-01-02\n",
		"identity.csv":              identityCSV,
	}
}

func TestIdentityAndHealthAreSplit(t *testing.T) {
	w := newWorld(t)
	dir := write(t, health())
	o := w.options(t, dir)
	o.Identity = filepath.Join(dir, "identity.csv")
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Manifest
	for _, p := range m.Parts {
		header, rows := w.open(t, m.Delivery, p)
		text := fmt.Sprint(header, rows)
		switch p.Purpose {
		case envelope.Identity:
			if want := []string{"tid", "source_person_id", "birth_name", "given_names", "used_name", "birth_date", "sex", "birth_place", "nir", "residence"}; !slices.Equal(header, want) {
				t.Errorf("identity columns are %v", header)
			}
			if len(rows) != 3 || rows[0][2] != "LEFÈVRE" || rows[2][1] != "-9223372036854775808" || strings.Contains(text, "example.org") {
				t.Errorf("identity rows are %v", rows)
			}
		case envelope.Health, envelope.Malformed:
			for _, never := range []string{"LEFEVRE", "LEFÈVRE", "MARTIN", "IPP", "rue", "Madame", "Titre", "285057", "person_id", "subject_id", "9223372036854775808", "my_note"} {
				if strings.Contains(text, never) && !(p.Table == "concept") {
					t.Errorf("%s of %s holds %q: %s", p.Name, p.Table, never, text)
				}
			}
		}
	}
	got := newRows(true, maphash.MakeSeed())
	w.received(t, m, got)
	for table, want := range map[string][]string{
		"condition_occurrence": {
			" tid=11 condition_occurrence_id=9223372036854775807 condition_concept_id=192671 condition_start_date=2020-03-04 condition_source_value=K92.2",
			" tid=12 condition_occurrence_id=-5 condition_concept_id=192671 condition_start_date=2019-03-04 condition_source_value=K92,2",
			" tid=? condition_occurrence_id=10 condition_concept_id=1 condition_start_date=2021-01-01 condition_source_value=x",
			" tid=? condition_occurrence_id=7 condition_concept_id=1 condition_start_date=2021-01-01 condition_source_value=x",
			" tid=? condition_occurrence_id=8 condition_concept_id=1 condition_start_date=31/02/2021 condition_source_value=x",
		},
		"person":            {" tid=-9223372036854775808 gender_concept_id=8507 year_of_birth=1960", " tid=11 gender_concept_id=8532 year_of_birth=1985", " tid=12 gender_concept_id=8507 year_of_birth=1950", " tid=? gender_concept_id=8507 year_of_birth=1970"},
		"note":              {" tid=11 note_id=1 note_date=2020-01-01"},
		"location":          {" location_id=1 city=Roy zip=78000"},
		"fact_relationship": {" domain_concept_id_1=21 fact_id_1=5 domain_concept_id_2=27 fact_id_2=6 relationship_concept_id=4", " domain_concept_id_1=56 domain_concept_id_2=56 relationship_concept_id=4"},
		"cohort":            {" tid=12 cohort_definition_id=1 cohort_start_date=2020-01-01 cohort_end_date=2020-01-02"},
		"concept":           {" concept_id=1 concept_name=Lefèvre syndrome concept_code=0612345678"},
	} {
		if !slices.Equal(got.lines[table], want) {
			t.Errorf("%s: arrived\n%s\nwant\n%s", table, strings.Join(got.lines[table], "\n"), strings.Join(want, "\n"))
		}
	}
	var malformed [][]string
	for _, p := range m.Parts {
		if p.Purpose == envelope.Malformed {
			_, rows := w.open(t, m.Delivery, p)
			malformed = append(malformed, rows...)
		}
	}
	sort.Slice(malformed, func(i, j int) bool { return malformed[i][0] < malformed[j][0] })
	if got, want := fmt.Sprint(malformed), "[[concept cdm/concept.csv 3 column_count 2\tshort] [condition_occurrence cdm/CONDITION_OCCURRENCE.csv 6 column_count 9,99,9] [note cdm/note.csv 3 quote 9,99,9999-99-99,\"xxxxxx,x]]"; got != want {
		t.Errorf("malformed lines are\n%s\nwant\n%s", got, want)
	}
	for _, s := range m.Sources {
		lost := s.RowsIn - s.RowsSent
		for _, n := range s.Malformed {
			lost -= n
		}
		if lost != 0 {
			t.Errorf("%s: %d rows are not accounted for", s.File, lost)
		}
		if s.Table == "note" && fmt.Sprint(s.Withheld) != "map[note_text:1 note_title:1]" || s.Table == "condition_occurrence" && fmt.Sprint(s.Ignored) != "[my_note]" ||
			s.Table == "fact_relationship" && fmt.Sprint(s.Withheld) != "map[fact_id_1:1 fact_id_2:1]" {
			t.Errorf("source %+v", s)
		}
	}
	if m.Persons != 3 || *m.Period != (envelope.Period{First: "2019-03-04", Last: "2021-01-01"}) {
		t.Errorf("%d persons, period %v", m.Persons, *m.Period)
	}
}

func TestGuardRefuses(t *testing.T) {
	const head = "condition_occurrence_id,person_id,condition_concept_id,condition_source_value,stop_reason,nom\n"
	for name, tc := range map[string]struct{ line, column, secret string }{
		"nir":                {"2,11,1,2 85 05 78 006 084 41,,", "condition_source_value", "2 85"},
		"nir as id":          {"285057800608441,11,1,x,,", "condition_occurrence_id", "2850578"},
		"e-mail":             {"2,11,1,ask jean.roy@example.org now,,", "condition_source_value", "example.org"},
		"phone":              {"2,11,1,tel. 06.12.34.56.78,,", "condition_source_value", "12.34"},
		"phone abroad":       {"2,11,1,+33612345678,,", "condition_source_value", "33612"},
		"bare phone":         {"2,11,1,x,rappel 0612345678,", "stop_reason", "06123"},
		"own name":           {"2,11,1,x,vue avec mme d aubigne,", "stop_reason", "aubigne"},
		"birth name":         {"2,11,1,Martin Petit,,", "condition_source_value", "Martin"},
		"full name":          {"2,11,1,x,fils de Paul MARTIN-PETIT (voisin),", "stop_reason", "Paul"},
		"column of names":    {"2,11,1,x,,?", "nom", "?"},
		"person of no table": {"2,77,1,zoe lefevre,,", "condition_source_value", "zoe"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			files := health()
			files["cdm/CONDITION_OCCURRENCE.csv"] = head + "1,11,1,K92.2,,\n" + tc.line + "\n" + tc.line + "\n"
			dir := write(t, files)
			o := w.options(t, dir)
			o.Identity = filepath.Join(dir, "identity.csv")
			_, err := Run(context.Background(), o)
			if havre.KindOf(err) != havre.Invalid {
				t.Fatalf("the guard lets it pass: %v", err)
			}
			for _, want := range []string{"cdm/CONDITION_OCCURRENCE.csv, line 3, column " + tc.column + " holds", "1 more value"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			accept := "condition_occurrence." + tc.column
			if strings.Contains(err.Error(), tc.secret) || !strings.Contains(havre.HintOf(err), "--accept "+accept) {
				t.Errorf("message %q, hint %q", err, havre.HintOf(err))
			}
			for _, place := range []string{"to-hub", "to-keeper"} {
				if _, err := os.Stat(filepath.Join(w.dir, place)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("something was sent: %s is there", place)
				}
			}
			if waiting, cut, err := (outbox{o.Outbox}).list(); err != nil || len(waiting)+len(cut) != 0 {
				t.Errorf("the outbox holds %v %v (%v)", waiting, cut, err)
			}
			o.Accept = []string{accept}
			r, err := Run(context.Background(), o)
			if err != nil || !slices.Equal(r.Manifest.Accepted, o.Accept) {
				t.Errorf("an accepted column is refused: %v", err)
			}
		})
	}
}
