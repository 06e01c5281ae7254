package blob

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// Options are what a driver needs besides the URL.
type Options struct {
	// Getenv gives the environment, where credentials may be; os.Getenv as a rule.
	Getenv func(string) string
	// Create makes the folder of a file store if it is absent. Only commands
	// that begin a hub or a demo set it: for all others an absent store is an
	// error, not a fresh start. Buckets and containers are made by whoever
	// administers them.
	Create bool
}

// Driver opens stores of one URL scheme. Implementations are in the packages
// below this one; internal/app puts them into a Registry.
type Driver interface {
	Scheme() string
	// Open gives a handle on the store at u, which ParseURL has accepted. It
	// checks everything that needs no network; a store that does not answer
	// is seen by the first operation.
	Open(ctx context.Context, u *url.URL, o Options) (Store, error)
}

// Registry opens a store by its URL. Safe for concurrent use.
type Registry struct{ drivers map[string]Driver }

// NewRegistry knows the given drivers; the last of one scheme counts.
func NewRegistry(drivers ...Driver) Registry {
	r := Registry{drivers: make(map[string]Driver, len(drivers))}
	for _, d := range drivers {
		r.drivers[d.Scheme()] = d
	}
	return r
}

// Open opens the store at a URL of one of these forms:
//
//	file:/srv/havre/store                                       a folder
//	file:store                                                  a folder, from the working folder
//	s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION      any S3 (package s3 lists its settings)
//	azblob://CONTAINER/PREFIX?account=NAME&endpoint=https://... Azure Blob (package azure lists its settings)
//
// Credentials are never part of a URL; they come from the environment or from
// the file that the setting credentials=FILE names.
func (r Registry) Open(ctx context.Context, raw string, o Options) (Store, error) {
	u, err := ParseURL(raw)
	if err != nil {
		return nil, err
	}
	d, ok := r.drivers[u.Scheme]
	if !ok {
		schemes := slices.Sorted(maps.Keys(r.drivers))
		return nil, havre.E(opOpen, havre.Invalid, fmt.Sprintf("no store is reached by %.20q", u.Scheme)).
			WithHint("a store's URL starts with one of: " + strings.Join(schemes, ":, ") + ":")
	}
	return d.Open(ctx, u, o)
}

const opOpen = "blob.open"

// ParseURL reads a store's URL and refuses one that holds credentials. No
// error repeats any part of the URL but its scheme and the names of settings,
// because what is wrong with it may be a secret.
func ParseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil { // err quotes the URL
		return nil, havre.E(opOpen, havre.Invalid, "the store's URL cannot be read").
			WithHint("write file:FOLDER, s3://BUCKET/PREFIX?endpoint=... or azblob://CONTAINER/PREFIX?account=...; a '%' in a name is written %25")
	}
	if u.Scheme == "" {
		return nil, havre.E(opOpen, havre.Invalid, "the store's URL has no scheme").
			WithHint("a folder is written file:FOLDER")
	}
	if u.Fragment != "" {
		return nil, havre.E(opOpen, havre.Invalid, "the store's URL has a part after '#'").
			WithHint("a '#' in a name is written %23")
	}
	settings, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, havre.E(opOpen, havre.Invalid, "the settings of the store's URL cannot be read").
			WithHint("after '?' come name=value pairs with '&' between them")
	}
	if u.User != nil {
		return nil, credentialsInURL()
	}
	for name, values := range settings {
		if isCredential(name) {
			return nil, credentialsInURL()
		}
		if len(values) != 1 {
			return nil, havre.E(opOpen, havre.Invalid, fmt.Sprintf("the store's URL gives the setting %.40q more than once", name))
		}
		// An endpoint is a URL too.
		if at := strings.Index(values[0], "://"); at >= 0 && strings.Contains(values[0][at:], "@") {
			return nil, credentialsInURL()
		}
	}
	return u, nil
}

func credentialsInURL() error {
	return havre.E(opOpen, havre.Invalid, "the store's URL holds credentials").
		WithHint("URLs end up in logs and shell histories: take the credentials out, replace them at the provider, and give new ones in the environment or in the file named by credentials=FILE")
}

// isCredential knows the names under which keys are passed in S3 and Azure
// URLs and connection strings.
func isCredential(setting string) bool {
	s := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(setting))
	if s == "credentials" { // names a file
		return false
	}
	for _, word := range []string{"key", "secret", "token", "password", "passwd", "signature", "credential", "connectionstring"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return s == "sig" || s == "sas" || s == "user"
}

// Settings gives the settings after '?' of a URL that ParseURL accepted. A
// setting that is not among known is an error that lists those.
func Settings(u *url.URL, known ...string) (map[string]string, error) {
	settings := make(map[string]string)
	for name, values := range u.Query() {
		if !slices.Contains(known, name) {
			hint := u.Scheme + ": URLs have no settings"
			if len(known) > 0 {
				hint = u.Scheme + ": URLs have the settings " + strings.Join(known, ", ")
			}
			return nil, havre.E(opOpen, havre.Invalid, fmt.Sprintf("the store's URL has an unknown setting %.40q", name)).WithHint(hint)
		}
		settings[name] = values[0]
	}
	return settings, nil
}
