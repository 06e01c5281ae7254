package deliver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// outbox is the folder in which deliveries wait, one sub-folder each. The
// manifest is written last: where it stands, the delivery is whole.
type outbox struct{ dir string }

// staged is a delivery that stands whole in the outbox.
type staged struct {
	manifest *envelope.Manifest
	envelope []byte
}

// make makes the folder.
func (b outbox) make() error {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return fileError("the outbox "+b.dir+" cannot be made", err)
	}
	return nil
}

func (b outbox) folder() *Folder { return &Folder{dir: b.dir} }

func (b outbox) put(ctx context.Context, d havre.DeliveryID, name string, data []byte) error {
	return b.folder().Put(ctx, d, name, data)
}

func (b outbox) get(d havre.DeliveryID, name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(b.dir, string(d), name))
	if err != nil {
		return nil, fileError("the part "+name+" of the delivery "+string(d)+" cannot be read from the outbox", err)
	}
	return data, nil
}

// staged reads the manifest of a whole delivery, NotFound if it is not there
// or not whole.
func (b outbox) staged(d havre.DeliveryID, own sign.PublicKey) (*staged, error) {
	data, err := os.ReadFile(filepath.Join(b.dir, string(d), envelope.ManifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, havre.E("deliver.outbox", havre.NotFound, "the delivery "+string(d)+" does not stand whole in the outbox")
	}
	if err != nil {
		return nil, fileError("the manifest of the delivery "+string(d)+" cannot be read", err)
	}
	m, err := envelope.VerifyManifest(data, own)
	if err != nil {
		return nil, err
	}
	if m.Delivery != d {
		return nil, havre.E("deliver.outbox", havre.Tampered, "the folder "+string(d)+" of the outbox holds the manifest of another delivery")
	}
	return &staged{m, data}, nil
}

func (b outbox) remove(d havre.DeliveryID) error {
	if err := os.RemoveAll(filepath.Join(b.dir, string(d))); err != nil {
		return fileError("the delivery "+string(d)+" cannot be removed from the outbox", err)
	}
	return nil
}

// Waiting lists the deliveries that stand whole in an outbox: they were not
// sent to the end, and Run goes on with them when it is given their id.
func Waiting(dir string) ([]havre.DeliveryID, error) {
	whole, _, err := outbox{dir}.list()
	return whole, err
}

// sweep removes deliveries that were cut while being made. Their transport
// ids are gone, so nobody could use them. The caller holds the outbox's lock.
func (b outbox) sweep() error {
	_, cut, err := b.list()
	for _, d := range cut {
		if err == nil {
			err = b.remove(d)
		}
	}
	return err
}

func (b outbox) list() (whole, cut []havre.DeliveryID, err error) {
	entries, err := os.ReadDir(b.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fileError("the outbox "+b.dir+" cannot be listed", err)
	}
	for _, e := range entries {
		d := havre.DeliveryID(e.Name())
		if !e.IsDir() || !envelope.IsDeliveryID(e.Name()) {
			continue
		}
		if _, err := os.Stat(filepath.Join(b.dir, e.Name(), envelope.ManifestName)); err == nil {
			whole = append(whole, d)
		} else {
			cut = append(cut, d)
		}
	}
	return whole, cut, nil
}

// fileError is an error of the file system; a full disk has its own kind.
func fileError(msg string, err error) error {
	kind, hint := havre.StoreUnavailable, "check that the folder is there and that this user may write to it"
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		kind, hint = havre.NoSpace, "free some space, then run the same command again"
	}
	return havre.E("deliver", kind, msg).WithHint(hint).Wrap(err)
}

// writeFile makes a file that survives power loss whole, or not at all.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Folder is a transport whose other end looks into a folder:
// FOLDER/<delivery>/<part>, the manifest last. It gives no receipt; that comes
// later and by another way (Receipts).
type Folder struct{ dir string }

var _ Transport = (*Folder)(nil)

// NewFolder sends to dir, which is made if it is absent.
func NewFolder(dir string) *Folder { return &Folder{dir} }

// Put writes the part; it is seen whole or not at all.
func (f *Folder) Put(ctx context.Context, d havre.DeliveryID, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir := filepath.Join(f.dir, string(d))
	if _, err := os.Stat(dir); err != nil {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fileError("the folder "+dir+" cannot be made", err)
		}
		if err := syncFolder(f.dir); err != nil {
			return fileError("the folder "+f.dir+" cannot be written", err)
		}
	}
	if err := writeFile(filepath.Join(dir, name), data); err != nil {
		return fileError(fmt.Sprintf("the part %s cannot be written to %s", name, dir), err)
	}
	return nil
}

// Has says whether the part is there with that size.
func (f *Folder) Has(_ context.Context, d havre.DeliveryID, name string, size int64) (bool, error) {
	st, err := os.Stat(filepath.Join(f.dir, string(d), name))
	return err == nil && st.Size() == size, nil
}

// Complete does nothing: the manifest, which is written last, says that all is there.
func (f *Folder) Complete(context.Context, havre.DeliveryID) ([]byte, error) { return nil, nil }
