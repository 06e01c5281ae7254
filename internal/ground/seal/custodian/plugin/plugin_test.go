package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"github.com/havre-hub/havre/internal/havre"
)

// TestMain lets the test binary be age-plugin-havretest: a real plugin over the
// real protocol, whose "key service" is a folder. It lets nobody in while the
// file "closed" stands there, and asks for a PIN if there is a file "pin".
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "age-plugin-havretest" {
		os.Exit(m.Run())
	}
	p, err := plugin.New("havretest")
	if err != nil {
		os.Exit(1)
	}
	p.HandleIdentity(func(data []byte) (age.Identity, error) { return service{p, string(data)}, nil })
	p.HandleIdentityAsRecipient(func(data []byte) (age.Recipient, error) { return service{p, string(data)}, nil })
	os.Exit(p.Main())
}

type service struct {
	p   *plugin.Plugin
	dir string
}

func (s service) key() (*age.X25519Identity, error) {
	if _, err := os.Stat(filepath.Join(s.dir, "closed")); err == nil {
		return nil, errors.New("the key service is closed")
	}
	if want, err := os.ReadFile(filepath.Join(s.dir, "pin")); err == nil {
		got, err := s.p.RequestValue("PIN", true)
		if err != nil || got != string(want) {
			return nil, errors.New("wrong PIN")
		}
	}
	b, err := os.ReadFile(filepath.Join(s.dir, "key"))
	if err != nil {
		return nil, err
	}
	return age.ParseX25519Identity(strings.TrimSpace(string(b)))
}

func (s service) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	k, err := s.key()
	if err != nil {
		return nil, err
	}
	st, err := k.Recipient().Wrap(fileKey)
	if err == nil {
		st[0].Type = "havretest"
	}
	return st, err
}

func (s service) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, st := range stanzas {
		if st.Type != "havretest" {
			continue
		}
		k, err := s.key()
		if err != nil {
			return nil, err
		}
		st.Type = "X25519"
		return k.Unwrap([]*age.Stanza{st})
	}
	return nil, age.ErrIncorrectIdentity
}

func setUp(t *testing.T) (dir, identity string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	bin := t.TempDir()
	must(t, os.Symlink(self, filepath.Join(bin, "age-plugin-havretest")))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	dir = t.TempDir()
	k, err := age.GenerateX25519Identity()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "key"), []byte(k.String()), 0o600))
	identity = filepath.Join(dir, "identity.txt")
	must(t, os.WriteFile(identity, []byte("# made by a test\n"+plugin.EncodeIdentity("havretest", []byte(dir))+"\n"), 0o600))
	return dir, identity
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func say(s string) func(string) (havre.Secret, error) {
	return func(string) (havre.Secret, error) { return havre.NewSecret([]byte(s)), nil }
}

func TestPlugin(t *testing.T) {
	dir, identity := setUp(t)
	c, err := Open("plugin:x", identity, say(""))
	must(t, err)
	w, err := c.Wrap(havre.NewSecret([]byte("ring key")))
	must(t, err)
	if bytes.Contains(w, []byte("ring key")) || !bytes.Contains(w, []byte("-> havretest ")) {
		t.Errorf("not wrapped by the plugin:\n%q", w)
	}
	again, err := Open("plugin:x", identity, say(""))
	must(t, err)
	if s, err := again.Unwrap(w); err != nil || string(s.Reveal()) != "ring key" || again.Who().ID != c.Who().ID {
		t.Fatalf("%v", err)
	}

	must(t, os.WriteFile(filepath.Join(dir, "pin"), []byte("1357"), 0o600))
	if _, err := again.Unwrap(w); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("a wrong PIN: %v", err)
	}
	pinned, err := Open("plugin:x", identity, say("1357"))
	must(t, err)
	if _, err := pinned.Unwrap(w); err != nil {
		t.Errorf("the right PIN: %v", err)
	}

	must(t, os.WriteFile(filepath.Join(dir, "closed"), nil, 0o600))
	_, err = pinned.Unwrap(w)
	if havre.KindOf(err) != havre.KeyUnavailable || !strings.Contains(fmt.Sprint(err), "key service is closed") || !strings.Contains(havre.HintOf(err), "reachable") {
		t.Errorf("a closed service: %v, hint %q", err, havre.HintOf(err))
	}
	must(t, os.Remove(filepath.Join(dir, "closed")))
	must(t, os.Remove(filepath.Join(dir, "pin")))

	for i := 0; i < len(w); i += 9 {
		b := bytes.Clone(w)
		b[i] ^= 1
		if _, err := again.Unwrap(b); err == nil {
			t.Fatalf("byte %d altered and opened", i)
		}
	}
	t.Setenv("PATH", "/nowhere")
	_, err = again.Unwrap(w)
	if havre.KindOf(err) != havre.KeyUnavailable || !strings.Contains(havre.HintOf(err), "install age-plugin-havretest") {
		t.Errorf("no plugin: %v, hint %q", err, havre.HintOf(err))
	}
}

func TestIdentityFiles(t *testing.T) {
	dir := t.TempDir()
	id := plugin.EncodeIdentity("havretest", []byte("x"))
	for name, text := range map[string]string{"nothing": "# only words\n", "two": id + "\n" + id + "\n", "no plugin": "AGE-SECRET-KEY-1QQQQ\n",
		"a public key of something else": "# public key: age1qqqq\n" + id + "\n"} {
		path := filepath.Join(dir, "id")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := Open("plugin:x", path, say("")); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open("plugin:x", filepath.Join(dir, "gone"), say("")); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("a file that is gone: %v", err)
	}
	p := filepath.Join(dir, "id2")
	must(t, os.WriteFile(p, []byte("# public key: "+plugin.EncodeRecipient("havretest", []byte("pub"))+"\n"+id+"\n"), 0o600))
	if c, err := Open("plugin:x", p, say("")); err != nil || fmt.Sprint(c.recipient) != plugin.EncodeRecipient("havretest", []byte("pub")) {
		t.Errorf("%v", err)
	}
}
