package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// Probe tries on one small object what Havre relies on: write once, read back,
// refuse a second write, delete. Commands that begin a hub at a store call it,
// because some S3 servers accept a conditional write and overwrite all the
// same, which would lose a snapshot much later.
func Probe(ctx context.Context, s Store) (err error) {
	const op = "blob.probe"
	name := "probe/" + strings.ToLower(rand.Text())
	first, second := []byte("first "+name), []byte("second "+name)
	if err := s.Put(ctx, name, first); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Delete(ctx, name)) }()

	switch err := s.Put(ctx, name, second); {
	case err == nil:
		return havre.E(op, havre.Refused, "the store overwrites objects: a second write to one name succeeded").
			WithHint("use a store that honours conditional writes (S3: If-None-Match on PutObject)")
	case havre.KindOf(err) != havre.Exists:
		return err
	}
	got, err := GetAll(ctx, s, name)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, first) {
		return havre.E(op, havre.Tampered, "the store gives back other bytes than were written")
	}
	return nil
}
