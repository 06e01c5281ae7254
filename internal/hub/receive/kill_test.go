package receive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/audit/audittest"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// The child process of the test below finds a hub, its keys, a delivery and a
// linkage table in the folder of this variable, and takes the delivery in.
const killVariable = "HAVRE_TEST_KILL"

// reopen opens a hub whose keys were laid into its folder.
func reopen(ctx context.Context, dir string, log audit.Recorder) (*Desk, error) {
	read := func(name string) havre.Secret {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			panic(err)
		}
		return havre.NewSecret(b)
	}
	store, err := file.Open(filepath.Join(dir, "store"))
	if err != nil {
		return nil, err
	}
	db, err := meta.Open(ctx, filepath.Join(dir, "control.db"))
	if err != nil {
		return nil, err
	}
	key, err1 := seal.ParseKey(read("key"))
	signer, err2 := sign.ParseSigner(read("signer"))
	keeper, err3 := sign.ParseSigner(read("keeper"))
	level2, err4 := NewLevel2(1, read("level-2"))
	return New(Config{Hub: "hub", Store: store, DB: db, Key: key, Signer: signer, Keeper: keeper.Public(), Level2: level2,
		Log: log, Now: havre.SystemNow}), errors.Join(err1, err2, err3, err4)
}

// takeIn brings a delivery from its folder to its validation.
func takeIn(ctx context.Context, d *Desk, dir string) ([]byte, error) {
	receipt, err := d.Receive(ctx, envelope.Folder(filepath.Join(dir, "delivery")), "", havre.NoProgress)
	if err != nil {
		return nil, err
	}
	r, err := envelope.VerifyReceipt(receipt, d.Signer.Public())
	if err != nil {
		return nil, err
	}
	if _, err := d.Link(ctx, r.Delivery, envelope.Folder(filepath.Join(dir, "linkage"))); err != nil {
		return nil, err
	}
	if err := d.Ingested(ctx, r.Delivery, 1); err != nil {
		return nil, err
	}
	return receipt, d.Validate(ctx, r.Delivery)
}

func TestKilledAtAnyMoment(t *testing.T) {
	if dir := os.Getenv(killVariable); dir != "" {
		d, err := reopen(context.Background(), dir, &audittest.Diary{})
		if err == nil {
			_, err = takeIn(context.Background(), d, dir)
		}
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	r := rand.New(rand.NewPCG(1, 2))
	killed := 0
	window := 60 * time.Millisecond // about what a process takes on this machine; it follows what is seen
	for round := range 25 {
		h := newHub(t)
		h.now = time.Now().UTC().Truncate(time.Second)
		f := h.deliver("payer", nil, conditions, conditions, conditions)
		m := h.manifest(f)
		table := h.linkageOf(m, nil, row(1, 1), row(2, 2))
		must(t, os.CopyFS(filepath.Join(h.dir, "delivery"), os.DirFS(string(f))))
		must(t, os.CopyFS(filepath.Join(h.dir, "linkage"), os.DirFS(string(table))))
		for name, s := range map[string]havre.Secret{"key": h.desk.Key.Secret(), "signer": h.desk.Signer.Secret(), "keeper": h.keeper.Secret(),
			"level-2": havre.NewSecret(bytes.Repeat([]byte{9}, 32))} {
			must(t, os.WriteFile(filepath.Join(h.dir, name), s.Reveal(), 0o600))
		}
		must(t, h.desk.DB.Close())
		for range 3 {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledAtAnyMoment$")
			cmd.Env = append(os.Environ(), killVariable+"="+h.dir)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			must(t, cmd.Start())
			began := time.Now()
			stop := time.AfterFunc(window/8+time.Duration(r.Int64N(int64(window))), func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait()
			if !stop.Stop() {
				killed++
				window += window / 10
				continue
			}
			window = time.Since(began) // it was through before
			if cmd.ProcessState.ExitCode() != 0 {
				t.Fatalf("round %d: %s", round, stderr.String())
			}
		}
		d, err := reopen(t.Context(), h.dir, &audittest.Diary{})
		must(t, err)
		receipt, err := takeIn(t.Context(), d, h.dir)
		must(t, err)
		again, err := takeIn(t.Context(), d, h.dir)
		must(t, err)
		if v, err := d.Delivery(t.Context(), m.Delivery); err != nil || v.State != Validated || !bytes.Equal(receipt, again) {
			t.Errorf("round %d: %+v, %v", round, v, err)
		}
		persons := 0
		must(t, filepath.WalkDir(filepath.Join(h.dir, "store"), func(p string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(p)
			must(t, err)
			switch name, err := filepath.Rel(filepath.Join(h.dir, "store"), p); {
			case err != nil:
				t.Fatal(err)
			case filepath.Dir(name) == "person":
				plain, err := seal.Open(b, d.Key)
				must(t, err)
				persons += len(plain) / personSize
			case filepath.Dir(filepath.Dir(name)) == "delivery" && filepath.Base(name) != envelope.ManifestName:
				t.Errorf("round %d: %s is left", round, name)
			}
			if bytes.Contains(b, []byte("192671")) {
				t.Errorf("round %d: %s holds plaintext", round, p)
			}
			return nil
		}))
		if persons != 2 {
			t.Errorf("round %d: %d persons on the list", round, persons)
		}
		must(t, d.DB.Close())
	}
	t.Logf("%d processes were killed at work", killed)
	if killed < 10 {
		t.Errorf("only %d processes were killed at work", killed)
	}
}
