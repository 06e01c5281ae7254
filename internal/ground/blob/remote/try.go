package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// Patience is how long an operation is repeated when ctx sets no earlier end.
const Patience = 2 * time.Minute

// Try runs attempt until it succeeds, fails for good, ctx ends or Patience is
// over, waiting longer each time. attempt returns a *havre.Error; kind
// StoreUnavailable is repeated unless it is marked with Final. A deadline that
// passes after a failure gives that failure, which says more than the
// deadline; errors.Is finds both.
func Try[T any](ctx context.Context, attempt func() (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 50 * time.Millisecond
	wait.MaxInterval = 5 * time.Second
	var last error
	value, err := backoff.Retry(ctx, func() (T, error) {
		value, err := attempt()
		if err == nil {
			return value, nil
		}
		if last == nil || !errors.Is(err, ctx.Err()) {
			last = err
		}
		if final, ok := errors.AsType[finalError](err); ok {
			last = final.error
			return value, backoff.Permanent(final.error)
		}
		if havre.KindOf(err) != havre.StoreUnavailable {
			return value, backoff.Permanent(err)
		}
		return value, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(Patience))
	if err == nil {
		return value, nil
	}
	var zero T
	switch ended := ctx.Err(); {
	case errors.Is(ended, context.Canceled):
		return zero, ended
	case ended != nil && havre.KindOf(last) == havre.StoreUnavailable && !errors.Is(last, ended):
		failed, _ := errors.AsType[*havre.Error](last)
		return zero, failed.Wrap(errors.Join(failed.Err, ended))
	}
	return zero, last
}

type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// Final marks an error that a repetition cannot mend.
func Final(err error) error { return finalError{err} }

// Temporary says whether an HTTP status may be another one next time.
func Temporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Written settles a Put. An attempt whose answer was lost may have stored the
// object, and then the next is told that it exists: if it holds these very
// bytes, it is ours. put makes one attempt. So of two racing Puts of equal
// bytes, both may succeed where a connection broke.
func Written(ctx context.Context, s blob.Store, name string, data []byte, put func() error) error {
	doubt := false
	_, err := Try(ctx, func() (struct{}, error) {
		err := put()
		if havre.KindOf(err) == havre.StoreUnavailable {
			doubt = true
		}
		return struct{}{}, err
	})
	if doubt && havre.KindOf(err) == havre.Exists {
		same, readErr := blob.Same(ctx, s, name, data)
		if readErr != nil {
			return readErr
		}
		if same {
			return nil
		}
	}
	return err
}

// Part is the answer to a request for n bytes from offset off (n < 0: to the
// end), as the server describes it. ReadPart holds the description against the
// bytes.
type Part struct {
	Name         string
	Off, N       int64
	Length       int64  // Content-Length, -1 if not given
	ContentRange string // Content-Range, "" if the whole object comes
	Body         io.ReadCloser
}

// ReadPart reads and closes the body. Whatever does not fit what was asked for
// is an error, so that a server, a proxy or a broken connection cannot pass
// short or other bytes for the right ones.
func ReadPart(p Part) ([]byte, error) {
	const op = "blob.get"
	defer p.Body.Close()
	wrong := func(what string) error {
		return havre.E(op, havre.StoreUnavailable, fmt.Sprintf("the store's answer for %s is not what was asked for: %s", p.Name, what)).
			WithHint("a proxy between here and the store may be at fault")
	}
	want := p.N
	if p.ContentRange != "" {
		var first, last, size int64
		if _, err := fmt.Sscanf(p.ContentRange, "bytes %d-%d/%d", &first, &last, &size); err != nil {
			return nil, wrong("its range cannot be read")
		}
		if want < 0 {
			want = size - p.Off
		}
		if size < p.Off || size-p.Off < want {
			return nil, blob.PastEnd(op, p.Name, p.Off, p.N, size)
		}
		if first != p.Off || last != p.Off+want-1 {
			return nil, wrong("it is another range")
		}
	} else if p.Off > 0 {
		return nil, wrong("it is the whole object")
	} else if want > p.Length && p.Length >= 0 {
		return nil, blob.PastEnd(op, p.Name, p.Off, p.N, p.Length)
	}
	if p.Length < 0 || p.Length > blob.MaxSize {
		return nil, wrong("its length is absent or too large")
	}
	if want >= 0 && p.Length != want {
		return nil, wrong("its length is wrong")
	}
	data := make([]byte, p.Length)
	if n, err := io.ReadFull(p.Body, data); err != nil {
		return nil, havre.E(op, havre.StoreUnavailable, fmt.Sprintf("the connection broke after %d of %d bytes of %s", n, p.Length, p.Name)).Wrap(err)
	}
	if n, _ := p.Body.Read(make([]byte, 1)); n > 0 {
		return nil, wrong("it is longer than it says")
	}
	return data, nil
}

// Listed checks that a listing only goes forward, which also ends the one of a
// server that repeats itself for ever.
type Listed struct{ last string }

// Next fails unless name comes after all names before it.
func (l *Listed) Next(name string) error {
	if name <= l.last && l.last != "" {
		return havre.E("blob.list", havre.StoreUnavailable, "the store lists objects out of order").
			WithHint("havre needs a store that lists names in the order of their bytes")
	}
	l.last = name
	return nil
}
