package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/synth"
)

// TestJourneyOnNetworkStores makes the journey of testdata/journey.txtar with
// the hub's store on a real S3 server and on a real Azure Blob server, and then
// looks into everything that the server holds: no plaintext.
func TestJourneyOnNetworkStores(t *testing.T) {
	for name, start := range map[string]func(context.Context, string) (*serve.Server, error){"s3": serve.S3, "azblob": serve.Azure} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			server, err := start(t.Context(), folder)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Stop)
			var credentials []string
			for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY"} {
				if s := server.Getenv(v); s != "" {
					credentials = append(credentials, v+"="+s)
				}
			}
			t.Run("journey", func(t *testing.T) {
				p := params("", server.URL("hub/a"), credentials...)
				p.Files = []string{filepath.Join("testdata", "journey.txtar")}
				testscript.Run(t, p)
			})
			store, err := app.Stores().Open(t.Context(), server.URL("hub/a"), blob.Options{Getenv: server.Getenv})
			if err != nil {
				t.Fatal(err)
			}
			words, objects := plaintext(t), 0
			for info, err := range store.List(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				b, err := blob.GetAll(t.Context(), store, info.Name)
				if err != nil {
					t.Fatal(err)
				}
				sealed(t, info.Name, b, words)
				objects++
			}
			if objects < 100 {
				t.Errorf("only %d objects were looked at", objects)
			}
			err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				sealed(t, path, b, words)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// sealed fails the test where a word stands in clear. The manifest of a delivery
// and the log may be read by the host: neither says anything of a person.
func sealed(t *testing.T, name string, b []byte, words []string) {
	t.Helper()
	if bytes.HasPrefix(b, []byte("PAR1")) || bytes.HasSuffix(b, []byte("PAR1")) {
		t.Errorf("%s is Parquet in clear", name)
	}
	for _, w := range words {
		if bytes.Contains(b, []byte(w)) && !(filepath.Base(name) == "manifest.json" && bytes.ContainsRune([]byte(w), '_')) {
			t.Errorf("%s holds %q in clear", name, w)
		}
	}
}

// plaintext is what the journey's population holds: columns, names and numbers.
func plaintext(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	if _, err := synth.Generate(t.Context(), synth.Options{Residents: 600, Seed: 3, Out: dir, Progress: havre.NoProgress}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "holders", "assurance", "identity.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"drug_exposure_start_date", "person_source_value", "visit_occurrence_id", "year_of_birth"}
	for _, row := range rows[1:] {
		for _, v := range []string{row[0], row[1], row[7]} { // source id, birth name, NIR
			if len(v) >= 7 {
				words = append(words, v)
			}
		}
	}
	if len(words) < 600 {
		t.Fatalf("only %d words to look for", len(words))
	}
	return words
}
