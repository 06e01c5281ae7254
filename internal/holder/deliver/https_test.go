package deliver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// endpoint speaks the hub's side of the protocol over mutual TLS. fault, when
// set, sees each request first and may spoil it.
type endpoint struct {
	*httptest.Server
	signer *sign.Signer

	mu    sync.Mutex
	parts map[string][]byte
	puts  map[string]int
	fault func(w http.ResponseWriter, r *http.Request, count int) (handled bool)
	count int
}

func newEndpoint(t *testing.T, w *world, signer *sign.Signer) (*endpoint, *tls.Config) {
	e := &endpoint{signer: signer, parts: map[string][]byte{}, puts: map[string]int{}}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	server, client := certificate(t, w.hubSigner), certificate(t, w.home.Signer)
	e.TLS = sign.ServerTLS(server, func(k sign.PublicKey) bool { return k.String() == w.home.Signer.Public().String() })
	e.Config.ErrorLog = log.New(io.Discard, "", 0) // spoiled connections are the point of these tests
	e.EnableHTTP2 = true
	e.StartTLS()
	t.Cleanup(e.Close)
	return e, sign.ClientTLS(client, w.hubSigner.Public())
}

func certificate(t *testing.T, s *sign.Signer) tls.Certificate {
	t.Helper()
	c, err := sign.Certificate(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (e *endpoint) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.count++
	count, fault := e.count, e.fault
	e.mu.Unlock()
	if fault != nil && fault(w, r, count) {
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/v1/deliveries/")
	switch r.Method {
	case http.MethodHead:
		e.mu.Lock()
		defer e.mu.Unlock()
		if b, ok := e.parts[name]; ok {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	case http.MethodPut:
		e.put(w, r, name)
	case http.MethodPost:
		e.complete(w, strings.TrimSuffix(name, "/complete"))
	}
}

func (e *endpoint) put(w http.ResponseWriter, r *http.Request, name string) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	sum := sha256.Sum256(b)
	if r.Header.Get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
		problem(w, 400, havre.Invalid, "the digest does not fit", "send it again")
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.puts[name]++
	if old, ok := e.parts[name]; ok && !bytes.Equal(old, b) {
		problem(w, 409, havre.Exists, "another part of that name is there", "")
		return
	}
	e.parts[name] = b
	w.WriteHeader(http.StatusCreated)
}

func (e *endpoint) complete(w http.ResponseWriter, d string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	manifest := e.parts[d+"/"+envelope.ManifestName]
	sum := sha256.Sum256(manifest)
	b, err := envelope.SignReceipt(&envelope.Receipt{Delivery: havre.DeliveryID(d), Holder: "chu-nord", Hub: "demo", Received: time.Unix(0, 0).UTC(),
		Manifest: hex.EncodeToString(sum[:]), Parts: len(e.parts), LogIndex: 7}, e.signer)
	if err != nil {
		problem(w, 500, havre.Internal, err.Error(), "")
		return
	}
	_, _ = w.Write(b)
}

func problem(w http.ResponseWriter, status int, kind havre.Kind, message, hint string) {
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"kind":%q,"message":%q,"hint":%q,"extra":1}`, kind, message, hint)
}

// cut drops the connection without an answer.
func cut(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func hurried(t *testing.T, e *endpoint, config *tls.Config) *HTTPS {
	h, err := NewHTTPS(e.URL+"/", config)
	if err != nil {
		t.Fatal(err)
	}
	h.pause, h.during = time.Millisecond, 2*time.Second
	return h
}

func TestHTTPSDeliversInSpiteOfFaults(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request, count int) bool{
		"none": nil,
		"busy": func(w http.ResponseWriter, _ *http.Request, count int) bool {
			if count%3 != 0 {
				problem(w, 503, havre.StoreUnavailable, "busy", "")
			}
			return count%3 != 0
		},
		"cut before reading": func(w http.ResponseWriter, _ *http.Request, count int) bool {
			if count%2 == 1 {
				cut(w)
			}
			return false
		},
		"cut while reading": func(w http.ResponseWriter, r *http.Request, count int) bool {
			if r.Method == http.MethodPut && count%2 == 0 {
				_, _ = io.CopyN(io.Discard, r.Body, 100)
				cut(w)
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e, config := newEndpoint(t, w, w.hubSigner)
			e.fault = fault
			dir := write(t, health())
			o := w.options(t, dir)
			o.Identity = filepath.Join(dir, "identity.csv")
			o.To = hurried(t, e, config)
			r, err := Run(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if r.Receipt == nil || r.Receipt.LogIndex != 7 {
				t.Errorf("receipt %+v", r.Receipt)
			}
			for _, p := range r.Manifest.Parts {
				b, ok := e.parts[string(r.Manifest.Delivery)+"/"+p.Name]
				sum := sha256.Sum256(b)
				if ok != (p.Purpose != envelope.Identity) || ok && hex.EncodeToString(sum[:]) != p.SHA256 {
					t.Errorf("%s: at the hub %v", p.Name, ok)
				}
			}
			if err := w.home.Keep(r.Envelope, r.Signed); err != nil {
				t.Error(err)
			}
			if err := w.home.KeepReceipt(r.Signed); err != nil {
				t.Error(err)
			}
			if left, err := Waiting(o.Outbox); err != nil || len(left) != 0 {
				t.Errorf("the outbox still holds %v (%v)", left, err)
			}
		})
	}
}

func TestHTTPSLostAnswerIsNoSecondPart(t *testing.T) {
	w := newWorld(t)
	e, config := newEndpoint(t, w, w.hubSigner)
	e.fault = func(rw http.ResponseWriter, r *http.Request, count int) bool {
		name := strings.TrimPrefix(r.URL.Path, "/v1/deliveries/")
		e.mu.Lock()
		first := r.Method == http.MethodPut && e.puts[name] == 0
		e.mu.Unlock()
		if first {
			e.put(httptest.NewRecorder(), r, name)
			cut(rw)
		}
		return false
	}
	o := w.options(t, write(t, health()))
	o.To = hurried(t, e, config)
	if _, err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
}

func TestHTTPSResumes(t *testing.T) {
	w := newWorld(t)
	e, config := newEndpoint(t, w, w.hubSigner)
	var down bool
	e.fault = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		if r.Method == http.MethodPut && len(e.parts) >= 3 {
			down = true
		}
		if down {
			problem(rw, 502, "", "", "")
		}
		return down
	}
	o := w.options(t, write(t, health()))
	h := hurried(t, e, config)
	h.during = 50 * time.Millisecond
	o.To, o.Delivery = h, havre.NewDeliveryID()
	r, err := Run(context.Background(), o)
	if havre.KindOf(err) != havre.StoreUnavailable || r.Manifest == nil {
		t.Fatalf("a hub that is down gives %v", err)
	}
	if left, err := Waiting(o.Outbox); err != nil || len(left) != 1 || left[0] != o.Delivery {
		t.Fatalf("the outbox holds %v (%v)", left, err)
	}
	e.fault = nil
	before := map[string]int{}
	for name, n := range e.puts {
		before[name] = n
	}
	again, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Envelope, r.Envelope) || again.Receipt == nil {
		t.Error("the delivery was made anew")
	}
	for name, n := range before {
		if e.puts[name] != n {
			t.Errorf("%s was sent again", name)
		}
	}
}

func TestHTTPSRefusals(t *testing.T) {
	w := newWorld(t)
	e, config := newEndpoint(t, w, w.hubSigner)
	h := hurried(t, e, config)
	ctx := context.Background()
	e.fault = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/told"):
			problem(rw, 403, havre.Refused, "this holder is\nnot known", "ask the operator")
		case strings.HasSuffix(r.URL.Path, "/plain"):
			rw.WriteHeader(418)
		case strings.HasSuffix(r.URL.Path, "/full"):
			rw.WriteHeader(507)
		case strings.HasSuffix(r.URL.Path, "/elsewhere"):
			rw.Header().Set("Location", "https://127.0.0.1:1/")
			rw.WriteHeader(307)
		}
		return true
	}
	for name, kind := range map[string]havre.Kind{"told": havre.Refused, "plain": havre.Invalid, "full": havre.StoreUnavailable, "elsewhere": havre.Invalid} {
		h.during = 20 * time.Millisecond
		err := h.Put(ctx, "d", name, []byte("x"))
		if k := havre.KindOf(err); k != kind && !(name == "full" && k == havre.NoSpace) {
			t.Errorf("%s: %v (%s)", name, err, k)
		}
		if name == "told" && (err == nil || !strings.Contains(err.Error(), "this holder is not known") || havre.HintOf(err) != "ask the operator") {
			t.Errorf("the hub's words are lost: %v", err)
		}
	}
	h.during = 2 * time.Second
	stranger := hurried(t, e, sign.ClientTLS(certificate(t, sign.NewSigner()), w.hubSigner.Public()))
	if err := stranger.Put(ctx, "d", "x", nil); havre.KindOf(err) != havre.Refused {
		t.Errorf("a holder that the hub does not know gives %v", err)
	}
	blind := hurried(t, e, sign.ClientTLS(certificate(t, w.home.Signer), sign.NewSigner().Public()))
	if err := blind.Put(ctx, "d", "x", nil); havre.KindOf(err) != havre.Refused {
		t.Errorf("a hub with another key gives %v", err)
	}
	if _, err := NewHTTPS("http://hub", config); havre.KindOf(err) != havre.Invalid {
		t.Errorf("clear text is accepted: %v", err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := h.Put(stopped, "d", "x", nil); havre.KindOf(err) != havre.Cancelled {
		t.Errorf("a cancelled delivery gives %v", err)
	}
}

func TestForeignReceiptsAreRefused(t *testing.T) {
	w := newWorld(t)
	e, config := newEndpoint(t, w, sign.NewSigner()) // signs with another key
	o := w.options(t, write(t, health()))
	o.To = hurried(t, e, config)
	o.Delivery = havre.NewDeliveryID()
	r, err := Run(context.Background(), o)
	if havre.KindOf(err) != havre.Tampered {
		t.Fatalf("a receipt signed by another gives %v", err)
	}
	if left, _ := Waiting(o.Outbox); len(left) != 1 {
		t.Error("the delivery is gone from the outbox without a receipt")
	}
	m := r.Manifest
	sum := sha256.Sum256(r.Envelope)
	good := envelope.Receipt{Delivery: m.Delivery, Holder: m.Holder, Hub: m.Hub, Manifest: hex.EncodeToString(sum[:])}
	for name, spoil := range map[string]func(*envelope.Receipt){
		"other delivery": func(r *envelope.Receipt) { r.Delivery = havre.NewDeliveryID() },
		"other holder":   func(r *envelope.Receipt) { r.Holder = "chu-sud" },
		"other hub":      func(r *envelope.Receipt) { r.Hub = "other" },
		"other manifest": func(r *envelope.Receipt) { r.Manifest = strings.Repeat("0", 64) },
	} {
		bad := good
		spoil(&bad)
		signed, err := envelope.SignReceipt(&bad, w.hubSigner)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.home.Keep(r.Envelope, signed); havre.KindOf(err) != havre.Tampered {
			t.Errorf("%s: %v", name, err)
		}
	}
	signed, _ := envelope.SignReceipt(&good, w.hubSigner)
	if err := w.home.Keep(r.Envelope, signed); err != nil {
		t.Error(err)
	}
	other := good
	other.Delivery = havre.NewDeliveryID()
	signed, _ = envelope.SignReceipt(&other, w.hubSigner)
	if err := w.home.KeepReceipt(signed); havre.KindOf(err) != havre.NotFound {
		t.Errorf("a receipt of a delivery that never was gives %v", err)
	}
}
