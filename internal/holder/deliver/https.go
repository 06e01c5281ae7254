package deliver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cenkalti/backoff/v5"

	"github.com/havre-hub/havre/internal/havre"
)

// HTTPS is the transport to the hub's endpoint (docs/formats/delivery.md):
//
//	PUT  {base}/v1/deliveries/{delivery}/{name}     Repr-Digest: sha-256=:BASE64:
//	HEAD {base}/v1/deliveries/{delivery}/{name}     200 and Content-Length if it is there
//	POST {base}/v1/deliveries/{delivery}/complete   200 and the signed receipt
//
// Errors come as application/problem+json with kind, message and hint. What is
// temporary (no answer, a cut connection, 408, 429, 5xx) is tried again with
// growing pauses; a part is the unit that is sent again.
type HTTPS struct {
	base   string
	client *http.Client
	pause  time.Duration // first pause between tries
	during time.Duration // how long one request is tried
}

var _ Transport = (*HTTPS)(nil)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// NewHTTPS talks to the endpoint at base, an https URL, over mutual TLS
// (sign.ClientTLS: each end knows the other's key).
func NewHTTPS(base string, config *tls.Config) (*HTTPS, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, havre.E("deliver.https", havre.Invalid, fmt.Sprintf("%q is not the https URL of a hub", base)).
			WithHint("write it as https://host:port")
	}
	client := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: atATime, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 2 * time.Minute,
		},
		// A redirect would carry the delivery to a place that nobody named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &HTTPS{base: strings.TrimRight(base, "/"), client: client, pause: 250 * time.Millisecond, during: 3 * time.Minute}, nil
}

func (h *HTTPS) url(d havre.DeliveryID, name string) string {
	return h.base + "/v1/deliveries/" + url.PathEscape(string(d)) + "/" + url.PathEscape(name)
}

// Put sends a part. If an answer was lost, the part may be there already;
// then it is asked for, and the same size is taken for the same part: the hub
// compares hashes with the manifest, and the receipt names the manifest's.
func (h *HTTPS) Put(ctx context.Context, d havre.DeliveryID, name string, data []byte) error {
	sum := sha256.Sum256(data)
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	_, err := h.do(ctx, "the part "+name, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, h.url(d, name), bytes.NewReader(data))
		if err == nil {
			r.Header.Set("Repr-Digest", digest)
			r.Header.Set("Content-Type", "application/octet-stream")
		}
		return r, err
	})
	if havre.KindOf(err) == havre.Exists {
		if has, herr := h.Has(ctx, d, name, int64(len(data))); herr == nil && has {
			return nil
		}
	}
	return err
}

// Has asks whether the part is there.
func (h *HTTPS) Has(ctx context.Context, d havre.DeliveryID, name string, size int64) (bool, error) {
	a, err := h.do(ctx, "the question after "+name, func() (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodHead, h.url(d, name), nil)
	})
	if havre.KindOf(err) == havre.NotFound {
		return false, nil
	}
	return err == nil && a.size == size, err
}

// Complete asks for the receipt.
func (h *HTTPS) Complete(ctx context.Context, d havre.DeliveryID) ([]byte, error) {
	a, err := h.do(ctx, "the end of the delivery", func() (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodPost, h.url(d, "complete"), http.NoBody)
	})
	if err != nil {
		return nil, err
	}
	if len(a.body) == 0 {
		return nil, havre.E("deliver.https", havre.StoreUnavailable, "the hub took the delivery and gave no receipt").
			WithHint("run the same command again")
	}
	return a.body, nil
}

type answer struct {
	size int64
	body []byte
}

// do sends a request until it is answered for good.
func (h *HTTPS) do(ctx context.Context, what string, request func() (*http.Request, error)) (answer, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = h.pause
	a, err := backoff.Retry(ctx, func() (answer, error) {
		r, err := request()
		if err != nil {
			return answer{}, backoff.Permanent(err)
		}
		return h.once(r)
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(h.during))
	if err == nil {
		return a, nil
	}
	if p, ok := errors.AsType[*backoff.PermanentError](err); ok {
		err = p.Unwrap()
	}
	if _, ok := errors.AsType[*havre.Error](err); ok || ctx.Err() != nil {
		return a, err
	}
	return a, havre.E("deliver.https", havre.StoreUnavailable, "the other side at "+h.base+" did not take "+what).
		WithHint("the sealed parts wait in the outbox; deliver with --resume goes on with those that are missing").Wrap(err)
}

// once sends a request once. Errors that will not pass are permanent.
func (h *HTTPS) once(r *http.Request) (answer, error) {
	resp, err := h.client.Do(r)
	if err != nil {
		if untrusted(err) {
			return answer{}, backoff.Permanent(havre.E("deliver.https", havre.Refused, "no trusted connection to "+h.base).
				WithHint("check that the hub has the holder's key on record, and the holder the hub's").Wrap(err))
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, err
	}
	if resp.StatusCode/100 == 2 {
		return answer{resp.ContentLength, body}, nil
	}
	problem := problemOf(resp, body)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 && s < 60 {
			return answer{}, backoff.RetryAfter(s)
		}
		return answer{}, problem
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout:
		return answer{}, problem
	}
	return answer{}, backoff.Permanent(problem)
}

// untrusted says whether one end does not accept the other's key.
func untrusted(err error) bool {
	if _, verify := errors.AsType[*tls.CertificateVerificationError](err); verify {
		return true
	}
	if _, pinned := errors.AsType[*havre.Error](err); pinned {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" // an alert of TLS
}

// problemOf reads an error of the other side. Its words are shown, so control
// characters are taken out and the length is bounded.
func problemOf(resp *http.Response, body []byte) error {
	var p struct {
		Kind    havre.Kind `json:"kind"`
		Message string     `json:"message"`
		Hint    string     `json:"hint"`
	}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "application/problem+json" {
		_ = json.Unmarshal(body, &p) // what is not there stays empty
	}
	if !slices.Contains(havre.Kinds(), p.Kind) {
		p.Kind = kindOfStatus(resp.StatusCode)
	}
	if p.Message == "" {
		p.Message = "the other side answered " + strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	}
	return havre.E("deliver.https", p.Kind, printable(p.Message)).WithHint(printable(p.Hint))
}

func kindOfStatus(status int) havre.Kind {
	switch status {
	case http.StatusNotFound:
		return havre.NotFound
	case http.StatusConflict:
		return havre.Exists
	case http.StatusUnauthorized, http.StatusForbidden:
		return havre.Refused
	case http.StatusInsufficientStorage:
		return havre.NoSpace
	}
	if status >= 500 {
		return havre.StoreUnavailable
	}
	return havre.Invalid
}

func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "..."
	}
	return s
}
