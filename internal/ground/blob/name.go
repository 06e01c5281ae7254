package blob

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// Limits on names and sizes. They are the tightest of all stores (file name of
// a Linux file system, key of S3 and Azure with room for a prefix, one request
// body), so that any store can be copied into any other.
const (
	MaxName    = 512     // bytes of a name
	MaxSegment = 255     // bytes between two slashes
	MaxSize    = 1 << 30 // bytes of an object
)

// ValidName says whether name may name an object: segments joined by "/", each
// of lower-case letters, digits, "_", "-" and ".", starting with a letter,
// digit or "_", not ending with "." and without "..". Upper case is left out
// because some file systems do not tell it apart; a leading dot because stores
// keep it for themselves; a final one because Azure drops it. A name must not
// also be the folder of another name ("a" beside "a/b"): a file system cannot
// hold both.
func ValidName(name string) bool {
	if name == "" || len(name) > MaxName || strings.Contains(name, "..") {
		return false
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || len(segment) > MaxSegment ||
			segment[0] == '.' || segment[0] == '-' || segment[len(segment)-1] == '.' {
			return false
		}
		for _, c := range []byte(segment) {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.') {
				return false
			}
		}
	}
	return true
}

// ValidPrefix says whether some valid name starts with prefix.
func ValidPrefix(prefix string) bool {
	return prefix == "" || ValidName(prefix) || ValidName(prefix+"0")
}

// The Check functions are for implementations of Store: they give the error of
// kind Invalid that every store returns for the same bad argument.

// CheckName is for any operation on one object.
func CheckName(op, name string) error {
	if ValidName(name) {
		return nil
	}
	return havre.E(op, havre.Invalid, fmt.Sprintf("%.80q cannot name an object", name)).
		WithHint("a name is relative and made of a-z, 0-9, '_', '-', '.' and '/', without '..'")
}

// CheckPut is for Put.
func CheckPut(op, name string, data []byte) error {
	if len(data) > MaxSize {
		return havre.E(op, havre.Invalid, fmt.Sprintf("object %s has %d bytes; a store takes at most %d", name, len(data), int64(MaxSize)))
	}
	return CheckName(op, name)
}

// CheckRange is for Get.
func CheckRange(op, name string, off, n int64) error {
	if off < 0 || n > 0 && off > math.MaxInt64-n {
		return havre.E(op, havre.Invalid, fmt.Sprintf("%d bytes from offset %d of %s is not a range", n, off, name))
	}
	return CheckName(op, name)
}

// CheckPrefix is for List.
func CheckPrefix(op, prefix string) error {
	if ValidPrefix(prefix) {
		return nil
	}
	return havre.E(op, havre.Invalid, fmt.Sprintf("no object's name can start with %.80q", prefix))
}

// GetAll reads a whole object.
func GetAll(ctx context.Context, s Store, name string) ([]byte, error) {
	return s.Get(ctx, name, 0, -1)
}

// PutSame is Put for callers to whom an object that is there already with equal
// bytes is as good as one that they wrote: after a crash or a lost answer they
// just write again. Other bytes under that name are an error of kind Exists.
//
// Some stores say of an object that is still being written by somebody else that
// it exists, and do not give it yet: PutSame repeats itself for up to settling.
func PutSame(ctx context.Context, s Store, name string, data []byte) error {
	began := time.Now()
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		err := s.Put(ctx, name, data)
		if havre.KindOf(err) != havre.Exists {
			return err
		}
		same, readErr := Same(ctx, s, name, data)
		switch {
		case same:
			return nil
		case readErr == nil:
			return err
		case havre.KindOf(readErr) != havre.NotFound || time.Since(began) > settling:
			return readErr
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// settling is how long a store is given to settle writes of one object that race.
const settling = 5 * time.Second

// Replace writes an object in place of what is there, or of what a server that
// was killed has left of it: that one may say at once that the object exists and
// that it does not. Kind Exists then says that the store does not delete it either.
func Replace(ctx context.Context, s Store, name string, data []byte) error {
	err := s.Put(ctx, name, data)
	if kind := havre.KindOf(err); kind != havre.Exists && kind != havre.NotFound {
		return err
	}
	if err := s.Delete(ctx, name); err != nil {
		return err
	}
	return s.Put(ctx, name, data)
}

// Same says whether the object holds exactly data; it reads the object only if
// its size is right.
func Same(ctx context.Context, s Store, name string, data []byte) (bool, error) {
	info, err := s.Stat(ctx, name)
	if err != nil || info.Size != int64(len(data)) {
		return false, err
	}
	old, err := GetAll(ctx, s, name)
	return err == nil && bytes.Equal(old, data), err
}

// PastEnd is the error of a Get beyond the end of an object.
func PastEnd(op, name string, off, n, size int64) error {
	return havre.E(op, havre.Invalid, fmt.Sprintf("object %s has %d bytes, not %d from offset %d", name, size, max(n, 0), off))
}
