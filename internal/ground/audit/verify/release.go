package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

func (v *folder) releases() {
	entries, err := fs.ReadDir(v.fsys, ReleasesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		v.add(ReleasesDir, err, "")
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			name := path.Join(ReleasesDir, e.Name())
			detail, err := v.release(name)
			v.add(name, err, detail)
		}
	}
}

func (v *folder) release(dir string) (string, error) {
	b, err := read(v.fsys, path.Join(dir, RecordName))
	if err != nil {
		return "", err
	}
	r, err := record.VerifyRelease(b, v.keys.Releases...)
	if err != nil {
		return "", err
	}
	if err := v.ofHub(r.Hub); err != nil {
		return "", err
	}
	if r.ID != path.Base(dir) {
		return "", fail("the record is of the release %q", r.ID)
	}
	if err := v.files(dir, r); err != nil {
		return "", err
	}
	if err := v.allowed(r); err != nil {
		return "", err
	}
	if err := v.logged(r.LogIndex, record.ApprovedAction, r.ID, record.ReleaseFacts(r)); err != nil {
		return "", err
	}
	return fmt.Sprintf("release %s under permit %s is signed, its %d files are as they left, and it stands in the log as entry %d", r.ID, r.Permit, len(r.Files), r.LogIndex), nil
}

// files demands exactly the files of the record.
func (v *folder) files(dir string, r *record.Release) error {
	listed := map[string]bool{RecordName: true}
	for _, f := range r.Files {
		if !fs.ValidPath(f.Name) || listed[f.Name] {
			return fail("the record lists a file by the name %q, which cannot be or is there twice", f.Name)
		}
		listed[f.Name] = true
		sum, size, err := hashFile(v.fsys, path.Join(dir, f.Name))
		if err != nil {
			return err
		}
		if size != f.Size || sum != f.SHA256 {
			return fail("the file %s is not the one that left", f.Name)
		}
	}
	return fs.WalkDir(v.fsys, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fail("%s cannot be read", name).Wrap(err)
		}
		if rel := name[min(len(dir)+1, len(name)):]; !d.IsDir() && !listed[rel] {
			return fail("the file %s is not in the record", rel)
		}
		return nil
	})
}

// allowed demands the permit that the record names, and that the right people
// decided under it.
func (v *folder) allowed(r *record.Release) error {
	p, ok := v.permits[r.PermitSHA]
	switch {
	case !ok:
		return fail("the permit that it names (SHA-256 %.16s...) is not soundly in this folder", r.PermitSHA)
	case p.ID != r.Permit:
		return fail("it names permit %s by the hash of permit %s", r.Permit, p.ID)
	case !slices.Contains(p.People, r.Requester):
		return fail("it was requested by somebody whom permit %s does not name", p.ID)
	case r.Requested.Before(p.Start) || !r.Requested.Before(p.End):
		return fail("it was requested outside the time of permit %s", p.ID)
	case sign.Digest(r.Rules) != sign.Digest(p.Rules):
		return fail("it was checked by other disclosure rules than those of permit %s", p.ID)
	}
	yes := map[string]bool{}
	for _, d := range r.Decisions {
		switch {
		case !d.Approve:
			return fail("a checker decided against it")
		case d.Checker == "" || d.Checker == r.Requester || slices.Contains(p.People, d.Checker):
			return fail("it was checked by somebody who takes part in the study")
		}
		yes[d.Checker] = true
	}
	if need := max(p.Checkers, 1); len(yes) < need {
		return fail("%d people agreed to it and permit %s demands %d", len(yes), p.ID, need)
	}
	return nil
}

// read reads a signed document.
func read(fsys fs.FS, name string) ([]byte, error) {
	f, err := open(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(f, maxDocument+1)); err != nil {
		return nil, fail("%s cannot be read", name).Wrap(err)
	}
	if b.Len() > maxDocument {
		return nil, fail("%s is larger than a signed document may be", name)
	}
	return b.Bytes(), nil
}

// open opens a regular file; a pipe or device in the folder would block or never end.
func open(fsys fs.FS, name string) (fs.File, error) {
	st, err := fs.Stat(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, havre.E("verify", havre.NotFound, "the file "+name+" is missing")
	}
	if err != nil {
		return nil, fail("%s cannot be read", name).Wrap(err)
	}
	if !st.Mode().IsRegular() {
		return nil, fail("%s is not a file", name)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fail("%s cannot be read", name).Wrap(err)
	}
	return f, nil
}

func hashFile(fsys fs.FS, name string) (sum string, size int64, err error) {
	f, err := open(fsys, name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fail("%s cannot be read", name).Wrap(err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

func hash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
