package move

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/renameio/v2"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/azure"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/blob/s3"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// hub is as much of a hub as a move touches, in a folder: its configuration
// (the store's URL), its control database, and a log.
type hub struct {
	dir    string
	getenv func(string) string
	wrap   func(url string, s blob.Store) blob.Store // puts faults over a store
	before func(what string)                         // told before and after each act that is not the store's
	lines  bool                                      // a log of lines in a file, in place of the real one

	DB    *meta.DB
	Live  *Live
	Mover *Mover
	log   audit.Recorder
	real  *audit.Log
	keys  *ring
}

var signer = func() *sign.Signer {
	s, err := sign.ParseSigner(havre.NewSecret(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		panic(err)
	}
	return s
}()

var registry = blob.NewRegistry(file.Driver{}, s3.Driver{}, azure.Driver{})

// newHub makes a hub whose store is at url and fills that with n objects.
func newHub(t testing.TB, url string, n int, set ...func(*hub)) *hub {
	t.Helper()
	h := &hub{dir: t.TempDir()}
	for _, f := range set {
		f(h)
	}
	must(t, os.WriteFile(filepath.Join(h.dir, "url"), []byte(url), 0o600))
	db, err := meta.Create(t.Context(), filepath.Join(h.dir, "control.db"))
	must(t, err)
	must(t, db.Close())
	if !h.lines {
		must(t, audit.Create(t.Context(), filepath.Join(h.dir, "log"), logOptions))
	}
	s, err := registry.Open(t.Context(), url, blob.Options{Getenv: h.env, Create: true})
	must(t, err)
	fill(t, s, n)
	h.open(t)
	return h
}

var logOptions = audit.Options{Origin: "havre.hub/test", Signer: signer, Openings: audit.NoOpenings}

// fill writes n objects as a hub has them: most named by their hash.
func fill(t testing.TB, s blob.Store, n int) {
	t.Helper()
	for i := range n {
		must(t, put(t.Context(), s, i, 0))
	}
	must(t, blob.PutSame(t.Context(), s, "snapshot/000000000000", []byte("snapshot 0")))
}

// put writes the i-th object in a version.
func put(ctx context.Context, s blob.Store, i, version int) error {
	name, data := content(i, version)
	if err := s.Delete(ctx, name); err != nil && version > 0 {
		return err
	}
	return blob.PutSame(ctx, s, name, data)
}

func content(i, version int) (string, []byte) {
	data := bytes.Repeat(fmt.Appendf(nil, "object %d version %d;", i, version), 1+i%50)
	if i%4 == 3 {
		return fmt.Sprintf("delivery/%02d/part", i), data
	}
	sum := sha256.Sum256(data)
	x := hex.EncodeToString(sum[:])
	return "segment/" + x[:2] + "/" + x, data
}

func contentHash(name string) string {
	if rest, ok := strings.CutPrefix(name, "segment/"); ok {
		return rest[3:]
	}
	return ""
}

func (h *hub) env(name string) string {
	if h.getenv == nil {
		return ""
	}
	return h.getenv(name)
}

// open opens the hub as a process does that has just begun.
func (h *hub) open(t testing.TB) {
	t.Helper()
	must(t, h.attach(t.Context()))
	t.Cleanup(h.close)
}

func (h *hub) attach(ctx context.Context) (err error) {
	if h.DB, err = meta.Open(ctx, filepath.Join(h.dir, "control.db")); err != nil {
		return err
	}
	at, err := h.Store()
	if err != nil {
		return err
	}
	s, err := h.Open(ctx, at, false)
	if err != nil {
		return err
	}
	h.Live, h.log, h.keys = NewLive(s), &lines{path: filepath.Join(h.dir, "lines")}, &ring{dir: h.dir}
	if !h.lines {
		if h.real, err = audit.Open(ctx, filepath.Join(h.dir, "log"), logOptions); err != nil {
			return err
		}
		h.log = h.real
	}
	h.Mover, err = Attach(ctx, Config{Hub: "test", Origin: "havre.hub/test", Live: h.Live, DB: h.DB, Log: h, Signer: signer, Home: h,
		Examiner: h, Mirror: h.mirror, ContentHash: contentHash, Keys: h.keys, Now: havre.SystemNow})
	return err
}

func (h *hub) close() {
	if h.real != nil {
		_ = h.real.Close()
	}
	if h.DB != nil {
		_ = h.DB.Close()
	}
	h.real, h.DB = nil, nil
}

func (h *hub) say(what string) {
	if h.before != nil {
		h.before(what)
	}
}

// Record implements audit.Recorder.
func (h *hub) Record(ctx context.Context, e audit.Event) (audit.Position, error) {
	h.say("before the log of " + e.Action)
	p, err := h.log.Record(ctx, e)
	h.say("after the log of " + e.Action)
	return p, err
}

// Store, SetStore, Open and Absolute are Home.
func (h *hub) Store() (string, error) {
	b, err := os.ReadFile(filepath.Join(h.dir, "url"))
	return string(b), err
}

func (h *hub) SetStore(url string) error {
	h.say("before the configuration")
	err := renameio.WriteFile(filepath.Join(h.dir, "url"), []byte(url), 0o600)
	h.say("after the configuration")
	return err
}

func (h *hub) Open(ctx context.Context, url string, create bool) (blob.Store, error) {
	s, err := registry.Open(ctx, url, blob.Options{Getenv: h.env, Create: create})
	if err == nil && h.wrap != nil {
		s = h.wrap(url, s)
	}
	return s, err
}

func (h *hub) Absolute(url string) string { return url }

// mirror writes an object that grows with the log.
func (h *hub) mirror(ctx context.Context) error {
	size := 0
	for info, err := range h.Live.List(ctx, "log/checkpoint/") {
		if err != nil {
			return err
		}
		_ = info
		size++
	}
	return h.Live.Put(ctx, fmt.Sprintf("log/checkpoint/%06d", size), []byte("checkpoint"))
}

// Current and Examine are Examiner: the snapshot is an object, its root a hash
// of all that is named by its hash, the log the real one.
func (h *hub) Current(ctx context.Context) (int64, error) {
	n := int64(-1)
	for _, err := range h.Live.List(ctx, "snapshot/") {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

func (h *hub) Examine(ctx context.Context, s blob.Store, n int64, studies bool, _ havre.Secret, _ havre.Progress) (record.Evidence, error) {
	snapshot, err := blob.GetAll(ctx, s, fmt.Sprintf("snapshot/%012d", n))
	if err != nil {
		return record.Evidence{}, err
	}
	sum := sha256.Sum256(snapshot)
	e := record.Evidence{Snapshot: hex.EncodeToString(sum[:]), Number: n, Rows: 1}
	if studies {
		e.Studies = []record.StudyMark{{Name: "all", Mark: "m"}}
	}
	if h.real == nil {
		return e, nil
	}
	c, err := h.real.Checkpoint()
	e.Log = record.LogHead{Size: c.Size, Root: c.RootHex()}
	return e, err
}

// ring is the custodians in a file.
type ring struct{ dir string }

func (r *ring) path() string { return filepath.Join(r.dir, "custodians") }

func (r *ring) Custodians(context.Context) ([]string, error) {
	b, err := os.ReadFile(r.path())
	if err != nil {
		return []string{"old"}, nil
	}
	return strings.Fields(string(b)), nil
}

func (r *ring) Rotate(context.Context) error {
	return renameio.WriteFile(r.path(), []byte("new"), 0o600)
}

// lines is a log for tests that start a process some hundred times, each of
// which would wait a tenth of a second for every checkpoint of the real one.
type lines struct {
	path string
	mu   sync.Mutex
}

func (l *lines) Record(_ context.Context, e audit.Event) (audit.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, err := os.ReadFile(l.path)
	if err != nil && !os.IsNotExist(err) {
		return audit.Position{}, err
	}
	line, err := json.Marshal(e)
	if err != nil {
		return audit.Position{}, err
	}
	n := int64(bytes.Count(old, []byte("\n")))
	return audit.Position{Index: n}, renameio.WriteFile(l.path, append(append(old, line...), '\n'), 0o600)
}

// advance does what comes next in a move to url, and says whether it is over.
func advance(ctx context.Context, h *hub, url string) (over bool, err error) {
	st, err := h.Mover.Status(ctx)
	if havre.KindOf(err) == havre.NotFound || err == nil && (st.State == Returned || st.State == Finished && st.Kind == record.KindDrill) {
		_, err := h.Mover.Plan(ctx, PlanOptions{To: url, Actor: "op@hub.example", PerGB: "0.08"})
		return false, err
	}
	if err != nil {
		return false, err
	}
	switch st.State {
	case Planned, Copying, Switching:
		_, err = h.Mover.Run(ctx, Pace{Streams: 4})
	case Switched:
		_, err = h.Mover.Verify(ctx, Pace{Streams: 4})
	case Verified, Finishing:
		_, err = h.Mover.Finish(ctx, st.ID, Pace{Streams: 4})
	case Finished:
		return true, nil
	default:
		err = fmt.Errorf("the move is %s", st.State)
	}
	return false, err
}

// whole moves the hub to url from wherever it is.
func whole(t testing.TB, h *hub, url string) {
	t.Helper()
	for range 10 {
		over, err := advance(t.Context(), h, url)
		must(t, err)
		if over {
			return
		}
	}
	t.Fatal("the move does not end")
}

// objects reads a whole store.
func objects(t testing.TB, h *hub, url string) map[string]string {
	t.Helper()
	s, err := registry.Open(t.Context(), url, blob.Options{Getenv: h.env})
	must(t, err)
	out := map[string]string{}
	for info, err := range s.List(t.Context(), "") {
		must(t, err)
		b, err := blob.GetAll(t.Context(), s, info.Name)
		must(t, err)
		out[info.Name] = string(b)
	}
	return out
}

// same demands that the store at url holds what was there, besides the log's
// mirror, which grows.
func same(t testing.TB, h *hub, url string, want map[string]string) {
	t.Helper()
	got := objects(t, h, url)
	for name, b := range want {
		if !strings.HasPrefix(name, "log/") && got[name] != b {
			t.Errorf("%s is %.20q in %s, want %.20q", name, got[name], url, b)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok && !strings.HasPrefix(name, "log/") {
			t.Errorf("%s is in %s, and was never in the hub", name, url)
		}
	}
}

// dead demands that nothing is left of a copy.
func dead(t testing.TB, h *hub, url string) {
	t.Helper()
	if left := objects(t, h, url); len(left) > 0 {
		t.Errorf("%d objects are left in %s", len(left), url)
	}
}

// report gives the last report, checked.
func report(t testing.TB, h *hub) *record.Move {
	t.Helper()
	all, err := Reports(t.Context(), h.DB)
	must(t, err)
	if len(all) == 0 {
		t.Fatal("there is no report")
	}
	m, err := record.VerifyMove(all[len(all)-1].Signed, signer.Public())
	must(t, err)
	return m
}

func folder(t testing.TB) string {
	return (&url.URL{Scheme: "file", Path: filepath.Join(t.TempDir(), "store")}).String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (hint: %s)", err, havre.HintOf(err))
	}
}
