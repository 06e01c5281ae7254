// Package verify checks what a hub gives to outsiders, offline and from files
// alone: the log, and every receipt, permit and release against it. It is the
// whole of havre-verify and of "havre audit verify FOLDER". The folder is
//
//	keys.json               the hub's public keys; trusted only if nothing better is given
//	log/                    the log (package tlog)
//	receipts/NAME.json      receipts, as holders got them
//	permits/NAME.json       signed permits
//	releases/ID/record.json signed release records, each with the files that left
//	destructions/ID.json    signed certificates that keys were destroyed
//	moves/ID.json           signed reports of moves to another store, and of drills
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// Names in the folder.
const (
	KeysName    = "keys.json"
	LogDir      = "log"
	ReceiptsDir = "receipts"
	PermitsDir  = "permits"
	ReleasesDir = "releases"
	MovesDir    = "moves"
	RecordName  = "record.json"
)

const maxDocument = 16 << 20 // bytes of a signed document

// Check is one thing that was looked at.
type Check struct {
	What   string `json:"what"` // "log", or the path of the document
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Report is the outcome.
type Report struct {
	Hub         string       `json:"hub"`
	Fingerprint string       `json:"keys_fingerprint"`
	OK          bool         `json:"ok"`
	Checks      []Check      `json:"checks"`
	Failed      int          `json:"failed"`
	Notes       []string     `json:"notes"` // what is no fault and still worth knowing
	Log         *tlog.Report `json:"log,omitempty"`
}

// Err is nil, or an error of kind Tampered that tells the first failed check.
func (r *Report) Err() error {
	for _, c := range r.Checks {
		if !c.OK {
			return havre.E("verify", havre.Tampered, c.What+": "+c.Detail).
				WithHint("keep the folder as evidence and ask the hub and the holders for their copies")
		}
	}
	return nil
}

// Print writes one line a check, the notes and a summary.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Checks {
		mark := "ok     "
		if !c.OK {
			mark = "FAILED "
		}
		fmt.Fprintf(&b, "%s %s: %s\n", mark, c.What, c.Detail)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note    %s\n", n)
	}
	if r.OK {
		fmt.Fprintf(&b, "%s: all %d checks hold\n", r.Hub, len(r.Checks))
	} else {
		fmt.Fprintf(&b, "%s: %d of %d checks FAILED\n", r.Hub, r.Failed, len(r.Checks))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ReadKeys reads the keys.json of a folder.
func ReadKeys(dir string) (Keys, error) {
	root, err := openDir(dir)
	if err != nil {
		return Keys{}, err
	}
	defer root.Close()
	b, err := read(root.FS(), KeysName)
	if err != nil {
		return Keys{}, err
	}
	return ParseKeys(b)
}

// Folder checks everything in dir against the keys. The error is the report's
// Err, or says why nothing could be checked; then the report is nil. Links
// that lead out of dir are not followed.
func Folder(ctx context.Context, dir string, keys Keys, p havre.Progress) (*Report, error) {
	root, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return Files(ctx, root.FS(), keys, p)
}

// Files is Folder over any file system.
func Files(ctx context.Context, fsys fs.FS, keys Keys, p havre.Progress) (*Report, error) {
	v := &folder{fsys: fsys, keys: keys, permits: map[string]*record.Permit{}, shown: map[string]int64{},
		rep: &Report{Hub: keys.Hub, Fingerprint: keys.Fingerprint(), Checks: []Check{}, Notes: []string{}}}
	if err := v.checkLog(ctx, p); err != nil {
		return nil, err
	}
	v.documents(ReceiptsDir, v.receipt)
	v.documents(PermitsDir, v.permit)
	v.releases()
	v.documents(DestructionsDir, v.destruction)
	v.documents(MovesDir, func(b []byte) (string, error) { return v.move(ctx, b) })
	v.notes()
	v.rep.OK = v.rep.Failed == 0
	return v.rep, v.rep.Err()
}

func openDir(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, havre.E("verify", havre.NotFound, "there is no folder "+dir).Wrap(err)
	}
	return root, nil
}

// folder is the state of one check.
type folder struct {
	fsys    fs.FS
	keys    Keys
	log     *tlog.Reader
	head    tlog.Checkpoint
	headErr error
	permits map[string]*record.Permit // sound ones, by SHA-256 of their bytes
	shown   map[string]int64          // documents by the action of their entry
	rep     *Report
}

func (v *folder) add(what string, err error, detail string) { v.rep.Add(what, err, detail) }

// Add puts one more check into the report; err is why it failed, or nil.
func (r *Report) Add(what string, err error, detail string) {
	c := Check{What: what, OK: err == nil, Detail: detail}
	if err != nil {
		c.Detail = err.Error()
		r.Failed++
		r.OK = false
	}
	r.Checks = append(r.Checks, c)
}

func (v *folder) checkLog(ctx context.Context, p havre.Progress) error {
	sub, err := fs.Sub(v.fsys, LogDir)
	if err != nil {
		return havre.E("verify", havre.Internal, "the log's folder has a bad name").Wrap(err)
	}
	v.log = tlog.NewReader(sub, v.keys.Trust())
	v.head, v.headErr = v.log.Checkpoint()
	rep, err := v.log.Verify(ctx, p)
	if rep == nil {
		v.add(LogDir, err, "")
		return nil
	}
	v.rep.Log = rep
	for _, f := range rep.Findings {
		v.add(LogDir, errors.New(f.What), "")
	}
	if rep.OK() {
		if err != nil {
			return err // cancelled
		}
		detail := fmt.Sprintf("%d entries, root %s, %d checkpoints on one history", rep.Size, rep.Root, rep.Checkpoints)
		if rep.Size > 0 {
			detail += fmt.Sprintf(", from %s to %s", rep.First.Format("2006-01-02 15:04:05Z"), rep.Last.Format("2006-01-02 15:04:05Z"))
		}
		v.add(LogDir, nil, detail)
	}
	return nil
}

// documents checks each .json file of a folder; a folder that is not there has none.
func (v *folder) documents(dir string, check func(b []byte) (detail string, err error)) {
	entries, err := fs.ReadDir(v.fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		v.add(dir, err, "")
		return
	}
	for _, e := range entries {
		if path.Ext(e.Name()) != ".json" {
			continue
		}
		name := path.Join(dir, e.Name())
		b, err := read(v.fsys, name)
		detail := ""
		if err == nil {
			detail, err = check(b)
		}
		v.add(name, err, detail)
	}
}

func (v *folder) receipt(b []byte) (string, error) {
	r, err := envelope.VerifyReceipt(b, v.keys.Receipts...)
	if err != nil {
		return "", err
	}
	if err := v.ofHub(r.Hub); err != nil {
		return "", err
	}
	if err := v.logged(r.LogIndex, envelope.ReceivedAction, string(r.Delivery), envelope.ReceiptFacts(r)); err != nil {
		return "", err
	}
	return fmt.Sprintf("delivery %s of %s, %d rows, is signed and stands in the log as entry %d", r.Delivery, r.Holder, r.Rows, r.LogIndex), nil
}

func (v *folder) permit(b []byte) (string, error) {
	p, err := record.VerifyPermit(b, v.keys.Permits...)
	if err != nil {
		return "", err
	}
	if err := v.ofHub(p.Hub); err != nil {
		return "", err
	}
	if err := v.logged(p.LogIndex, record.DecidedAction, p.ID, record.PermitFacts(p)); err != nil {
		return "", err
	}
	v.permits[hash(b)] = p
	return fmt.Sprintf("permit %s version %d is signed and stands in the log as entry %d", p.ID, p.Version, p.LogIndex), nil
}

func (v *folder) ofHub(hub string) error {
	if hub != v.keys.Hub {
		return fail("it is of the hub %q, not of %q", hub, v.keys.Hub)
	}
	return nil
}

// logged demands that the log holds at index, by proof, the entry that a
// document rests on.
func (v *folder) logged(index int64, action, subject string, facts map[string]string) error {
	if v.headErr != nil {
		return fail("its log entry cannot be checked: there is no valid checkpoint")
	}
	if index < 0 || index >= v.head.Size {
		return fail("it rests on entry %d, but the log has only %d entries: the log was rolled back or cut off", index, v.head.Size)
	}
	raw, _, err := v.log.Inclusion(v.head, index)
	if err != nil {
		return fail("entry %d, on which it rests, is not proven", index).Wrap(err)
	}
	e, err := tlog.ParseEntry(raw)
	if err != nil {
		return fail("entry %d, on which it rests, cannot be read", index).Wrap(err)
	}
	if e.Action != action || e.Subject != subject {
		return fail("entry %d, on which it rests, tells of %q %q and not of %q %q", index, e.Action, e.Subject, action, subject)
	}
	for k, want := range facts {
		if got, ok := e.Facts[k]; !ok || got != want {
			return fail("entry %d, on which it rests, has %s %q where the document has %q", index, k, got, want)
		}
	}
	v.shown[action]++
	return nil
}

// notes says how much of what the log tells of is in the folder.
func (v *folder) notes() {
	if v.rep.Log == nil {
		return
	}
	for _, x := range []struct{ action, of string }{
		{envelope.ReceivedAction, "deliveries"}, {record.DecidedAction, "permits"}, {record.ApprovedAction, "releases"}, {record.DestroyedAction, "destructions"},
		{record.KindMove + "." + record.StepFinished, "finished moves"}, {record.KindDrill + "." + record.StepFinished, "finished drills"},
	} {
		if n := v.rep.Log.Actions[x.action]; n != v.shown[x.action] {
			v.rep.Notes = append(v.rep.Notes, fmt.Sprintf("the log tells of %d %s; this folder proves %d", n, x.of, v.shown[x.action]))
		}
	}
}

func fail(format string, args ...any) *havre.Error {
	return havre.E("verify", havre.Tampered, fmt.Sprintf(format, args...))
}
