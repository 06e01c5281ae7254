package envelope

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// Parcel is a delivery as it arrived: named objects, nothing of which is
// trusted yet.
type Parcel interface {
	// Names lists every object of the parcel.
	Names(ctx context.Context) ([]string, error)
	// Read gives one object whole, or fails with Invalid if it is longer than
	// limit bytes and with NotFound if it is absent.
	Read(ctx context.Context, name string, limit int64) ([]byte, error)
}

// Folder is a parcel in a folder of the local disk. Anything in it but regular
// files is refused.
type Folder string

var _ Parcel = Folder("")

// Names lists the files of the folder.
func (f Folder) Names(context.Context) ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil, havre.E("parcel", havre.NotFound, "there is no delivery folder at "+string(f)).
			WithHint("name the folder that holds " + ManifestName).Wrap(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return nil, havre.E("parcel", havre.Invalid, "the delivery folder "+string(f)+" holds "+quoted(e.Name())+", which is no regular file").
				WithHint("a delivery folder holds " + ManifestName + " and sealed parts, nothing else")
		}
		names = append(names, e.Name())
	}
	return names, nil
}

// Read gives one file of the folder.
func (f Folder) Read(_ context.Context, name string, limit int64) ([]byte, error) {
	if !filepath.IsLocal(name) || filepath.Base(name) != name {
		return nil, havre.E("parcel", havre.Invalid, quoted(name)+" is no name of a part")
	}
	file, err := os.Open(filepath.Join(string(f), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, havre.E("parcel", havre.NotFound, name+" is not in the delivery folder "+string(f))
	}
	if err != nil {
		return nil, havre.E("parcel", havre.StoreUnavailable, name+" cannot be read from "+string(f)).Wrap(err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, havre.E("parcel", havre.StoreUnavailable, name+" cannot be read from "+string(f)).Wrap(err)
	}
	if int64(len(b)) > limit {
		return nil, tooLong(name, limit)
	}
	return b, nil
}

func tooLong(name string, limit int64) error {
	return havre.E("parcel", havre.Invalid, fmt.Sprintf("%s is longer than the %d bytes it may have", name, limit))
}

func quoted(s string) string { return fmt.Sprintf("%.80q", s) }

// Stored is a parcel of the objects of a store whose names begin with a prefix.
type Stored struct {
	Store  blob.Store
	Prefix string // "delivery/0123.../", with its slash
}

var _ Parcel = Stored{}

// Names lists the objects, without the prefix.
func (s Stored) Names(ctx context.Context) (names []string, err error) {
	for info, err := range s.Store.List(ctx, s.Prefix) {
		if err != nil {
			return nil, err
		}
		names = append(names, strings.TrimPrefix(info.Name, s.Prefix))
	}
	return names, nil
}

// Read gives one object.
func (s Stored) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	info, err := s.Store.Stat(ctx, s.Prefix+name)
	if err != nil {
		return nil, err
	}
	if info.Size > limit {
		return nil, tooLong(name, limit)
	}
	return blob.GetAll(ctx, s.Store, s.Prefix+name)
}
