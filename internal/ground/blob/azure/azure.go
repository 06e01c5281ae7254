// Package azure keeps a blob.Store in a container of Azure Blob Storage.
//
// The life of one object:
//
//  1. Put sends all bytes in one Put Blob with If-None-Match: *. The service
//     stores the whole block blob and answers 201, or has one by that name and
//     answers 409, which is kind Exists; no uncommitted blocks are ever left.
//  2. If the connection breaks or the service is busy, Put sends it again. When
//     the service then says 409 although its first answer was lost, Put reads
//     the object back and compares.
//  3. Get asks for a range and holds the answer's Content-Range and length
//     against it; a broken transfer is repeated. ETags and checksums of the
//     service are not looked at: what the bytes are worth, their reader knows
//     from their hash or seal.
//  4. List takes pages of up to 5,000 names by the service's own marker, and
//     fails if a name comes out of order.
//  5. Delete is Delete Blob. Where soft delete or versions are switched on, the
//     bytes stay until the account's own rules remove them.
//
// The container must exist; Havre makes none and changes no setting of one.
// Requests carry no telemetry.
package azure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	azblobs "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/remote"
	"github.com/havre-hub/havre/internal/havre"
)

// Driver opens azblob: URLs.
type Driver struct{}

// Scheme is "azblob".
func (Driver) Scheme() string { return "azblob" }

// Open opens azblob://CONTAINER/PREFIX?SETTINGS. PREFIX may be absent. Settings:
//
//	account=NAME       the storage account; else AZURE_STORAGE_ACCOUNT
//	endpoint=URL       the account's blob service; https://NAME.blob.core.windows.net if absent
//	ca=FILE            PEM certificates to trust besides the system's
//	credentials=FILE   lines NAME=value in place of the environment
//
// The account's key is AZURE_STORAGE_KEY.
func (Driver) Open(_ context.Context, u *url.URL, o blob.Options) (blob.Store, error) {
	const op = "blob.open"
	c, err := parse(u)
	if err != nil {
		return nil, err
	}
	const account, key = "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY"
	names := []string{key}
	if c.account == "" {
		names = append(names, account)
	}
	keys, err := remote.Credentials(o.Getenv, c.credentials, names...)
	if err != nil {
		return nil, err
	}
	if c.account == "" {
		if c.account = string(keys[account].Reveal()); !accountName.MatchString(c.account) {
			return nil, badAccount()
		}
	}
	if c.endpoint == nil {
		c.endpoint = &url.URL{Scheme: "https", Host: c.account + ".blob.core.windows.net"}
	}
	credential, err := azblob.NewSharedKeyCredential(c.account, string(keys[key].Reveal()))
	if err != nil { // err may quote the key
		return nil, havre.E(op, havre.KeyUnavailable, "AZURE_STORAGE_KEY is not an account key").
			WithHint("an account key is base64 text")
	}
	httpClient, err := remote.Client(c.ca)
	if err != nil {
		return nil, err
	}
	client, err := container.NewClientWithSharedKeyCredential(c.endpoint.JoinPath(c.container).String(), credential,
		&container.ClientOptions{ClientOptions: azcore.ClientOptions{
			Transport: httpClient,
			Retry:     policy.RetryOptions{MaxRetries: -1}, // remote.Try repeats
			Telemetry: policy.TelemetryOptions{Disabled: true},
		}})
	if err != nil {
		return nil, havre.E(op, havre.Invalid, "the address of the Azure blob service is not acceptable").Wrap(err)
	}
	return &Store{client: client, config: c, http: httpClient}, nil
}

type config struct {
	container, prefix string   // prefix ends with "/" or is empty
	account           string   // "" if the environment names it
	endpoint          *url.URL // nil for the account's own
	ca                string
	credentials       string
}

var (
	containerName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	accountName   = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
)

func badAccount() error {
	return havre.E("blob.open", havre.Invalid, "the Azure storage account has not a name as accounts have them").
		WithHint("3 to 24 letters and digits, by account=NAME or AZURE_STORAGE_ACCOUNT")
}

func parse(u *url.URL) (config, error) {
	settings, err := blob.Settings(u, "account", "endpoint", "ca", "credentials")
	if err != nil {
		return config{}, err
	}
	c := config{container: u.Host, account: settings["account"], ca: settings["ca"], credentials: settings["credentials"]}
	if !containerName.MatchString(c.container) || len(c.container) < 3 || len(c.container) > 63 {
		return config{}, havre.E("blob.open", havre.Invalid, "the store's URL does not name a container as Azure has them").
			WithHint("write azblob://CONTAINER/PREFIX?account=NAME; a container has 3 to 63 lower-case letters, digits and single hyphens")
	}
	if c.account != "" && !accountName.MatchString(c.account) {
		return config{}, badAccount()
	}
	if c.prefix, err = remote.Prefix(u); err != nil {
		return config{}, err
	}
	if settings["endpoint"] != "" {
		if c.endpoint, err = remote.Endpoint(settings["endpoint"]); err != nil {
			return config{}, err
		}
	}
	return c, nil
}

// Store is a container, or what is under a prefix of one. Safe for concurrent use.
type Store struct {
	client *container.Client
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
	anything := azcore.ETagAny
	opts := &blockblob.UploadOptions{AccessConditions: &azblobs.AccessConditions{
		ModifiedAccessConditions: &azblobs.ModifiedAccessConditions{IfNoneMatch: &anything},
	}}
	return remote.Written(ctx, s, name, data, func() error {
		_, err := s.client.NewBlockBlobClient(s.config.prefix+name).Upload(ctx, streaming.NopCloser(bytes.NewReader(data)), opts)
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
	opts := &azblobs.DownloadStreamOptions{Range: azblobs.HTTPRange{Offset: off, Count: max(n, 0)}} // 0 is "to the end"
	data, err := remote.Try(ctx, func() ([]byte, error) {
		answer, err := s.client.NewBlobClient(s.config.prefix+name).DownloadStream(ctx, opts)
		if err != nil {
			return nil, s.failure(op, name, err)
		}
		return remote.ReadPart(remote.Part{Name: name, Off: off, N: n, Length: value(answer.ContentLength, -1),
			ContentRange: value(answer.ContentRange, ""), Body: answer.Body})
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
		p, err := s.client.NewBlobClient(s.config.prefix+name).GetProperties(ctx, nil)
		if err != nil {
			return blob.Info{}, s.failure(op, name, err)
		}
		if p.ContentLength == nil {
			return blob.Info{}, s.incomplete(op)
		}
		info := blob.Info{Name: name, Size: *p.ContentLength}
		if p.LastModified != nil {
			info.Modified = p.LastModified.UTC()
		}
		return info, nil
	})
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	const op = "blob.list"
	return func(yield func(blob.Info, error) bool) {
		if err := blob.CheckPrefix(op, prefix); err != nil {
			yield(blob.Info{}, err)
			return
		}
		var order remote.Listed
		for marker, more := "", true; more; {
			page, err := remote.Try(ctx, func() (container.ListBlobsFlatResponse, error) { return s.page(ctx, prefix, marker) })
			if err != nil {
				yield(blob.Info{}, err)
				return
			}
			for _, item := range page.Segment.BlobItems {
				info, ours, err := s.item(item, prefix)
				if err == nil && ours {
					err = order.Next(info.Name)
				}
				switch {
				case err != nil:
					yield(blob.Info{}, err)
					return
				case ours && !yield(info, nil):
					return
				}
			}
			next := value(page.NextMarker, "")
			more, marker = next != "" && next != marker, next
		}
	}
}

// page gets one page of a listing. The library's pager is of no use after a
// failure, so each page has its own.
func (s *Store) page(ctx context.Context, prefix, marker string) (container.ListBlobsFlatResponse, error) {
	const op = "blob.list"
	full := s.config.prefix + prefix
	opts := &container.ListBlobsFlatOptions{Prefix: &full, ResponseFormat: container.StorageResponseFormatXML}
	if marker != "" {
		opts.Marker = &marker
	}
	page, err := s.client.NewListBlobsFlatPager(opts).NextPage(ctx)
	if err == nil && page.Segment == nil {
		return page, s.incomplete(op)
	}
	return page, s.failure(op, prefix, err)
}

// item reads one line of a listing; ours is false for objects that other users
// of the container put there.
func (s *Store) item(item *container.BlobItem, prefix string) (info blob.Info, ours bool, err error) {
	if item.Name == nil || item.Properties == nil || item.Properties.ContentLength == nil {
		return blob.Info{}, false, s.incomplete("blob.list")
	}
	name, ours := strings.CutPrefix(*item.Name, s.config.prefix)
	info = blob.Info{Name: name, Size: *item.Properties.ContentLength}
	if item.Properties.LastModified != nil {
		info.Modified = item.Properties.LastModified.UTC()
	}
	return info, ours && blob.ValidName(name) && strings.HasPrefix(name, prefix), nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	const op = "blob.delete"
	if err := blob.CheckName(op, name); err != nil {
		return err
	}
	_, err := remote.Try(ctx, func() (struct{}, error) {
		_, err := s.client.NewBlobClient(s.config.prefix+name).Delete(ctx, nil)
		return struct{}{}, s.failure(op, name, err)
	})
	if havre.KindOf(err) == havre.NotFound {
		return nil
	}
	return err
}

func (s *Store) incomplete(op string) error {
	return havre.E(op, havre.StoreUnavailable, fmt.Sprintf("the store at %s gives an answer with parts missing", s.host()))
}

func (s *Store) host() string { return s.config.endpoint.Host }

// failure gives an error of the service or the connection its kind.
func (s *Store) failure(op, name string, err error) error {
	if err == nil {
		return nil
	}
	answer, answered := errors.AsType[*azcore.ResponseError](err)
	if !answered {
		return remote.Unreachable(op, s.host(), err)
	}
	cause := fmt.Errorf("%d %s", answer.StatusCode, answer.ErrorCode) // the whole error repeats the request, over many lines
	switch bloberror.Code(answer.ErrorCode) {
	case bloberror.BlobNotFound:
		return havre.E(op, havre.NotFound, fmt.Sprintf("object %s does not exist", name)).Wrap(cause)
	case bloberror.BlobAlreadyExists, bloberror.ConditionNotMet, bloberror.BlobImmutableDueToPolicy:
		if op == "blob.put" {
			return havre.E(op, havre.Exists, fmt.Sprintf("object %s is there already", name)).Wrap(cause)
		}
	case bloberror.ContainerNotFound:
		return remote.Final(havre.E(op, havre.StoreUnavailable, fmt.Sprintf("container %s does not exist at %s", s.config.container, s.host())).
			WithHint("check the store's URL; a container is made with the provider's own tools").Wrap(cause))
	}
	return remote.Answered(op, name, s.host(), answer.StatusCode, cause)
}

func value[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}
