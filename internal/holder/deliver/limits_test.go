package deliver

import (
	"archive/zip"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/realinput"
)

func TestRowsThatAreTooLong(t *testing.T) {
	w := newWorld(t)
	o := w.options(t, write(t, map[string]string{
		"person.csv":      "person_id,gender_concept_id\n1,0\n",
		"observation.csv": "observation_id,person_id,value_as_string\n1,1,short\n2,1," + strings.Repeat("long ", maxRow/5) + "\n3,1,short\n",
	}))
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Manifest.Sources {
		if s.Table == "observation" && (s.RowsIn != 3 || s.RowsSent != 2 || s.Malformed[tooLong] != 1) {
			t.Errorf("source %+v", s)
		}
	}
}

func TestRefusedBeforeAnythingIsSent(t *testing.T) {
	good := health()
	for name, tc := range map[string]struct {
		spoil func(files map[string]string, o *Options)
		say   string
	}{
		"person twice":       {func(f map[string]string, _ *Options) { f["identity.csv"] += "12,AUTRE,Eve,,,,,,,\n" }, "line 5"},
		"no person id":       {func(f map[string]string, _ *Options) { f["identity.csv"] += ",AUTRE,Eve,,,,,,,\n" }, "line 5"},
		"nothing may leave":  {func(f map[string]string, _ *Options) { f["cdm/provider.csv"] = "npi\n1\n" }, "cdm/provider.csv"},
		"accepting no table": {func(_ map[string]string, o *Options) { o.Accept = []string{"patients.name"} }, "patients.name"},
		"a strange id":       {func(_ map[string]string, o *Options) { o.Delivery = "../x" }, "../x"},
		"a strange hub":      {func(_ map[string]string, o *Options) { o.Hub = "The Hub" }, "The Hub"},
	} {
		w := newWorld(t)
		files := map[string]string{}
		for n, text := range good {
			files[n] = text
		}
		o := w.home.Options()
		tc.spoil(files, &o)
		dir := write(t, files)
		full := w.options(t, dir)
		full.Identity, full.Accept, full.Hub, full.Delivery = filepath.Join(dir, "identity.csv"), o.Accept, o.Hub, o.Delivery
		_, err := Run(context.Background(), full)
		if havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), tc.say) || strings.Contains(err.Error(), "AUTRE") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(w.dir, "to-hub")); err == nil {
			t.Errorf("%s: something was sent", name)
		}
	}
}

func TestFullDiskHasItsKind(t *testing.T) {
	for err, kind := range map[error]havre.Kind{syscall.ENOSPC: havre.NoSpace, syscall.EDQUOT: havre.NoSpace, syscall.EACCES: havre.StoreUnavailable} {
		if got := havre.KindOf(fileError("x", &os.PathError{Op: "write", Path: "p", Err: err})); got != kind {
			t.Errorf("%v gives %s", err, got)
		}
	}
}

// TestParquetInAZip delivers GiBleed packed as newcomers find it.
func TestParquetInAZip(t *testing.T) {
	from := realinput.Path(t, "omop/gibleed")
	place := filepath.Join(t.TempDir(), "gibleed.zip")
	f, err := os.Create(place)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for i, name := range []string{"person", "observation_period", "observation"} {
		b, err := os.ReadFile(filepath.Join(from, name+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		method := zip.Deflate
		if i == 0 {
			method = zip.Store
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: `GiBleed_5.3\` + strings.ToUpper(name) + ".parquet", Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	w := newWorld(t)
	r, err := Run(context.Background(), w.options(t, place))
	if err != nil {
		t.Fatal(err)
	}
	if r.Manifest.Persons != 2694 || r.Manifest.RowsIn() != 2694+5343+1477 || len(r.Manifest.For(envelope.Health)) != 3 {
		t.Errorf("%d persons, %d rows in %d parts", r.Manifest.Persons, r.Manifest.RowsIn(), len(r.Manifest.Parts))
	}
}

func TestStoppedByTheUser(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	generate(t, dir, 2000)
	ctx, cancel := context.WithCancel(context.Background())
	o := w.options(t, dir)
	o.Progress = stopper{cancel}
	if _, err := Run(ctx, o); havre.KindOf(err) != havre.Cancelled {
		t.Errorf("a stopped delivery gives %v", err)
	}
	if whole, cut, err := (outbox{o.Outbox}).list(); err != nil || len(whole)+len(cut) != 0 {
		t.Errorf("the outbox holds %v %v (%v)", whole, cut, err)
	}
}

// stopper cancels when rows begin to be sealed.
type stopper struct{ cancel context.CancelFunc }

func (s stopper) Step(name string, _ int64, _ string) havre.Counter {
	if name == "seal" {
		s.cancel()
	}
	return s
}
func (stopper) Add(int64) {}
func (stopper) Done()     {}
