package cli

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // the driver "sqlite", for intruders
)

// TestMain lets the test binary be the program itself, for the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"havre": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			code := Main(ctx, os.Args[1:], IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
			stop()
			os.Exit(code)
		},
	})
}

// TestScripts drives the program as users do. testdata/journey.txtar is the
// manual; testdata/bad-*.txtar are what goes wrong: the exit code, an error that
// says where and what next, and everything else left as it was.
func TestScripts(t *testing.T) {
	p := params(prepare(t), "file:../store")
	p.Dir = "testdata"
	testscript.Run(t, p)
}

// params are those of all scripts; more are variables NAME=VALUE.
func params(prepared, store string, more ...string) testscript.Params {
	return testscript.Params{
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NEXT_YEAR", time.Now().UTC().AddDate(1, 0, 0).Format(time.RFC3339))
			env.Setenv("STORE", store)
			env.Vars = append(env.Vars, more...)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exitcode": exitCode,
			"only":     only,
			"flip":     flip,
			"cut":      cut,
			"copy":     copyTree,
			"edit":     replace,
			"locked":   locked,
			"entries":  entries,
			"intrude":  intrude,
			"world": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(copyAll(prepared, ts.MkAbs(".")))
			},
		},
	}
}

// prepare makes, once for all scripts, what the command world puts into a
// script's folder: pop/ (80 synthetic residents), keeper/, hub/ with its store/
// and safe/, the holders assurance/, whose delivery is in the warehouse, and
// chu-nord/, whose delivery waits in way/second/.
func prepare(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	havre := func(args ...string) {
		t.Helper()
		var errs bytes.Buffer
		if code := Main(context.Background(), append([]string{"-q"}, args...), IO{Out: &bytes.Buffer{}, Err: &errs}); code != 0 {
			t.Fatalf("havre %v: exit code %d: %s", args, code, errs.String())
		}
	}
	havre("synth", "--residents", "80", "--seed", "3", "--out", at("pop"))
	havre("keeper", "init", "--keeper", at("keeper"), "--name", "keeper", "--custodian", "file:../safe/keeper.key")
	havre("init", "--hub", at("hub"), "--name", "le-havre", "--store", "file:../store", "--custodian", "file:../safe/hub.key", "--buckets", "4", "--key-beside-store", "--as", "operator@hub.example")
	havre("trust", "--at", at("hub"), at("keeper", "card.json"))
	havre("trust", "--at", at("keeper"), at("hub", "card.json"))
	for holder, way := range map[string]string{"assurance": "first", "chu-nord": "second"} {
		havre("holder", "init", "--holder", at(holder), "--name", holder, "--hub-card", at("hub", "card.json"), "--keeper-card", at("keeper", "card.json"))
		havre("trust", "--at", at("hub"), at(holder, "card.json"))
		havre("trust", "--at", at("keeper"), at(holder, "card.json"))
		havre("deliver", "--holder", at(holder), "--cdm", at("pop", "holders", holder, "omop"), "--identity", at("pop", "holders", holder, "identity.csv"),
			"--to-hub", at("way", way, "hub"), "--to-keeper", at("way", way, "keeper"))
	}
	ways, err := os.ReadDir(at("way", "first", "hub"))
	if err != nil || len(ways) != 1 {
		t.Fatalf("%d deliveries of the first holder: %v", len(ways), err)
	}
	id := ways[0].Name()
	havre("receive", "--hub", at("hub"), "--holder-name", "assurance", at("way", "first", "hub", id))
	havre("keeper", "link", "--keeper", at("keeper"), "--from", at("way", "first", "keeper", id), "--to", at("way", "linked"))
	havre("ingest", "--hub", at("hub"), "--linkage", at("way", "linked", id), id)
	return dir
}

// exitCode N CMD ARGS... runs a command that must end with that exit code.
func exitCode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if e, ok := err.(interface{ ExitCode() int }); ok {
		got = strconv.Itoa(e.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// locked FILE waits until some process holds a lock on the file, or, with "!",
// until none does. It does not touch the lock itself.
func locked(ts *testscript.TestScript, neg bool, args []string) {
	var st syscall.Stat_t
	ts.Check(syscall.Stat(ts.MkAbs(args[0]), &st))
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		held, err := os.ReadFile("/proc/locks")
		ts.Check(err)
		if bytes.Contains(held, fmt.Appendf(nil, ":%d ", st.Ino)) != neg {
			return
		}
	}
	ts.Fatalf("the lock of %s did not change hands", args[0])
}

// only VARIABLE DIR sets the variable to the name of the one entry of a folder.
func only(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(entries) != 1 {
		ts.Fatalf("%s has %d entries", args[1], len(entries))
	}
	ts.Setenv(args[0], filepath.Base(entries[0].Name()))
}

// edit rewrites a file.
func edit(ts *testscript.TestScript, name string, change func([]byte) []byte) {
	path := ts.MkAbs(name)
	b, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.Chmod(path, 0o600)) // objects of a store are read-only
	ts.Check(os.WriteFile(path, change(b), 0o600))
}

// replace FILE OLD NEW puts one text in the place of another, which must be
// there. NEW may have Go's escapes.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	text, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	edit(ts, args[0], func(b []byte) []byte {
		if !bytes.Contains(b, []byte(args[1])) {
			ts.Fatalf("%s does not hold %q", args[0], args[1])
		}
		return bytes.ReplaceAll(b, []byte(args[1]), []byte(text))
	})
}

// copyTree FROM TO copies a folder.
func copyTree(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(copyAll(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

// copyAll copies a folder with the modes of its files: keys stay private.
func copyAll(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, info.Mode().Perm())
	})
}

// flip FILE turns one bit of the byte in the middle; of a folder, in its first file.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	for {
		inside, err := os.ReadDir(ts.MkAbs(args[0]))
		if err != nil {
			break // it is a file, or edit tells that it is nothing
		}
		args = []string{filepath.Join(args[0], inside[0].Name())}
	}
	edit(ts, args[0], func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return b
	})
}

// cut FILE N takes the last N bytes away.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	edit(ts, args[0], func(b []byte) []byte { return b[:max(0, len(b)-n)] })
}

// entries LOG remove|change|swap does that to the second entry of the bundle
// of a log that has most of them (each entry with its length in 16 bits before).
func entries(ts *testscript.TestScript, _ bool, args []string) {
	folder := filepath.Join(args[0], "tile", "entries", "000.p")
	names, err := os.ReadDir(ts.MkAbs(folder))
	ts.Check(err)
	most := 0
	for _, e := range names {
		n, err := strconv.Atoi(e.Name())
		ts.Check(err)
		most = max(most, n)
	}
	edit(ts, filepath.Join(folder, strconv.Itoa(most)), func(b []byte) []byte {
		var all [][]byte
		for len(b) > 0 {
			n := 2 + int(binary.BigEndian.Uint16(b))
			all = append(all, b[:n])
			b = b[n:]
		}
		switch args[1] {
		case "remove":
			all = append(all[:1], all[2:]...)
		case "swap":
			all[1], all[2] = all[2], all[1]
		case "change":
			all[1] = bytes.Replace(all[1], []byte("20"), []byte("21"), 1)
		default:
			ts.Fatalf("entries LOG remove|change|swap")
		}
		return bytes.Join(all, nil)
	})
}

// intrude DATABASE SQL is what somebody can do who has the hub's disk.
func intrude(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	done, err := db.Exec(args[1])
	ts.Check(err)
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("no row was changed: %v", err)
	}
}
