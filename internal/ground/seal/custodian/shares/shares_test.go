package shares

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/cloudflare/circl/secretsharing"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/realinput"
)

const ring = "0f3a9c5511aa22bb"

var people = []string{"Claire Martin", "Yann Le Goff", "Aïcha Benali"}

func set(t testing.TB, needed int, names ...string) (*Custodian, []Share) {
	t.Helper()
	c, s, err := New("shares:x", ring, needed, names)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// hand writes shares as files and opens them.
func hand(t testing.TB, shares ...Share) *Custodian {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for i, s := range shares {
		f := filepath.Join(dir, fmt.Sprintf("%d.share", i))
		if err := os.WriteFile(f, s.Text(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	c, err := Open("shares:x", files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEveryCombination: k of n open, and fewer do not, whoever they are.
func TestEveryCombination(t *testing.T) {
	names := append(slices.Clone(people), "Jo O'Neil", "Zoé")
	for needed := 2; needed <= len(names); needed++ {
		c, shares := set(t, needed, names...)
		w, err := c.Wrap(havre.NewSecret([]byte("ring key")))
		if err != nil {
			t.Fatal(err)
		}
		for mask := range 1 << len(names) {
			var here []Share
			for i := range names {
				if mask&(1<<i) != 0 {
					here = append(here, shares[i])
				}
			}
			s, err := hand(t, here...).Unwrap(w)
			if len(here) >= needed && (err != nil || string(s.Reveal()) != "ring key") {
				t.Fatalf("%d of %d needed, %b: %v", len(here), needed, mask, err)
			}
			if len(here) < needed && havre.KindOf(err) != havre.KeyUnavailable {
				t.Fatalf("%d of %d needed, %b: %v", len(here), needed, mask, err)
			}
		}
	}
}

func TestErrorsNameThePeople(t *testing.T) {
	c, s := set(t, 2, people...)
	_, other := set(t, 2, people...)
	strange, _, err := New("shares:x", "ffffffffffffffff", 2, people)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Wrap(havre.NewSecret([]byte("ring key")))
	if err != nil {
		t.Fatal(err)
	}
	forged := s[1]
	forged.Value = havre.NewSecret(append([]byte{1}, s[1].Value.Reveal()[1:]...))
	for name, tc := range map[string]struct {
		shares     []Share
		kind       havre.Kind
		what, hint string
	}{
		"nobody":            {nil, havre.KeyUnavailable, "nobody's is here", "2 of Claire Martin, Yann Le Goff, Aïcha Benali"},
		"too few":           {s[:1], havre.KeyUnavailable, "here are those of Claire Martin", "1 of Yann Le Goff, Aïcha Benali"},
		"the same twice":    {[]Share{s[0], s[0]}, havre.Invalid, "the share of Claire Martin was given twice", "1 of Yann Le Goff, Aïcha Benali"},
		"of another set":    {[]Share{s[0], other[1]}, havre.Invalid, "the share of Yann Le Goff", "the set in force"},
		"of another ring":   {[]Share{s[0], strange.shares[2]}, havre.Invalid, "the share of Aïcha Benali", "this ring's shares"},
		"forged":            {[]Share{s[0], forged}, havre.Tampered, "the share of Yann Le Goff", "read it again"},
		"another's by name": {[]Share{s[0], renamed(s[1], "Claire Martin")}, havre.Tampered, "not as it was handed out", ""},
	} {
		_, err := hand(t, tc.shares...).Unwrap(w)
		if havre.KindOf(err) != tc.kind || !strings.Contains(fmt.Sprint(err), tc.what) || !strings.Contains(havre.HintOf(err), tc.hint) {
			t.Errorf("%s: %s: %v\nhint: %s", name, havre.KindOf(err), err, havre.HintOf(err))
		}
	}
}

func renamed(s Share, name string) Share { s.Person = name; return s }

func TestNewRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		needed int
		people []string
	}{
		"one person":    {1, people[:1]},
		"one is enough": {1, people},
		"more than all": {4, people},
		"named twice":   {2, []string{"A", "B", "A"}},
		"no name":       {2, []string{"A", ""}},
		"two lines":     {2, []string{"A", "B\nC"}},
	} {
		if _, _, err := New("shares:x", ring, tc.needed, tc.people); havre.KindOf(err) != havre.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeep: the people need not come when their ring is rotated.
func TestKeep(t *testing.T) {
	c, s := set(t, 2, people...)
	w, err := c.Wrap(havre.NewSecret([]byte("one")))
	if err != nil {
		t.Fatal(err)
	}
	away, err := Keep("shares:x", w)
	if err != nil {
		t.Fatal(err)
	}
	if !away.WrapOnly() || away.Who().ID != c.Who().ID {
		t.Errorf("%+v", away.Who())
	}
	again, err := away.Wrap(havre.NewSecret([]byte("two")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := hand(t, s[2], s[0]).Unwrap(again); err != nil || string(got.Reveal()) != "two" {
		t.Errorf("%v", err)
	}
	if _, err := hand(t).Wrap(havre.NewSecret(nil)); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("wrapping for nobody: %v", err)
	}
}

// TestWithoutHavre: the documented way to open with the age format alone.
func TestWithoutHavre(t *testing.T) {
	c, s := set(t, 2, people...)
	parts := make([]secretsharing.Share, 2)
	for i, n := range []int{2, 0} {
		v := field.NewScalar()
		if err := v.UnmarshalBinary(s[n].Value.Reveal()); err != nil {
			t.Fatal(err)
		}
		parts[i] = secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(n + 1)), Value: v}
	}
	secret, err := secretsharing.Recover(1, parts)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := secret.MarshalBinary()
	id, err := age.NewScryptIdentity(hex.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(c.set.Locked), id)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(r)
	if k, err := seal.ParseKey(havre.NewSecret(text)); err != nil || k.Recipient().String() != c.set.Recipient.String() {
		t.Errorf("%v", err)
	}
}

func TestParse(t *testing.T) {
	_, s := set(t, 2, people...)
	good := s[0].Text()
	if got, err := Parse(bytes.ReplaceAll(good, []byte("\n"), []byte(" \r\n"))); err != nil || got.digest() != s[0].digest() {
		t.Errorf("a share with the line ends of another system: %v", err)
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		if _, err := Parse(b); err == nil {
			t.Fatalf("byte %d (%q) mistyped and not noticed", i, good[i])
		}
	}
	if out := fmt.Sprintf("%v %+v %#v", s[0], s[0], s[0]); strings.Contains(out, hex.EncodeToString(s[0].Value.Reveal())) {
		t.Error("a share prints its secret")
	}
	if _, err := Open("shares:x", []string{filepath.Join(t.TempDir(), "gone.share")}); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("a share that is gone: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	_, s := set(f, 2, people...)
	f.Add(s[0].Text())
	f.Add([]byte("havre-share/1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := Parse(s.Text()); err != nil || again.digest() != s.digest() {
			t.Errorf("a share that is not read back: %q", b)
		}
	})
}

func FuzzWrapped(f *testing.F) {
	c, s := set(f, 2, people...)
	w, err := c.Wrap(havre.NewSecret([]byte("x")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(w)
	here := hand(f, s[0], s[1])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := here.Unwrap(b)
		if err == nil && len(b) == 0 {
			t.Errorf("nothing opens: %v", got)
		}
	})
}

// TestPageVector: the shares of docs/formats/shares.md give the passphrase that
// stands there.
func TestPageVector(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(realinput.Root(t), "docs", "formats", "shares.md"))
	if err != nil {
		t.Fatal(err)
	}
	var parts []secretsharing.Share
	var want string
	for _, block := range strings.Split(string(page), "```")[1:] {
		name, text, _ := strings.Cut(block, "\n")
		switch {
		case strings.HasPrefix(name, "text vector=share"):
			s, err := Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			v := field.NewScalar()
			if err := v.UnmarshalBinary(s.Value.Reveal()); err != nil {
				t.Fatal(err)
			}
			parts = append(parts, secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(s.Number)), Value: v})
		case strings.HasPrefix(name, "text vector=passphrase"):
			want = strings.TrimSpace(text)
		}
	}
	if len(parts) != 2 {
		t.Fatalf("the page has %d shares", len(parts))
	}
	secret, err := secretsharing.Recover(1, parts)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := passphrase(secret); err != nil || got != want {
		t.Errorf("the page's shares give %s, and the page says %s (%v)", got, want, err)
	}
}
