package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// ErrNoSuchRange is in the chain of an error when the server says that the
// object ends before the offset asked for.
var ErrNoSuchRange = errors.New("the object has no such range")

// Unreachable is the error of a request that got no answer.
func Unreachable(op, host string, err error) error {
	e := havre.E(op, havre.StoreUnavailable, fmt.Sprintf("the store at %s does not answer", host)).
		WithHint("check the endpoint in the store's URL, the network and the proxy settings; then do it again, nothing is lost").Wrap(err)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Final(e.WithHint("the store's certificate is not trusted: name its authority's certificate by ca=FILE in the store's URL"))
	}
	return e
}

// Answered is the error of a request that was answered with an HTTP status
// that needs no knowledge of the kind of store.
func Answered(op, name, host string, status int, err error) error {
	e := havre.E(op, havre.StoreUnavailable, fmt.Sprintf("the store at %s answers %d for %s", host, status, name)).Wrap(err)
	switch {
	case Temporary(status):
		return e.WithHint("the store is busy or broken; do it again later, nothing is lost")
	case status == http.StatusInsufficientStorage:
		return havre.E(op, havre.NoSpace, fmt.Sprintf("there is no room for %s in the store", name)).
			WithHint("raise the store's quota; what is stored is whole").Wrap(err)
	case status == http.StatusRequestedRangeNotSatisfiable:
		return Final(e.Wrap(errors.Join(ErrNoSuchRange, err)))
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Final(e.WithHint("the store refuses the credentials: check them, their right to read, write, list and delete, and this machine's clock"))
	}
	return Final(e.WithHint("the store does not understand or allow the request; check the settings in its URL"))
}

// Empty answers a Get for which there is nothing to transfer: of no bytes, or
// from the very end.
func Empty(ctx context.Context, s blob.Store, name string, off, n int64) ([]byte, error) {
	info, err := s.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	if off > info.Size || n > info.Size-off {
		return nil, blob.PastEnd("blob.get", name, off, n, info.Size)
	}
	if n < 0 && off < info.Size {
		return nil, havre.E("blob.get", havre.StoreUnavailable, fmt.Sprintf("the store says both that %s has %d bytes and that it ends before %d", name, info.Size, off))
	}
	return []byte{}, nil
}

// Prefix is the path of a store's URL, under which its objects are: empty, or
// a valid name and a slash.
func Prefix(u *url.URL) (string, error) {
	prefix := strings.Trim(u.Path, "/")
	if prefix == "" {
		return "", nil
	}
	if !blob.ValidName(prefix) || len(prefix) > 256 {
		return "", havre.E(opOpen, havre.Invalid, "the prefix in the store's URL cannot be the beginning of names").
			WithHint("a prefix has at most 256 characters of a-z, 0-9, '_', '-', '.' and '/'")
	}
	return prefix + "/", nil
}
