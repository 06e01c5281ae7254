package tlog

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

const origin = "hub.example/log"

// fixed is a key that everybody knows, for tests only.
func fixed(t testing.TB) *sign.Signer {
	t.Helper()
	s, err := sign.ParseSigner(havre.NewSecret(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trust(s *sign.Signer) Trust { return Trust{origin, []sign.PublicKey{s.Public()}} }

func sample(i int) Entry {
	return Entry{
		Time: time.Date(2026, 5, 4, 12, 0, i, 0, time.UTC), Action: "permit.decided", Actor: strings.Repeat("0a", 32), Subject: fmt.Sprintf("p-%04d é", i),
		Facts: map[string]string{"b": "2", "a": "<1>"}, Commitments: map[string]string{"reason": strings.Repeat("0b", 32)},
	}
}

// build makes a log in memory with nothing but the tree's definition (RFC 6962,
// 2.1): a reference for what tessera writes and the reader reads.
func build(t testing.TB, s *sign.Signer, n int) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	var level [][]byte
	bundles := map[string][]byte{}
	for i := range n {
		b, err := sample(i).Encode()
		if err != nil {
			t.Fatal(err)
		}
		level = append(level, rfc6962.DefaultHasher.HashLeaf(b))
		path := layout.EntriesPathForLogIndex(uint64(i), uint64(n))
		bundles[path] = append(append(bundles[path], byte(len(b)>>8), byte(len(b))), b...)
	}
	for path, b := range bundles {
		fsys[path] = &fstest.MapFile{Data: b}
	}
	root := naiveRoot(level)
	for l := uint64(0); len(level) > 0; l++ {
		var up [][]byte
		for i := 0; i < len(level); i += Width {
			tile := level[i:min(i+Width, len(level))]
			p := uint8(len(tile) % Width)
			fsys[layout.TilePath(l, uint64(i/Width), p)] = &fstest.MapFile{Data: bytes.Join(tile, nil)}
			if len(tile) == Width {
				up = append(up, naiveRoot(tile))
			}
		}
		level = up
	}
	raw := signNote(t, s, log.Checkpoint{Origin: origin, Size: uint64(n), Hash: root}.Marshal())
	fsys[CheckpointName] = &fstest.MapFile{Data: raw}
	fsys[HistoryName] = &fstest.MapFile{Data: HistoryLine(raw)}
	return fsys
}

// naiveRoot is MTH of RFC 6962, 2.1, over leaf hashes.
func naiveRoot(leaves [][]byte) []byte {
	switch len(leaves) {
	case 0:
		return rfc6962.DefaultHasher.EmptyRoot()
	case 1:
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	return rfc6962.DefaultHasher.HashChildren(naiveRoot(leaves[:k]), naiveRoot(leaves[k:]))
}

func signNote(t testing.TB, s *sign.Signer, text []byte) []byte {
	t.Helper()
	n, err := NoteSigner(origin, s)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := note.Sign(&note.Note{Text: string(text)}, n)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestReference: the reader agrees with the definition at every size around
// the borders of tiles.
func TestReference(t *testing.T) {
	s := fixed(t)
	for _, n := range []int{0, 1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 1000} {
		r := NewReader(build(t, s, n), trust(s))
		rep, err := r.Verify(t.Context(), havre.NoProgress)
		if err != nil || rep.Size != int64(n) {
			t.Fatalf("%d entries: %v %+v", n, err, rep)
		}
		c, err := r.Checkpoint()
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []int{0, 1, 3, 255, 256, 300} { // what the log was before, from the tiles of now
			if k > n {
				continue
			}
			then, err := NewReader(build(t, s, k), trust(s)).Checkpoint()
			if err != nil {
				t.Fatal(err)
			}
			if root, err := r.RootAt(int64(k), c.Size); err != nil || !bytes.Equal(root, then.Root[:]) {
				t.Fatalf("the root of the first %d of %d entries: %x, %v", k, n, root, err)
			}
		}
		if root, err := r.RootFromTiles(c.Size); err != nil || !bytes.Equal(root, c.Root[:]) {
			t.Fatalf("%d entries: root from tiles %x, %v", n, root, err)
		}
		for range min(n, 20) {
			i := rand.Int64N(int64(n))
			if rec, err := r.Entry(i); err != nil || rec.Subject != sample(int(i)).Subject {
				t.Fatalf("entry %d of %d: %+v, %v", i, n, rec, err)
			}
		}
		count := 0
		for rec, err := range r.Entries(t.Context(), 0, -1, Filter{}) {
			if err != nil || rec.Index != int64(count) {
				t.Fatalf("entry %d of %d: %v", count, n, err)
			}
			count++
		}
		if count != n {
			t.Errorf("%d entries of %d were read", count, n)
		}
	}
}

func TestFilter(t *testing.T) {
	s := fixed(t)
	r := NewReader(build(t, s, 600), trust(s))
	at := func(i int) time.Time { return sample(i).Time }
	for name, tc := range map[string]struct {
		from, to int64
		f        Filter
		want     []int64 // first and last index, and number
	}{
		"all":            {0, -1, Filter{}, []int64{0, 599, 600}},
		"a range":        {255, 257, Filter{}, []int64{255, 256, 2}},
		"past the end":   {590, 10000, Filter{}, []int64{590, 599, 10}},
		"first word":     {0, -1, Filter{Action: "permit"}, []int64{0, 599, 600}},
		"half a word":    {0, -1, Filter{Action: "perm"}, nil},
		"another action": {0, -1, Filter{Action: "permit.denied"}, nil},
		"subject":        {0, -1, Filter{Subject: "p-0300 é"}, []int64{300, 300, 1}},
		"time":           {0, -1, Filter{Since: at(10), Until: at(20)}, []int64{10, 19, 10}},
	} {
		var got []int64
		for rec, err := range r.Entries(t.Context(), tc.from, tc.to, tc.f) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, rec.Index)
		}
		if len(got) > 0 {
			got = []int64{got[0], got[len(got)-1], int64(len(got))}
		}
		if fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestParseEntryRefuses(t *testing.T) {
	good, err := sample(0).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"a space":          {`{"action"`, `{ "action"`},
		"data after":       {`"version":1}`, `"version":1} `},
		"two entries":      {`"version":1}`, `"version":1}{}`},
		"another version":  {`"version":1`, `"version":2`},
		"unknown field":    {`"version":1`, `"version":1,"x":1`},
		"missing field":    {`,"version":1`, ``},
		"null facts":       {`{"a":"<1>","b":"2"}`, `null`},
		"order":            {`"a":"<1>","b":"2"`, `"b":"2","a":"<1>"`},
		"escape":           {`<1>`, `\u003c1>`},
		"case":             {`"action"`, `"Action"`},
		"time without ms":  {`.000000Z`, `Z`},
		"time with offset": {`.000000Z`, `.000000+00:00`},
		"no date":          {`2026-05-04`, `2026-02-30`},
		"before 1970":      {`2026-05-04`, `1969-05-04`},
		"short commitment": {`0a0a"`, `0a"`},
		"capital digits":   {`0a0a"`, `0A0a"`},
		"action":           {`permit.decided`, `permit`},
	} {
		b := bytes.Replace(good, []byte(edit[0]), []byte(edit[1]), 1)
		if bytes.Equal(b, good) {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := ParseEntry(b); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	s := fixed(t)
	root := bytes.Repeat([]byte{2}, 32)
	good := signNote(t, s, log.Checkpoint{Origin: origin, Size: 7, Hash: root}.Marshal())
	text, _, _ := strings.Cut(string(good), "\n\n")
	text += "\n"
	for name, raw := range map[string][]byte{
		"nothing":         nil,
		"no signature":    []byte(text + "\n"),
		"extra line":      signNote(t, s, []byte(text+"more\n")),
		"leading zero":    signNote(t, s, []byte(strings.Replace(text, "\n7\n", "\n07\n", 1))),
		"negative size":   signNote(t, s, []byte(strings.Replace(text, "\n7\n", "\n-7\n", 1))),
		"too large":       signNote(t, s, []byte(strings.Replace(text, "\n7\n", "\n18446744073709551615\n", 1))),
		"another origin":  signNote(t, s, []byte(strings.Replace(text, origin, "other", 1))),
		"short root":      signNote(t, s, log.Checkpoint{Origin: origin, Size: 7, Hash: root[:31]}.Marshal()),
		"another key":     signNote(t, sign.NewSigner(), []byte(text)),
		"another's words": bytes.Replace(good, []byte("\n7\n"), []byte("\n8\n"), 1),
	} {
		if _, err := ParseCheckpoint(raw, trust(s)); havre.KindOf(err) != havre.Tampered {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := ParseCheckpoint(good, Trust{origin, []sign.PublicKey{sign.NewSigner().Public(), s.Public()}}); err != nil || c.Size != 7 {
		t.Errorf("a second trusted key: %v", err)
	}
	witnessed, err := note.Sign(&note.Note{Text: text}, mustSigner(t, origin, s), mustSigner(t, "witness.example/w1", sign.NewSigner()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseCheckpoint(witnessed, trust(s)); err != nil {
		t.Errorf("a witness's signature beside the log's: %v", err)
	}
}

func mustSigner(t *testing.T, name string, s *sign.Signer) note.Signer {
	t.Helper()
	n, err := NoteSigner(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func FuzzParseEntry(f *testing.F) {
	good, err := sample(0).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if err != nil {
			return
		}
		if again, err := e.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q has a second spelling %q (%v)", b, again, err)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	s := fixed(f)
	f.Add(signNote(f, s, log.Checkpoint{Origin: origin, Size: 7, Hash: make([]byte, 32)}.Marshal()))
	f.Add([]byte(origin + "\n7\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCheckpoint(b, trust(s))
		if err == nil && (c.Size < 0 || c.Origin != origin || !bytes.HasPrefix(b, []byte(origin+"\n"))) {
			t.Errorf("%q was read as %+v", b, c)
		}
		// As if the key itself had signed any text.
		if !bytes.HasSuffix(b, []byte("\n")) || bytes.ContainsRune(b, '\r') {
			return
		}
		n, _ := NoteSigner(origin, s)
		raw, err := note.Sign(&note.Note{Text: string(b)}, n)
		if err != nil {
			return
		}
		if c, err := ParseCheckpoint(raw, trust(s)); err == nil {
			if want := (log.Checkpoint{Origin: c.Origin, Size: uint64(c.Size), Hash: c.Root[:]}).Marshal(); !bytes.Equal(want, b) {
				t.Errorf("%q was read, %q is its spelling", b, want)
			}
		}
	})
}

func FuzzParseHistory(f *testing.F) {
	s := fixed(f)
	one := HistoryLine(signNote(f, s, log.Checkpoint{Origin: origin, Size: 1, Hash: make([]byte, 32)}.Marshal()))
	two := HistoryLine(signNote(f, s, log.Checkpoint{Origin: origin, Size: 2, Hash: make([]byte, 32)}.Marshal()))
	f.Add(append(one, two...))
	f.Add(append(one, two[:40]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		kept, whole, err := ParseHistory(b, trust(s))
		if whole > len(b) || err == nil && bytes.ContainsRune(b[whole:], '\n') {
			t.Errorf("%d of %d bytes, %v", whole, len(b), err)
		}
		var again []byte
		for _, c := range kept {
			again = append(again, HistoryLine(c.Raw)...)
		}
		if !bytes.Equal(again, b[:whole]) {
			t.Error("a history has a second spelling")
		}
	})
}

// FuzzVerify harms one file of a sound log in any way: Verify must find it, or
// the file must be as it was; and it must never panic. (A checkpoint may gain
// signatures of witnesses.)
func FuzzVerify(f *testing.F) {
	s := fixed(f)
	whole := build(f, s, 300)
	names := slices.Sorted(maps.Keys(whole)) // the same name for the same number in every run
	f.Add(uint8(0), uint32(0), []byte("x"), false)
	f.Add(uint8(3), uint32(700), []byte{}, true)
	f.Fuzz(func(t *testing.T, file uint8, at uint32, put []byte, cut bool) {
		name := names[int(file)%len(names)]
		old := whole[name].Data
		i := int(at) % (len(old) + 1)
		data := append(append(bytes.Clone(old[:i]), put...), old[min(i+len(put), len(old)):]...)
		if cut {
			data = append(bytes.Clone(old[:i]), put...)
		}
		harmed := fstest.MapFS{}
		for n, file := range whole {
			harmed[n] = file
		}
		harmed[name] = &fstest.MapFile{Data: data}
		_, err := NewReader(harmed, trust(s)).Verify(t.Context(), havre.NoProgress)
		if bytes.Equal(data, old) != (err == nil) && !tornTail(name, data, old) && !(name == CheckpointName && bytes.HasPrefix(data, old)) {
			t.Errorf("%s harmed at %d of %d: %v", name, i, len(old), err)
		}
	})
}

// tornTail is the one harm that is none: a history whose end was never
// finished, as a crash leaves it, while the published checkpoint is there.
func tornTail(name string, data, old []byte) bool {
	return name == HistoryName && (bytes.HasPrefix(data, old) || !bytes.ContainsRune(data, '\n')) && !bytes.ContainsRune(data[min(len(old), len(data)):], '\n')
}
