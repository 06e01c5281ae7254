package receive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// endpoint is the hub's HTTPS server, as a holder reaches it.
type endpoint struct {
	h      *hub
	server *httptest.Server
	key    sign.PublicKey // of the server
}

func serve(t *testing.T) *endpoint {
	t.Helper()
	h := newHub(t)
	own, err := sign.Certificate(h.desk.Signer)
	must(t, err)
	s := httptest.NewUnstartedServer(h.desk.Handler(slog.New(slog.DiscardHandler)))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = sign.ServerTLS(own, func(k sign.PublicKey) bool {
		_, err := h.desk.HolderOf(context.Background(), k)
		return err == nil
	})
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return &endpoint{h, s, h.desk.Signer.Public()}
}

func (e *endpoint) tls(signer *sign.Signer) *tls.Config {
	own, err := sign.Certificate(signer)
	must(e.h.t, err)
	return sign.ClientTLS(own, e.key)
}

func (e *endpoint) as(holder havre.HolderID) *http.Client {
	tr := &http.Transport{TLSClientConfig: e.tls(e.h.holders[holder])}
	e.h.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// do sends a request and gives status and body.
func (e *endpoint) do(c *http.Client, method string, id havre.DeliveryID, name string, body []byte, repr string) (int, []byte, http.Header) {
	e.h.t.Helper()
	r, err := http.NewRequest(method, e.server.URL+"/v1/deliveries/"+string(id)+"/"+name, bytes.NewReader(body))
	must(e.h.t, err)
	if repr != "" {
		r.Header.Set("Repr-Digest", repr)
	}
	resp, err := c.Do(r)
	must(e.h.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(e.h.t, err)
	return resp.StatusCode, b, resp.Header
}

func (e *endpoint) want(what string, got, want int, body []byte) {
	e.h.t.Helper()
	if got != want {
		e.h.t.Errorf("%s: status %d, want %d: %s", what, got, want, body)
	}
}

func files(t *testing.T, f envelope.Folder) map[string][]byte {
	all := map[string][]byte{}
	names, err := f.Names(t.Context())
	must(t, err)
	for _, n := range names {
		all[n], err = os.ReadFile(filepath.Join(string(f), n))
		must(t, err)
	}
	return all
}

func TestDeliveryOverHTTPS(t *testing.T) {
	e := serve(t)
	f := e.h.deliver("payer", nil, conditions, conditions)
	id, parts, payer := e.h.idOf(f), files(t, f), e.as("payer")

	status, _, _ := e.do(payer, "HEAD", id, "health-0001.age", nil, "")
	e.want("HEAD before", status, 404, nil)
	for _, n := range []string{"health-0001.age", envelope.ManifestName} {
		status, b, _ := e.do(payer, "PUT", id, n, parts[n], digest(parts[n]))
		e.want("PUT "+n, status, 201, b)
	}
	status, b, _ := e.do(payer, "PUT", id, "health-0001.age", parts["health-0001.age"], digest(parts["health-0001.age"]))
	e.want("PUT again", status, 204, b)
	status, b, _ = e.do(payer, "PUT", id, "health-0001.age", parts["health-0002.age"], digest(parts["health-0002.age"]))
	e.want("PUT other bytes", status, 409, b)
	status, _, head := e.do(payer, "HEAD", id, "health-0001.age", nil, "")
	e.want("HEAD after", status, 200, nil)
	if head.Get("Content-Length") != fmt.Sprint(len(parts["health-0001.age"])) {
		t.Errorf("Content-Length %s", head.Get("Content-Length"))
	}
	status, b, head = e.do(payer, "POST", id, "complete", nil, "")
	e.want("complete too early", status, 400, b)
	var p struct{ Kind, Message, Hint string }
	must(t, json.Unmarshal(b, &p))
	if head.Get("Content-Type") != "application/problem+json" || p.Kind != string(havre.Invalid) || !strings.Contains(p.Message, "health-0002.age") || p.Hint == "" {
		t.Errorf("problem %+v", p)
	}
	if q, err := e.h.desk.Quarantine(t.Context()); err != nil || len(q) != 0 {
		t.Errorf("an unfinished upload is in quarantine: %v", q)
	}
	// Another holder sees nothing of it, and cannot bring it.
	other := e.as("chu-nord")
	for _, m := range []string{"HEAD", "POST"} {
		name := "health-0001.age"
		if m == "POST" {
			name = "complete"
		}
		status, b, _ = e.do(other, m, id, name, nil, "")
		e.want(m+" as another holder", status, 404, b)
	}
	status, b, _ = e.do(payer, "PUT", id, "health-0002.age", parts["health-0002.age"], "unixsum=:AAAA:, "+digest(parts["health-0002.age"]))
	e.want("PUT the last part", status, 201, b)

	// Two clients complete at once: one receipt.
	var receipts [2][]byte
	var wg sync.WaitGroup
	for i := range receipts {
		wg.Go(func() { _, receipts[i], _ = e.do(payer, "POST", id, "complete", nil, "") })
	}
	wg.Wait()
	r, err := envelope.VerifyReceipt(receipts[0], e.key)
	must(t, err)
	if r.Delivery != id || r.Rows != 4 || !bytes.Equal(receipts[0], receipts[1]) {
		t.Errorf("receipts %+v, the same: %v", r, bytes.Equal(receipts[0], receipts[1]))
	}
	for info := range e.h.desk.Store.List(t.Context(), "upload/") {
		t.Errorf("left %s", info.Name)
	}
	// A client that lost the answer goes through all of it again.
	for n, b := range parts {
		status, _, _ := e.do(payer, "HEAD", id, n, nil, "")
		e.want("HEAD when received", status, 200, nil)
		status, body, _ := e.do(payer, "PUT", id, n, b, digest(b))
		e.want("PUT when received", status, 204, body)
	}
	status, b, _ = e.do(payer, "PUT", id, "health-0001.age", []byte("x"), digest([]byte("x")))
	e.want("PUT other bytes when received", status, 409, b)
	status, b, _ = e.do(payer, "POST", id, "complete", nil, "")
	e.want("complete again", status, 200, b)
	if !bytes.Equal(b, receipts[0]) {
		t.Error("another receipt for the same delivery")
	}
	for _, m := range []string{"HEAD", "POST"} {
		name := map[string]string{"HEAD": envelope.ManifestName, "POST": "complete"}[m]
		status, b, _ = e.do(other, m, id, name, nil, "")
		e.want(m+" when received, as another holder", status, 404, b)
	}
}

func TestBadUploadsAreNotVisible(t *testing.T) {
	e := serve(t)
	f := e.h.deliver("payer", nil, conditions)
	id, parts, payer := e.h.idOf(f), files(t, f), e.as("payer")
	part := parts["health-0001.age"]
	for what, c := range map[string]struct {
		name   string
		body   []byte
		repr   string
		status int
	}{
		"no digest":         {"health-0001.age", part, "", 400},
		"broken digest":     {"health-0001.age", part, "sha-256=:AAAA:", 400},
		"other digest":      {"health-0001.age", part, digest([]byte("x")), 422},
		"identity part":     {"identity-0001.age", part, digest(part), 409},
		"no such name":      {"Health-0001.age", part, digest(part), 400},
		"a receipt's place": {"linkage.json", part, digest(part), 400},
	} {
		status, b, _ := e.do(payer, "PUT", id, c.name, c.body, c.repr)
		e.want(what, status, c.status, b)
	}
	status, b, _ := e.do(payer, "PUT", "0123", "health-0001.age", part, digest(part))
	e.want("no delivery id", status, 404, b)

	// The connection is cut in the middle of the body.
	conn, err := tls.Dial("tcp", e.server.Listener.Addr().String(), e.tls(e.h.holders["payer"]))
	must(t, err)
	fmt.Fprintf(conn, "PUT /v1/deliveries/%s/health-0001.age HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\nRepr-Digest: %s\r\n\r\n", id, len(part), digest(part))
	_, err = conn.Write(part[:len(part)/2])
	must(t, err)
	must(t, conn.Close())
	// A length that promises less than what comes.
	conn, err = tls.Dial("tcp", e.server.Listener.Addr().String(), e.tls(e.h.holders["payer"]))
	must(t, err)
	fmt.Fprintf(conn, "PUT /v1/deliveries/%s/health-0001.age HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\nConnection: close\r\nRepr-Digest: %s\r\n\r\n", id, len(part)-1, digest(part))
	_, err = conn.Write(part)
	must(t, err)
	_, _ = io.ReadAll(conn)
	must(t, conn.Close())
	// A body without a length that never ends.
	endless := io.MultiReader(bytes.NewReader(part), zeros{})
	r, err := http.NewRequest("PUT", e.server.URL+"/v1/deliveries/"+string(id)+"/health-0001.age", endless)
	must(t, err)
	r.Header.Set("Repr-Digest", digest(part))
	if resp, err := payer.Do(r); err == nil {
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		e.want("endless body", resp.StatusCode, 400, b)
	}
	for info := range e.h.desk.Store.List(t.Context(), "upload/") {
		t.Errorf("visible: %s", info.Name)
	}
	status, b, _ = e.do(payer, "PUT", id, "health-0001.age", part, digest(part))
	e.want("the whole part at last", status, 201, b)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAlteredUploadGoesToQuarantine(t *testing.T) {
	e := serve(t)
	f := e.h.deliver("payer", nil, conditions)
	id, parts, payer := e.h.idOf(f), files(t, f), e.as("payer")
	parts["health-0001.age"][99] ^= 1
	for n, b := range parts {
		status, body, _ := e.do(payer, "PUT", id, n, b, digest(b))
		e.want("PUT", status, 201, body)
	}
	status, b, _ := e.do(payer, "POST", id, "complete", nil, "")
	e.want("complete", status, 422, b)
	if q, err := e.h.desk.Quarantine(t.Context()); err != nil || len(q) != 1 || q[0].Holder != "payer" {
		t.Errorf("quarantine %v, %v", q, err)
	}
	for info := range e.h.desk.Store.List(t.Context(), "upload/") {
		t.Errorf("left %s", info.Name)
	}
	// The holder sends it right this time.
	parts["health-0001.age"][99] ^= 1
	for n, b := range parts {
		status, body, _ := e.do(payer, "PUT", id, n, b, digest(b))
		e.want("PUT", status, 201, body)
	}
	status, b, _ = e.do(payer, "POST", id, "complete", nil, "")
	e.want("complete at last", status, 200, b)
}

func TestOneHolderCannotBringAnothersDelivery(t *testing.T) {
	e := serve(t)
	f := e.h.deliver("payer", nil, conditions)
	id, parts, thief := e.h.idOf(f), files(t, f), e.as("chu-nord")
	for n, b := range parts {
		status, body, _ := e.do(thief, "PUT", id, n, b, digest(b))
		e.want("PUT", status, 201, body)
	}
	status, b, _ := e.do(thief, "POST", id, "complete", nil, "")
	e.want("complete", status, 409, b)
	if all, err := e.h.desk.Deliveries(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("received %v, %v", all, err)
	}
}

func TestStrangersGetNoConnection(t *testing.T) {
	e := serve(t)
	addr := e.server.Listener.Addr().String()
	dial := func(c *tls.Config) error {
		conn, err := tls.Dial("tcp", addr, c)
		if err != nil {
			return err
		}
		defer conn.Close()
		// With TLS 1.3 the server's refusal of a client comes with the first read.
		fmt.Fprintf(conn, "HEAD / HTTP/1.1\r\nHost: hub\r\n\r\n")
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	must(t, dial(e.tls(e.h.holders["payer"])))
	if dial(e.tls(sign.NewSigner())) == nil {
		t.Error("an unregistered key got in")
	}
	bare := e.tls(e.h.holders["payer"])
	bare.Certificates = nil
	if dial(bare) == nil {
		t.Error("no certificate got in")
	}
	old := e.tls(e.h.holders["payer"])
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if dial(old) == nil {
		t.Error("TLS 1.2 got in")
	}
	// And a holder does not talk to a server with another key.
	e.key = sign.NewSigner().Public()
	if dial(e.tls(e.h.holders["payer"])) == nil {
		t.Error("the client took another server for the hub")
	}
}
