package release

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// Release writes an approved release to a folder, made if need be: for each
// output a table NAME.csv and a chart NAME.svg, all of them in outputs.json,
// and last the signed record.json, so a folder that has it is complete. The
// account is one of the permit's people or a checker. Doing it again, after an
// interruption or into another folder, writes the same bytes; a file of that
// name with other bytes is never overwritten.
func (a *Airlock) Release(ctx context.Context, id, account, folder string) (*record.Release, error) {
	const op = "release.release"
	e, err := a.leaving(ctx, op, id, account)
	if err != nil {
		return nil, err
	}
	r, err := record.VerifyRelease(e.record, a.Signer.Public())
	if err != nil {
		return nil, err
	}
	if r.ID != e.id() || r.Permit != e.permit {
		return nil, havre.E(op, havre.Tampered, "the signed record in the ledger is not that of release "+id)
	}
	files, err := a.files(ctx, e)
	if err != nil {
		return nil, err
	}
	if err := matches(r, files); err != nil {
		return nil, err
	}
	files = append(files, file{RecordName, e.record})
	if err := free(folder, files); err != nil {
		return nil, err
	}
	if e.state == Approved {
		_, err := a.Audit.Record(ctx, audit.Event{Action: releasedAction, Actor: havre.NewPersonal(account), Subject: id,
			Facts: map[string]string{"release_sha256": record.ReleaseDigest(r), "permit": r.Permit}})
		if err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		if err := write(filepath.Join(folder, f.name), f.data); err != nil {
			return nil, err
		}
	}
	if e.state == Approved {
		if err := a.move(ctx, e, Released, nil); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// leaving reads a release that may leave with the account, after finishing an
// approval that was cut short.
func (a *Airlock) leaving(ctx context.Context, op, id, account string) (*entry, error) {
	roles, err := a.role(ctx, op, id, account)
	if err != nil {
		return nil, err
	}
	e, err := get(ctx, a.Meta.DB(), op, id)
	if err != nil {
		return nil, err
	}
	if account != e.requester && !mayOversee(roles) {
		return nil, noRelease(op, id)
	}
	p, err := a.samePermit(ctx, op, e)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(p.People, account) && !slices.Contains(roles, havre.RoleChecker) {
		return nil, refused(op, "only the people of permit "+p.ID+" and output checkers take a release out")
	}
	if err := a.settle(ctx, e); err != nil {
		return nil, err
	}
	switch e.state {
	case Approved, Released:
		return e, nil
	case Quarantined:
		return nil, havre.E(op, havre.DisclosureRefused, "release "+id+" is in quarantine: "+e.reasons[0])
	case Rejected:
		return nil, havre.E(op, havre.DisclosureRefused, "release "+id+" was rejected")
	}
	return nil, refused(op, "release "+id+" is "+string(e.state)+" and not approved").
		WithHint("its checkers must decide first: havre release decide " + id)
}

// matches compares the files with what was signed.
func matches(r *record.Release, files []file) error {
	same := len(r.Files) == len(files)
	for i := 0; same && i < len(files); i++ {
		f := record.File{Name: files[i].name, SHA256: sha(files[i].data), Size: int64(len(files[i].data))}
		same = r.Files[i] == f
	}
	if !same {
		return havre.E("release.release", havre.Tampered, "the files of release "+r.ID+" are not those that were approved").
			WithHint("if the program was updated since the approval, request the release again")
	}
	return nil
}

// free makes the folder and sees that no other file stands where one must go.
func free(folder string, files []file) error {
	const op = "release.release"
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return havre.E(op, havre.NoSpace, "the folder "+folder+" cannot be made").Wrap(err)
	}
	for _, f := range files {
		old, err := os.ReadFile(filepath.Join(folder, f.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return havre.E(op, havre.Invalid, filepath.Join(folder, f.name)+" cannot be read").Wrap(err)
		}
		if !bytes.Equal(old, f.data) {
			return havre.E(op, havre.Exists, filepath.Join(folder, f.name)+" is there already and is another file").
				WithHint("name an empty folder")
		}
	}
	return nil
}

// write puts a whole file in place, never a part of one.
func write(path string, data []byte) error {
	if err := renameio.WriteFile(path, data, 0o644); err != nil {
		return havre.E("release.release", havre.NoSpace, path+" cannot be written").Wrap(err)
	}
	return nil
}
