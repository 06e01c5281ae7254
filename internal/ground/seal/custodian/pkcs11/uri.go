package pkcs11

import (
	"net/url"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// URI names a key in a token, by RFC 7512:
//
//	pkcs11:token=LABEL;object=LABEL?module-path=/PATH/LIB.so&pin-source=file:PATH
//
// Only these attributes are taken; a PIN itself never stands in a reference.
type URI struct {
	Token     string // label of the token
	Object    string // label of the key pair
	Module    string // path of the token's library
	PINSource string // file that holds the PIN; "" = it is asked for
}

// ParseURI reads a URI and refuses what it does not know.
func ParseURI(s string) (URI, error) {
	bad := func(what string) (URI, error) {
		return URI{}, havre.E("pkcs11", havre.Invalid, "the token's reference "+what).
			WithHint("write it as pkcs11:token=LABEL;object=LABEL?module-path=/PATH/LIB.so&pin-source=file:PATH (RFC 7512)")
	}
	rest, ok := strings.CutPrefix(s, "pkcs11:")
	if !ok {
		return bad("does not begin with pkcs11:")
	}
	var u URI
	path, query, _ := strings.Cut(rest, "?")
	for _, part := range []struct {
		text, sep string
		into      map[string]*string
	}{
		{path, ";", map[string]*string{"token": &u.Token, "object": &u.Object}},
		{query, "&", map[string]*string{"module-path": &u.Module, "pin-source": &u.PINSource}},
	} {
		for _, attr := range strings.Split(part.text, part.sep) {
			if attr == "" {
				continue
			}
			name, raw, ok := strings.Cut(attr, "=")
			value, err := url.PathUnescape(raw)
			if name == "pin-value" {
				return bad("holds the PIN itself; put it into a file of its own, or let it be asked for")
			}
			into := part.into[name]
			if !ok || err != nil || into == nil || value == "" || *into != "" {
				return bad("has a part that is not known, empty or there twice: " + name)
			}
			*into = value
		}
	}
	if u.Token == "" || u.Object == "" || u.Module == "" {
		return bad("names no token, no object or no module-path")
	}
	if u.PINSource != "" {
		if u.PINSource, ok = strings.CutPrefix(u.PINSource, "file:"); !ok || u.PINSource == "" {
			return bad("has a pin-source that is no file:PATH")
		}
	}
	return u, nil
}
