package worker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// maxBody bounds what a sealed document may unpack to, in bytes.
const maxBody = 1 << 30

var (
	zip, _   = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)) // these options cannot fail
	unzip, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody))
)

// pack makes a sealed document: a signed head (one line), then the body,
// compressed. The head names the body by its SHA-256, which the caller puts
// there. A document without a body has no more than the head.
func pack(kind string, head any, body []byte, s *sign.Signer, to ...seal.Recipient) ([]byte, error) {
	plain, err := sign.Sign(kind, head, s)
	if err != nil {
		return nil, err
	}
	if body != nil {
		plain = zip.EncodeAll(body, plain)
	}
	return seal.Seal(plain, to...)
}

// unpack opens what pack made into head, which has the type that was packed,
// and gives the body and who signed. The caller compares the body's hash.
func unpack(sealed []byte, kind string, head any, k *seal.Key, signers ...sign.PublicKey) ([]byte, sign.PublicKey, error) {
	plain, err := seal.Open(sealed, k)
	if err != nil {
		return nil, sign.PublicKey{}, err
	}
	end := bytes.IndexByte(plain, '\n') + 1
	by, err := sign.Verify(plain[:end], kind, head, signers...)
	if err != nil {
		return nil, by, err
	}
	if end == len(plain) {
		return nil, by, nil
	}
	body, err := unzip.DecodeAll(plain[end:], nil)
	if err != nil {
		return nil, by, havre.E("worker.document", havre.Tampered, "the body of a sealed document is damaged").Wrap(err)
	}
	return body, by, nil
}

// sealBody and openBody are for documents that another one names by their hash.
func sealBody(v any, to ...seal.Recipient) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, havre.E("worker.document", havre.Internal, "a document has no JSON form").Wrap(err)
	}
	return seal.Seal(zip.EncodeAll(body, nil), to...)
}

func openBody(sealed []byte, v any, k *seal.Key) error {
	plain, err := seal.Open(sealed, k)
	if err != nil {
		return err
	}
	body, err := unzip.DecodeAll(plain, nil)
	if err != nil {
		return havre.E("worker.document", havre.Tampered, "a sealed document is damaged").Wrap(err)
	}
	return strict(body, v)
}

func strict(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil || d.More() {
		return havre.E("worker.document", havre.Tampered, "a sealed document does not have the fields of its type").Wrap(err)
	}
	return nil
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
