package audit

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"golang.org/x/mod/sumdb/note"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// entries700 makes a log of 700 entries under several checkpoints.
func entries700(t *testing.T, o Options) string {
	t.Helper()
	l, dir := made(t, o)
	for i, n := range []int{1, 1, 298, 300, 100} {
		fill(t, l, 1000*i, n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// splice rewrites a bundle file with its entries changed by f.
func splice(t *testing.T, path string, f func([][]byte) [][]byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var entries [][]byte
	for len(raw) > 0 {
		n := int(raw[0])<<8 | int(raw[1])
		entries = append(entries, raw[2:2+n])
		raw = raw[2+n:]
	}
	var out []byte
	for _, e := range f(entries) {
		out = append(out, byte(len(e)>>8), byte(len(e)))
		out = append(out, e...)
	}
	if err := os.WriteFile(path, out, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTampering(t *testing.T) {
	t.Parallel()
	o := options()
	whole := entries700(t, o)
	rep := verified(t, whole, o)
	if rep.Size != 700 || rep.Checkpoints < 5 {
		t.Fatalf("the log to tamper with has %d entries, %d checkpoints", rep.Size, rep.Checkpoints)
	}
	stranger, _ := tlog.NoteSigner(origin, sign.NewSigner())
	const first, second, third = "tile/entries/000", "tile/entries/001", "tile/entries/002.p/188"

	for name, tc := range map[string]struct {
		harm  func(at func(string) string)
		index int64 // of some finding
		what  string
	}{
		"a byte of an entry": {func(at func(string) string) {
			splice(t, at(second), func(e [][]byte) [][]byte { e[44][len(e[44])-20] ^= 1; return e })
		}, 300, "entry 300 was changed"},
		"an entry replaced by a proper one": {func(at func(string) string) {
			splice(t, at(first), func(e [][]byte) [][]byte {
				e[7] = bytes.Replace(e[7], []byte(`"subject":"s-`), []byte(`"subject":"t-`), 1)
				return e
			})
		}, 7, "entry 7 was changed"},
		"the last entry of a bundle": {func(at func(string) string) {
			splice(t, at(first), func(e [][]byte) [][]byte { e[255] = append(e[255], ' '); return e })
		}, 255, "entry 255 was changed"},
		"an entry dropped": {func(at func(string) string) {
			splice(t, at(first), func(e [][]byte) [][]byte { return append(e[:10:10], e[11:]...) })
		}, 10, "entry 10 was removed"},
		"an entry dropped and the rest moved up": {func(at func(string) string) {
			var next []byte
			splice(t, at(second), func(e [][]byte) [][]byte { next = e[0]; return e })
			splice(t, at(first), func(e [][]byte) [][]byte { return append(append(e[:10:10], e[11:]...), next) })
		}, 10, "entry 10 was removed"},
		"the last entry dropped": {func(at func(string) string) {
			splice(t, at(third), func(e [][]byte) [][]byte { return e[:187] })
		}, 699, "entries 699 to 699 were cut off"},
		"an entry put in": {func(at func(string) string) {
			splice(t, at(first), func(e [][]byte) [][]byte {
				return append(append(e[:10:10], []byte("{}")), e[10:255]...)
			})
		}, 10, "an entry was put in before entry 10"},
		"an entry put behind the last": {func(at func(string) string) {
			splice(t, at(third), func(e [][]byte) [][]byte { return append(e, []byte("{}")) })
		}, 512, "holds more than it may"},
		"two entries swapped": {func(at func(string) string) {
			splice(t, at(first), func(e [][]byte) [][]byte { e[20], e[30] = e[30], e[20]; return e })
		}, 20, "entry 20 was re-ordered: what stands there is entry 30"},
		"the last two swapped": {func(at func(string) string) {
			splice(t, at(third), func(e [][]byte) [][]byte { e[186], e[187] = e[187], e[186]; return e })
		}, 699, "entry 699 was re-ordered"},
		"two bundles swapped": {func(at func(string) string) {
			a, _ := os.ReadFile(at(first))
			b, _ := os.ReadFile(at(second))
			os.WriteFile(at(first), b, 0o644)
			os.WriteFile(at(second), a, 0o644)
		}, 0, "entry 0 was changed"},
		"a bundle cut": {func(at func(string) string) {
			splice(t, at(third), func(e [][]byte) [][]byte { return e[:95] })
			st, _ := os.Stat(at(third))
			os.Truncate(at(third), st.Size()-5)
		}, 606, "were cut off"},
		"a bundle missing":    {func(at func(string) string) { os.Remove(at(second)) }, 256, "tile/entries/001 is missing"},
		"a bundle empty":      {func(at func(string) string) { os.Truncate(at(second), 0) }, 256, "entries 256 to 511 are missing"},
		"a tile altered":      {func(at func(string) string) { flip(t, at("tile/0/001"), 33) }, -1, "the tile of entry 257 (tile 0/1) was altered"},
		"a tile cut":          {func(at func(string) string) { os.Truncate(at("tile/0/001"), 320) }, -1, "tile 0/1 has 320 bytes"},
		"a tile missing":      {func(at func(string) string) { os.Remove(at("tile/0/001")) }, -1, "tile/0/001 is missing"},
		"an upper tile":       {func(at func(string) string) { flip(t, at("tile/1/000.p/2"), 33) }, -1, "tile 1/0 was altered"},
		"an upper tile gone":  {func(at func(string) string) { os.RemoveAll(at("tile/1")) }, -1, "tile/1/000 is missing"},
		"a tile and an entry": {func(at func(string) string) { flip(t, at("tile/0/001"), 0); flip(t, at(first), 100) }, 0, "entry 0 was changed"},
		"an older checkpoint": {func(at func(string) string) {
			r, _ := tlog.Open(at(""), o.trust())
			kept, _ := r.Kept()
			os.WriteFile(at("checkpoint"), kept[2].Raw, 0o644)
		}, -1, "the log was rolled back"},
		"a checkpoint signed by a stranger": {func(at func(string) string) {
			raw, _ := os.ReadFile(at("checkpoint"))
			text, _, _ := strings.Cut(string(raw), "\n\n")
			forged, err := note.Sign(&note.Note{Text: text + "\n"}, stranger)
			if err != nil {
				t.Fatal(err)
			}
			os.WriteFile(at("checkpoint"), forged, 0o644)
		}, -1, "not signed by the trusted key"},
		"a checkpoint with another size": {func(at func(string) string) {
			raw, _ := os.ReadFile(at("checkpoint"))
			os.WriteFile(at("checkpoint"), bytes.Replace(raw, []byte("\n700\n"), []byte("\n699\n"), 1), 0o644)
		}, -1, "not signed by the trusted key"},
		"a checkpoint missing": {func(at func(string) string) { os.Remove(at("checkpoint")) }, -1, "checkpoint is missing"},
		"a history missing":    {func(at func(string) string) { os.Remove(at(tlog.HistoryName)) }, -1, tlog.HistoryName + " is missing"},
		"a history altered":    {func(at func(string) string) { flip(t, at(tlog.HistoryName), 300) }, -1, "of " + tlog.HistoryName},
		"a history shuffled": {func(at func(string) string) {
			b, _ := os.ReadFile(at(tlog.HistoryName))
			lines := bytes.SplitAfter(b, []byte("\n"))
			lines[1], lines[2] = lines[2], lines[1]
			os.WriteFile(at(tlog.HistoryName), bytes.Join(lines, nil), 0o644)
		}, -1, "covers fewer entries than the line before it"},
		"entries and tiles rewritten alike": {func(at func(string) string) {
			other := entries700(t, options()) // another history under another key
			os.RemoveAll(at("tile"))
			if err := os.CopyFS(at("tile"), os.DirFS(filepath.Join(other, "tile"))); err != nil {
				t.Fatal(err)
			}
		}, -1, "one of the entries 0 to 0 was changed, removed or re-ordered"},
		"a link out of the folder": {func(at func(string) string) {
			os.Remove(at("checkpoint"))
			os.Symlink("/etc/passwd", at("checkpoint"))
		}, -1, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copied(t, whole)
			tc.harm(func(p string) string { return filepath.Join(dir, p) })
			r, err := tlog.Open(dir, o.trust())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			rep, err := r.Verify(t.Context(), havre.NoProgress)
			if havre.KindOf(err) != havre.Tampered || rep == nil {
				t.Fatalf("not found: %v", err)
			}
			for _, f := range rep.Findings {
				if f.Index == tc.index && strings.Contains(f.What, tc.what) {
					return
				}
			}
			t.Errorf("nothing tells %d %q: %+v", tc.index, tc.what, rep.Findings)
		})
	}
}

// rogue writes entries with the hub's own key past every check of Log.
func rogue(t *testing.T, o Options, entries ...[]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	if err := Create(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	a, shutdown, _, err := start(ctx, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := a.Add(ctx, tessera.NewEntry(e))(); err != nil {
			t.Fatal(err)
		}
	}
	if err := shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRogueHub: a hub that holds the key can sign what it likes, but not two
// histories, not another order of time, and not another form.
func TestRogueHub(t *testing.T) {
	t.Parallel()
	o := options()
	at := func(sec int) []byte {
		p, err := draft(event(sec))
		if err != nil {
			t.Fatal(err)
		}
		p.entry.Time = time.Unix(int64(sec), 0)
		b, err := p.entry.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	check := func(dir, what string) {
		t.Helper()
		r, err := tlog.Open(dir, o.trust())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		rep, err := r.Verify(t.Context(), havre.NoProgress)
		if havre.KindOf(err) != havre.Tampered {
			t.Fatalf("%q was not found: %v", what, err)
		}
		if got := rep.Findings[0].What; len(rep.Findings) != 1 || !strings.Contains(got, what) {
			t.Errorf("found %+v, want %q", rep.Findings, what)
		}
	}
	check(rogue(t, o, at(10), at(20), at(15)), "entry 2 is dated before entry 1")
	check(rogue(t, o, at(10), append([]byte(" "), at(20)...)), "entry 1 is not a proper entry")

	a, b := rogue(t, o, at(10), at(20), at(30)), rogue(t, o, at(10), at(21), at(30), at(40))
	raw, err := os.ReadFile(filepath.Join(a, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := os.OpenFile(filepath.Join(b, tlog.HistoryName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(tlog.HistoryLine(raw))
	h.Close()
	check(b, "the kept checkpoint of 3 entries is signed over other entries")
}

func TestProofs(t *testing.T) {
	t.Parallel()
	o := options()
	dir := entries700(t, o)
	r, err := tlog.Open(dir, o.trust())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := r.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int64{0, 1, 255, 256, 511, 512, 699} {
		entry, proof, err := r.Inclusion(c, i)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckInclusion(c, i, entry, proof); err != nil {
			t.Error(err)
		}
		if tlog.CheckInclusion(c, (i+1)%700, entry, proof) == nil {
			t.Errorf("the proof of entry %d proves another position", i)
		}
		if tlog.CheckInclusion(c, i, append(entry, ' '), proof) == nil {
			t.Errorf("the proof of entry %d proves another entry", i)
		}
	}
	if _, _, err := r.Inclusion(c, 700); havre.KindOf(err) != havre.NotFound {
		t.Errorf("an entry beyond the end: %v", err)
	}
	kept, err := r.Kept()
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range kept {
		for _, b := range kept[i:] {
			proof, err := r.Consistency(a, b)
			if err != nil {
				t.Errorf("%d to %d: %v", a.Size, b.Size, err)
			}
			wrong := a
			wrong.Root[0] ^= 1
			if tlog.CheckConsistency(wrong, b, proof) == nil {
				t.Errorf("%d to %d holds for another root", a.Size, b.Size)
			}
		}
	}
	if _, err := r.Consistency(c, kept[0]); err == nil {
		t.Error("a proof backwards")
	}
}
