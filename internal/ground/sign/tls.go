package sign

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// Certificate wraps a signing key in a self-signed TLS certificate. It proves
// nothing but the key: both ends pin each other's public key (ServerTLS,
// ClientTLS), so no certificate authority and no date takes part in trust.
func Certificate(s *Signer) (tls.Certificate, error) {
	if s == nil {
		return tls.Certificate{}, havre.E("sign.tls", havre.KeyUnavailable, "there is no key for the TLS certificate")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: s.Public().ID()},
		NotBefore:    time.Unix(0, 0).UTC(),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280: no expiry
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.k.Public(), s.k)
	if err != nil {
		return tls.Certificate{}, havre.E("sign.tls", havre.Internal, "the TLS certificate cannot be made").Wrap(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: s.k}, nil
}

// ServerTLS is TLS 1.3 for a server that talks only to clients whose key
// allowed accepts; allowed is asked at each connection.
func ServerTLS(own tls.Certificate, allowed func(PublicKey) bool) *tls.Config {
	return &tls.Config{
		MinVersion:       tls.VersionTLS13,
		Certificates:     []tls.Certificate{own},
		ClientAuth:       tls.RequireAnyClientCert,
		VerifyConnection: pinned(allowed),
	}
}

// ClientTLS is TLS 1.3 for a client that talks only to the server with that key.
func ClientTLS(own tls.Certificate, server PublicKey) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{own},
		// Names and authorities are not looked at: the key itself is, below.
		InsecureSkipVerify: true,
		VerifyConnection:   pinned(func(k PublicKey) bool { return server.k != nil && k.k.Equal(server.k) }),
	}
}

// PeerKey is the public key of the other end of a connection, false if it has
// none of this kind.
func PeerKey(state tls.ConnectionState) (PublicKey, bool) {
	if len(state.PeerCertificates) == 0 {
		return PublicKey{}, false
	}
	k, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	return PublicKey{k}, ok
}

func pinned(allowed func(PublicKey) bool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		k, ok := PeerKey(state)
		if !ok || !allowed(k) {
			return havre.E("sign.tls", havre.Tampered, "the other end of the connection does not have the key it should have").
				WithHint("check the public key on record for it")
		}
		return nil
	}
}
