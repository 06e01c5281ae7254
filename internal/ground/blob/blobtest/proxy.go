package blobtest

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a store and its server and does to requests what
// networks and bad servers do. It passes what no fault is set for.
type Proxy struct {
	URL string // its base URL

	upstream *url.URL
	mu       sync.Mutex
	faults   []Fault
	seen     int
}

// Fault answers one request in place of the proxy. forward sends it on to the
// server and gives the answer.
type Fault func(w http.ResponseWriter, r *http.Request, forward func() *http.Response)

// StartProxy starts a proxy before the server at the base URL upstream.
func StartProxy(t testing.TB, upstream string) *Proxy {
	p, _ := startProxy(t, upstream, (*httptest.Server).Start)
	return p
}

// StartTLSProxy is StartProxy over TLS; the server gives its certificate.
func StartTLSProxy(t testing.TB, upstream string) (*Proxy, *httptest.Server) {
	return startProxy(t, upstream, (*httptest.Server).StartTLS)
}

func startProxy(t testing.TB, upstream string, start func(*httptest.Server)) (*Proxy, *httptest.Server) {
	t.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{upstream: u}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // broken connections are what it is for
	start(server)
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p, server
}

// Next sets the faults of the next requests, one each, in place of those that
// were set and not used.
func (p *Proxy) Next(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults
	p.seen = 0
}

// Always repeats one fault for ever.
func (p *Proxy) Always(f Fault) {
	var again Fault
	again = func(w http.ResponseWriter, r *http.Request, forward func() *http.Response) {
		p.mu.Lock()
		p.faults = append(p.faults, again)
		p.mu.Unlock()
		f(w, r, forward)
	}
	p.Next(again, again, again, again)
}

// Seen is how many requests have come since Next.
func (p *Proxy) Seen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	fault := Pass
	if len(p.faults) > 0 {
		fault, p.faults = p.faults[0], p.faults[1:]
	}
	p.seen++
	p.mu.Unlock()
	fault(w, r, func() *http.Response { return p.forward(r) })
}

// forward sends the request on as it came: its signature covers Host and path.
func (p *Proxy) forward(r *http.Request) *http.Response {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = p.upstream.Scheme, p.upstream.Host, ""
	resp, err := direct.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler) // the client sees a cut connection
	}
	return resp
}

// direct keeps no connections, so that one proxy's faults stay its own.
var direct = &http.Transport{DisableKeepAlives: true, DisableCompression: true}

// Pass is no fault.
func Pass(w http.ResponseWriter, _ *http.Request, forward func() *http.Response) {
	answer(w, forward(), nil)
}

// answer passes an answer on after edit has had it.
func answer(w http.ResponseWriter, resp *http.Response, edit func(*http.Response)) {
	defer resp.Body.Close()
	if edit != nil {
		edit(resp)
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// CutUpload ends the connection after n bytes of the request's body; the server
// gets nothing.
func CutUpload(n int64) Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ func() *http.Response) {
		_, _ = io.CopyN(io.Discard, r.Body, n)
		panic(http.ErrAbortHandler)
	}
}

// CutUploadAtServer passes n bytes of the request's body to the server and then
// ends both connections.
func CutUploadAtServer(n int64) Fault {
	return func(_ http.ResponseWriter, r *http.Request, forward func() *http.Response) {
		r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, n), brokenReader{}))
		forward()
		panic(http.ErrAbortHandler)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// CutDownload ends the connection after n bytes of the answer's body.
func CutDownload(n int64) Fault {
	return func(w http.ResponseWriter, _ *http.Request, forward func() *http.Response) {
		answer(w, forward(), func(resp *http.Response) {
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(resp.Body, n), brokenReader{}), resp.Body}
		})
	}
}

// LoseAnswer lets the server act and ends the connection in place of its answer.
func LoseAnswer(_ http.ResponseWriter, _ *http.Request, forward func() *http.Response) {
	resp := forward()
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	panic(http.ErrAbortHandler)
}

// Status answers with an HTTP status and no more; the server gets nothing.
func Status(code int) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ func() *http.Response) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
	}
}

// Slow holds the answer back.
func Slow(d time.Duration) Fault {
	return func(w http.ResponseWriter, _ *http.Request, forward func() *http.Response) {
		resp := forward()
		time.Sleep(d)
		answer(w, resp, nil)
	}
}

// Short answers with n bytes fewer than the server gave and a length that
// hides it.
func Short(n int64) Fault {
	return func(w http.ResponseWriter, _ *http.Request, forward func() *http.Response) {
		answer(w, forward(), func(resp *http.Response) {
			length := max(resp.ContentLength-n, 0)
			resp.Header.Set("Content-Length", strconv.FormatInt(length, 10))
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.LimitReader(resp.Body, length), resp.Body}
		})
	}
}

// Whole answers with as many bytes as the whole object has, as if no part had
// been asked for.
func Whole(w http.ResponseWriter, _ *http.Request, forward func() *http.Response) {
	answer(w, forward(), func(resp *http.Response) {
		_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
		n, _ := strconv.Atoi(total) // 0 if it was the whole object
		resp.StatusCode = http.StatusOK
		resp.Header.Del("Content-Range")
		resp.Header.Set("Content-Length", strconv.Itoa(n))
		resp.Body = io.NopCloser(bytes.NewReader(make([]byte, n)))
	})
}

// Agree gives a fault that says yes to everything, in the words of the server's
// last yes.
func Agree() Fault {
	yes := http.StatusOK
	return func(w http.ResponseWriter, _ *http.Request, forward func() *http.Response) {
		answer(w, forward(), func(resp *http.Response) {
			if resp.StatusCode < http.StatusMultipleChoices {
				yes = resp.StatusCode
				return
			}
			resp.StatusCode = yes
			resp.Header.Set("Content-Length", "0")
			resp.Body = http.NoBody
		})
	}
}

// Hang takes the request and gives no answer.
func Hang(_ http.ResponseWriter, r *http.Request, _ func() *http.Response) {
	_, _ = io.Copy(io.Discard, r.Body) // only then does the server see the client go
	<-r.Context().Done()
}

// WithoutLength hides how long the answer is.
func WithoutLength(w http.ResponseWriter, _ *http.Request, forward func() *http.Response) {
	answer(w, forward(), func(resp *http.Response) { resp.Header.Del("Content-Length") })
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}
