// Package remote is what the stores behind HTTP share: how they connect, where
// their credentials come from, and how long they keep trying.
package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// Stall is how long a connection may be silent, while it is made, while a
// request is sent and while an answer is awaited or read. A slow transfer is
// no failure; a stuck one is.
const Stall = 30 * time.Second

// Client makes the HTTP client of one store. It asks for no compression and
// follows no redirect, which would take a signed request to another host.
// caFile, unless empty, names a file of PEM certificates to trust besides the
// system's.
func Client(caFile string) (*http.Client, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, havre.E(opOpen, havre.Invalid, "the file of the setting ca cannot be read").Wrap(err)
		}
		if tlsConfig.RootCAs, err = x509.SystemCertPool(); err != nil {
			return nil, havre.E(opOpen, havre.Internal, "the system's certificates cannot be read").Wrap(err)
		}
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, havre.E(opOpen, havre.Invalid, fmt.Sprintf("file %s of the setting ca holds no PEM certificate", caFile))
		}
	}
	dialer := &net.Dialer{Timeout: Stall}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			TLSClientConfig: tlsConfig,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dialer.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return stallConn{Conn: c, read: 2 * Stall, write: Stall}, nil
			},
			TLSHandshakeTimeout:   Stall,
			ResponseHeaderTimeout: 2 * Stall,
			IdleConnTimeout:       Stall,
			MaxIdleConnsPerHost:   32,
			DisableCompression:    true,
		},
	}, nil
}

// stallConn ends a transfer that has stood still for too long. The transport
// reads even while it sends and waits for an answer, so a read is given the
// time that ResponseHeaderTimeout allows.
type stallConn struct {
	net.Conn
	read, write time.Duration
}

func (c stallConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.read)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c stallConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.write)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

const opOpen = "blob.open"

// Endpoint reads the setting endpoint. Plain http is for servers on this
// machine; elsewhere it would show names and sizes to the network between.
func Endpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, havre.E(opOpen, havre.Invalid, "the setting endpoint is not a URL of a host").
			WithHint("write endpoint=https://HOST or https://HOST:PORT")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, havre.E(opOpen, havre.Refused, "the setting endpoint would send requests unencrypted to another machine").
			WithHint("use https; a private authority's certificate is named by ca=FILE")
	}
	return u, nil
}
