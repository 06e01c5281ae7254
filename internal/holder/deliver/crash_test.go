package deliver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake/omop"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("DELIVER_CRASH_DIR"); dir != "" {
		deliverForever(dir)
		return
	}
	os.Exit(m.Run())
}

// deliverForever delivers dir/source from dir/holder again and again.
func deliverForever(dir string) {
	for {
		home, err := OpenHome(filepath.Join(dir, "holder"))
		if err != nil {
			panic(err)
		}
		src, err := omop.Open(context.Background(), filepath.Join(dir, "source"))
		if err != nil {
			panic(err)
		}
		o := home.Options()
		o.Source, o.Identity = src, filepath.Join(dir, "source", "identity.csv")
		o.Keeper, o.To = NewFolder(filepath.Join(dir, "to-keeper")), NewFolder(filepath.Join(dir, "to-hub"))
		if _, err := Run(context.Background(), o); err != nil {
			panic(err)
		}
	}
}

// TestKilledAtAnyInstant kills the delivering process many times. What stands
// with a manifest is whole, nothing readable is on the disk, and the next
// delivery works.
func TestKilledAtAnyInstant(t *testing.T) {
	w := newWorld(t)
	source := filepath.Join(w.dir, "source")
	for name, text := range health() {
		p := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tmp := filepath.Join(w.dir, "tmp")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	var once time.Duration // what one delivery takes, however busy the machine
	for i := range 25 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "DELIVER_CRASH_DIR="+w.dir, "TMPDIR="+tmp)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if started := time.Now(); i == 0 {
			for len(delivered(t, w.dir)) == 0 {
				if time.Sleep(time.Millisecond); time.Since(started) > 5*time.Minute {
					t.Fatal("the process does not deliver")
				}
			}
			once = time.Since(started)
		} else {
			time.Sleep(once * time.Duration(i) / 12)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if stderr.Len() > 0 {
			t.Fatalf("the process failed before it was killed: %s", stderr.String())
		}
	}
	whole := 0
	for _, side := range []string{"to-hub", "to-keeper"} {
		deliveries, err := os.ReadDir(filepath.Join(w.dir, side))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range deliveries {
			if wholeDelivery(t, filepath.Join(w.dir, side, d.Name()), side == "to-keeper", w) {
				whole++
			}
		}
	}
	if whole == 0 {
		t.Error("no delivery was ever whole, so this test proves nothing")
	}
	canaries(t, w.dir, source)
	waiting, err := Waiting(filepath.Join(w.home.dir, "outbox"))
	if err != nil {
		t.Fatal(err)
	}
	o := w.options(t, source)
	o.Identity = filepath.Join(source, "identity.csv")
	for _, d := range append(waiting, havre.NewDeliveryID()) {
		o.Delivery = d
		if _, err := Run(context.Background(), o); err != nil {
			t.Errorf("after the crashes: %v", err)
		}
	}
	if whole, cut, err := (outbox{o.Outbox}).list(); err != nil || len(whole)+len(cut) != 0 {
		t.Errorf("the outbox still holds %v and %v (%v)", whole, cut, err)
	}
}

// delivered lists the manifests at the hub's side.
func delivered(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "to-hub", "*", envelope.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wholeDelivery says whether there is a manifest; then each part must be there.
func wholeDelivery(t *testing.T, dir string, keeper bool, w *world) bool {
	b, err := os.ReadFile(filepath.Join(dir, envelope.ManifestName))
	if err != nil {
		return false
	}
	m, err := envelope.VerifyManifest(b, w.home.Signer.Public())
	if err != nil {
		t.Error(err)
		return false
	}
	for _, p := range m.Parts {
		if (p.Purpose == envelope.Identity) != keeper {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, p.Name))
		sum := sha256.Sum256(b)
		if err != nil || hex.EncodeToString(sum[:]) != p.SHA256 {
			t.Errorf("%s: %s is not whole (%v)", dir, p.Name, err)
		}
	}
	return true
}

// canaries fails if a value of the source stands in any other file below dir.
func canaries(t *testing.T, dir, source string) {
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, source) {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, secret := range []string{"FÈVRE", "LEFEVRE", "192671", "2020-03-04,", "AUBIGN", "condition_concept_id,"} {
			if bytes.Contains(b, []byte(secret)) && filepath.Base(path) != envelope.ManifestName {
				t.Errorf("%s holds %q in clear", path, secret)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files were searched (%v)", files, err)
	}
}
