// Package s3 keeps a blob.Store in a bucket of any S3 server that honours
// If-None-Match on PutObject.
//
// The life of one object:
//
//  1. Put sends all bytes in one PutObject with If-None-Match: *. The server
//     stores the whole object and answers 200, or has one by that name and
//     answers 412, which is kind Exists; there is no multipart upload that
//     could be left half way.
//  2. If the connection breaks or the server is busy, Put sends it again. When
//     the server then says 412 although its first answer was lost, Put reads
//     the object back and compares.
//  3. Get asks for a range and holds the answer's Content-Range and length
//     against it; a broken transfer is repeated. ETags and checksums of the
//     server are not looked at: what the bytes are worth, their reader knows
//     from their hash or seal.
//  4. List takes pages of 1,000 names, each continuing after the last name
//     seen, and fails if a name comes out of order.
//  5. Delete is DeleteObject. In a bucket with versions the bytes stay until
//     the bucket's own rules remove them.
//
// The bucket must exist; Havre makes none and changes no setting of one.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/remote"
	"github.com/havre-hub/havre/internal/havre"
)

// Driver opens s3: URLs.
type Driver struct{}

// Scheme is "s3".
func (Driver) Scheme() string { return "s3" }

// Open opens s3://BUCKET/PREFIX?SETTINGS. PREFIX may be absent. Settings:
//
//	endpoint=https://HOST[:PORT]  the server; always needed, no provider is assumed
//	region=NAME                   part of the signature; us-east-1 if absent, which most servers expect
//	lookup=path|dns               HOST/BUCKET (the default) or BUCKET.HOST
//	ca=FILE                       PEM certificates to trust besides the system's
//	credentials=FILE              lines NAME=value in place of the environment
//
// Credentials are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary
// ones, AWS_SESSION_TOKEN.
func (Driver) Open(_ context.Context, u *url.URL, o blob.Options) (blob.Store, error) {
	c, err := parse(u)
	if err != nil {
		return nil, err
	}
	const id, secret, session = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
	keys, err := remote.Credentials(o.Getenv, c.credentials, id, secret, session+"?")
	if err != nil {
		return nil, err
	}
	httpClient, err := remote.Client(c.ca)
	if err != nil {
		return nil, err
	}
	client, err := minio.New(c.endpoint.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(string(keys[id].Reveal()), string(keys[secret].Reveal()), string(keys[session].Reveal())),
		Secure:       c.endpoint.Scheme == "https",
		Region:       c.region,
		BucketLookup: c.lookup,
		Transport:    httpClient.Transport, // the library makes its own client, which follows no redirect
		MaxRetries:   1,                    // remote.Try repeats
	})
	if err != nil {
		return nil, havre.E("blob.open", havre.Invalid, "the S3 server's address is not acceptable").Wrap(err)
	}
	return &Store{client: minio.Core{Client: client}, config: c, http: httpClient}, nil
}

type config struct {
	bucket, prefix string // prefix ends with "/" or is empty
	endpoint       *url.URL
	region         string
	lookup         minio.BucketLookupType
	ca             string
	credentials    string
}

func parse(u *url.URL) (config, error) {
	const op = "blob.open"
	settings, err := blob.Settings(u, "endpoint", "region", "lookup", "ca", "credentials")
	if err != nil {
		return config{}, err
	}
	c := config{bucket: u.Host, region: settings["region"], ca: settings["ca"], credentials: settings["credentials"]}
	if err := s3utils.CheckValidBucketNameStrict(c.bucket); err != nil {
		return config{}, havre.E(op, havre.Invalid, "the store's URL does not name a bucket as S3 has them").
			WithHint("write s3://BUCKET/PREFIX?endpoint=https://HOST").Wrap(err)
	}
	if c.prefix, err = remote.Prefix(u); err != nil {
		return config{}, err
	}
	if settings["endpoint"] == "" {
		return config{}, havre.E(op, havre.Invalid, "the store's URL does not say which S3 server").
			WithHint("add endpoint=https://HOST to its settings")
	}
	if c.endpoint, err = remote.Endpoint(settings["endpoint"]); err != nil {
		return config{}, err
	}
	if strings.Trim(c.endpoint.Path, "/") != "" {
		return config{}, havre.E(op, havre.Invalid, "the setting endpoint of an S3 store has a path").
			WithHint("write endpoint=https://HOST; bucket and prefix come before the '?'")
	}
	if c.region == "" {
		c.region = "us-east-1"
	}
	switch settings["lookup"] {
	case "", "path":
		c.lookup = minio.BucketLookupPath
	case "dns":
		c.lookup = minio.BucketLookupDNS
	default:
		return config{}, havre.E(op, havre.Invalid, "the setting lookup is neither path nor dns")
	}
	return c, nil
}

// Store is a bucket, or what is under a prefix of one. Safe for concurrent use.
type Store struct {
	client minio.Core
	config config
	http   *http.Client
}

var _ blob.Store = (*Store)(nil)

// CloseIdleConnections is what blob.Rest calls.
func (s *Store) CloseIdleConnections() { s.http.CloseIdleConnections() }

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	const op = "blob.put"
	if err := blob.CheckPut(op, name, data); err != nil {
		return err
	}
	// The body is protected by TLS, not by a signature of its own, as this
	// library does it over https in any case.
	opts := minio.PutObjectOptions{DisableMultipart: true, DisableContentSha256: true}
	opts.SetMatchETagExcept("*")
	return remote.Written(ctx, s, name, data, func() error {
		_, err := s.client.Client.PutObject(ctx, s.config.bucket, s.config.prefix+name, bytes.NewReader(data), int64(len(data)), opts)
		return s.failure(op, name, err)
	})
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	const op = "blob.get"
	if err := blob.CheckRange(op, name, off, n); err != nil {
		return nil, err
	}
	if n == 0 { // HTTP has no empty range
		return remote.Empty(ctx, s, name, off, n)
	}
	var opts minio.GetObjectOptions
	switch {
	case n > 0:
		opts.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case off > 0:
		opts.Set("Range", fmt.Sprintf("bytes=%d-", off))
	}
	data, err := remote.Try(ctx, func() ([]byte, error) {
		body, info, header, err := s.client.GetObject(ctx, s.config.bucket, s.config.prefix+name, opts)
		if err != nil {
			return nil, s.failure(op, name, err)
		}
		return remote.ReadPart(remote.Part{Name: name, Off: off, N: n, Length: info.Size,
			ContentRange: header.Get("Content-Range"), Body: body})
	})
	if errors.Is(err, remote.ErrNoSuchRange) {
		return remote.Empty(ctx, s, name, off, n)
	}
	return data, err
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, name string) (blob.Info, error) {
	const op = "blob.stat"
	if err := blob.CheckName(op, name); err != nil {
		return blob.Info{}, err
	}
	return remote.Try(ctx, func() (blob.Info, error) {
		info, err := s.client.StatObject(ctx, s.config.bucket, s.config.prefix+name, minio.StatObjectOptions{})
		err = s.failure(op, name, err)
		if havre.KindOf(err) == havre.NotFound {
			// A HEAD's 404 does not say whether object or bucket is missing.
			ok, bucketErr := s.client.BucketExists(ctx, s.config.bucket)
			if bucketErr != nil {
				return blob.Info{}, s.failure(op, name, bucketErr)
			}
			if !ok {
				return blob.Info{}, s.noBucket(op, nil)
			}
		}
		if err != nil {
			return blob.Info{}, err
		}
		return blob.Info{Name: name, Size: info.Size, Modified: info.LastModified.UTC()}, nil
	})
}

// pageSize is what S3 gives at most.
const pageSize = 1000

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	const op = "blob.list"
	return func(yield func(blob.Info, error) bool) {
		if err := blob.CheckPrefix(op, prefix); err != nil {
			yield(blob.Info{}, err)
			return
		}
		var order remote.Listed
		for after := ""; ; {
			page, err := remote.Try(ctx, func() ([]minio.ObjectInfo, error) { return s.page(ctx, prefix, after) })
			if err != nil {
				yield(blob.Info{}, err)
				return
			}
			for _, o := range page {
				if err := order.Next(o.Key); err != nil {
					yield(blob.Info{}, err)
					return
				}
				name, ours := strings.CutPrefix(o.Key, s.config.prefix)
				if !ours || !blob.ValidName(name) || !strings.HasPrefix(name, prefix) {
					continue // of another user of the bucket
				}
				if !yield(blob.Info{Name: name, Size: o.Size, Modified: o.LastModified.UTC()}, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			after = page[len(page)-1].Key
		}
	}
}

// page gives the next objects after a key; fewer than pageSize are the last.
func (s *Store) page(ctx context.Context, prefix, after string) ([]minio.ObjectInfo, error) {
	page := make([]minio.ObjectInfo, 0, pageSize)
	for o := range s.client.ListObjectsIter(ctx, s.config.bucket, minio.ListObjectsOptions{
		Prefix: s.config.prefix + prefix, Recursive: true, StartAfter: after, MaxKeys: pageSize,
	}) {
		if o.Err != nil {
			return nil, s.failure("blob.list", prefix, o.Err)
		}
		if page = append(page, o); len(page) == pageSize {
			break // before the library asks for more
		}
	}
	return page, ctx.Err()
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	const op = "blob.delete"
	if err := blob.CheckName(op, name); err != nil {
		return err
	}
	_, err := remote.Try(ctx, func() (struct{}, error) {
		err := s.client.RemoveObject(ctx, s.config.bucket, s.config.prefix+name, minio.RemoveObjectOptions{})
		return struct{}{}, s.failure(op, name, err)
	})
	if havre.KindOf(err) == havre.NotFound {
		return nil
	}
	return err
}

func (s *Store) noBucket(op string, err error) error {
	return remote.Final(havre.E(op, havre.StoreUnavailable, fmt.Sprintf("bucket %s does not exist at %s", s.config.bucket, s.config.endpoint.Host)).
		WithHint("check the store's URL; a bucket is made with the provider's own tools").Wrap(err))
}

// failure gives an error of the server or the connection its kind.
func (s *Store) failure(op, name string, err error) error {
	if err == nil {
		return nil
	}
	answer, answered := errors.AsType[minio.ErrorResponse](err)
	if !answered {
		return remote.Unreachable(op, s.config.endpoint.Host, err)
	}
	switch answer.Code {
	case minio.NoSuchKey:
		return havre.E(op, havre.NotFound, fmt.Sprintf("object %s does not exist", name)).Wrap(err)
	case minio.NoSuchBucket:
		return s.noBucket(op, err)
	case minio.PreconditionFailed:
		return havre.E(op, havre.Exists, fmt.Sprintf("object %s is there already", name)).Wrap(err)
	case "ConditionalRequestConflict": // a racing write is not settled yet
		answer.StatusCode = http.StatusServiceUnavailable
	case "QuotaExceeded", "XMinioStorageFull":
		answer.StatusCode = http.StatusInsufficientStorage
	}
	return remote.Answered(op, name, s.config.endpoint.Host, answer.StatusCode, err)
}
