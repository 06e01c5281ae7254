package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
)

// once leaves no connection behind.
var once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// place is the bucket or container that every server has.
const place = "havre"

// Server is a running object store with one empty bucket or container.
type Server struct {
	// Endpoint is the base URL, http://127.0.0.1:PORT.
	Endpoint string

	scheme string // of store URLs
	// path of the account at the endpoint, and settings of store URLs besides it
	account  string
	settings url.Values
	env      map[string]string
	command  func(port string) *exec.Cmd
	process  *process
}

// S3 starts versitygw on the folder, which should be empty, as an S3 server.
func S3(ctx context.Context, folder string) (*Server, error) {
	program, err := versitygw(ctx)
	if err != nil {
		return nil, err
	}
	// A folder is a bucket. What versitygw notes of objects goes to a second
	// folder, as not every file system has extended attributes; with no notes
	// at all it would ignore If-None-Match.
	buckets, notes := filepath.Join(folder, "buckets"), filepath.Join(folder, "notes")
	for _, dir := range []string{filepath.Join(buckets, place), notes} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	s := &Server{scheme: "s3", env: map[string]string{"AWS_ACCESS_KEY_ID": rand.Text(), "AWS_SECRET_ACCESS_KEY": rand.Text()}}
	err = s.start(ctx, func(port string) *exec.Cmd {
		cmd := exec.Command(program, "--port", "127.0.0.1:"+port, "--quiet", "--keep-alive", "posix", "--sidecar", notes, buckets)
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.env["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY="+s.env["AWS_SECRET_ACCESS_KEY"])
		return cmd
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Azure starts Azurite's blob service with everything in its memory. folder is
// its working folder.
func Azure(ctx context.Context, folder string) (*Server, error) {
	const account = "havretest"
	script, err := azurite(ctx)
	if err != nil {
		return nil, err
	}
	key := make([]byte, 64)
	_, _ = rand.Read(key) // never fails
	secret := base64.StdEncoding.EncodeToString(key)
	s := &Server{scheme: "azblob", account: "/" + account, settings: url.Values{"account": {account}},
		env: map[string]string{"AZURE_STORAGE_KEY": secret}}
	err = s.start(ctx, func(port string) *exec.Cmd {
		cmd := exec.Command("node", script, "--blobHost", "127.0.0.1", "--blobPort", port,
			"--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry")
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+account+":"+secret)
		return cmd
	})
	if err != nil {
		return nil, err
	}
	credential, err := azblob.NewSharedKeyCredential(account, secret)
	if err == nil {
		var client *azblob.Client
		if client, err = azblob.NewClientWithSharedKeyCredential(s.Endpoint+s.account, credential, &azblob.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: once}}); err == nil {
			_, err = client.CreateContainer(ctx, place, nil)
		}
	}
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("make a container in Azurite: %w", err)
	}
	return s, nil
}

// URL is the store's URL for a prefix within the bucket or container.
func (s *Server) URL(prefix string) string { return s.URLThrough(s.Endpoint, prefix) }

// URLThrough is URL for a server that is reached by another base URL, such as
// that of a proxy.
func (s *Server) URLThrough(endpoint, prefix string) string {
	settings := url.Values{"endpoint": {endpoint + s.account}}
	for name, value := range s.settings {
		settings[name] = value
	}
	return (&url.URL{Scheme: s.scheme, Host: place, Path: "/" + prefix, RawQuery: settings.Encode()}).String()
}

// Getenv gives the environment that holds the server's credentials.
func (s *Server) Getenv(name string) string { return s.env[name] }

// Credentials gives that environment whole.
func (s *Server) Credentials() map[string]string { return maps.Clone(s.env) }

// Stop ends the server.
func (s *Server) Stop() { s.process.stop() }

// Restart runs the server again where it was, after Stop, with what it held on
// disk. It fails if another process has taken its port.
func (s *Server) Restart(ctx context.Context) error {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return err
	}
	if s.process, err = run(s.command(u.Port())); err != nil {
		return err
	}
	return s.process.answers(ctx, s.Endpoint)
}

// start runs the server on a free port and waits until it answers. Between
// finding a port and using it another process may take it, so it tries again.
func (s *Server) start(ctx context.Context, command func(port string) *exec.Cmd) error {
	s.command = command
	var err error
	for range 3 {
		var port string
		if port, err = freePort(); err != nil {
			return err
		}
		if s.process, err = run(command(port)); err != nil {
			return err
		}
		s.Endpoint = "http://127.0.0.1:" + port
		if err = s.process.answers(ctx, s.Endpoint); err == nil {
			return nil
		}
		s.process.stop()
	}
	return err
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// process is a child that dies with this process, however that ends.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer  // read only after ended
	ended  chan struct{} // closed when the child has ended
}

func run(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig fires when the thread that started the child ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // a server that is killed has no other result
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// answers waits until the server answers HTTP requests.
func (p *process) answers(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
		if err != nil {
			return err
		}
		if resp, err := once.Do(req); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", p.cmd.Path, p.output.String())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", p.cmd.Path, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}
