package custodian

import (
	"strings"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

const kindBoth = "both"

// both is two custodians of whom neither opens alone: what the one wraps, the
// other wraps again. A token with a hybrid key file is hardware-bound and safe
// against quantum computers at once.
type both struct{ outer, inner seal.Custodian }

var _ seal.Renewable = both{}

func openBoth(refs []string, p Place, open func(string, Place) (seal.Custodian, error)) (seal.Custodian, error) {
	c, err := open(refs[0], p)
	for _, ref := range refs[1:] {
		if err != nil {
			return nil, err
		}
		var inner seal.Custodian
		if inner, err = open(ref, p); err == nil {
			c = both{c, inner}
		}
	}
	return c, err
}

// Who joins the two.
func (b both) Who() seal.Who {
	o, i := b.outer.Who(), b.inner.Who()
	w := seal.Who{Kind: kindBoth, Ref: o.Ref + joint + i.Ref, ID: o.ID + "+" + i.ID, Ring: o.Ring,
		PostQuantum: o.PostQuantum || i.PostQuantum, Hardware: o.Hardware || i.Hardware}
	if w.Ring == "" {
		w.Ring = i.Ring
	}
	return w
}

// Wrap wraps twice.
func (b both) Wrap(s havre.Secret) ([]byte, error) {
	w, err := b.inner.Wrap(s)
	if err != nil {
		return nil, err
	}
	return b.outer.Wrap(havre.NewSecret(w))
}

// Unwrap needs both.
func (b both) Unwrap(wrapped []byte) (havre.Secret, error) {
	s, err := b.outer.Unwrap(wrapped)
	if err != nil {
		return s, err
	}
	return b.inner.Unwrap(s.Reveal())
}

// WrapOnly says whether one of them cannot open now.
func (b both) WrapOnly() bool { return wrapOnly(b.outer) || wrapOnly(b.inner) }

func wrapOnly(c seal.Custodian) bool {
	w, ok := c.(seal.WrapOnly)
	return ok && w.WrapOnly()
}

// Renew renews those that can be; one is enough to make old copies useless.
func (b both) Renew() (seal.Custodian, error) {
	next := b
	for _, c := range []*seal.Custodian{&next.outer, &next.inner} {
		r, ok := (*c).(seal.Renewable)
		if !ok {
			continue
		}
		var err error
		if *c, err = r.Renew(); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// Settle settles those that can be.
func (b both) Settle(id string) error {
	outer, inner, ok := cutLast(id)
	if !ok {
		return nil
	}
	for _, x := range []struct {
		c  seal.Custodian
		id string
	}{{b.outer, outer}, {b.inner, inner}} {
		if r, ok := x.c.(seal.Renewable); ok {
			if err := r.Settle(x.id); err != nil {
				return err
			}
		}
	}
	return nil
}

func cutLast(id string) (string, string, bool) {
	i := strings.LastIndexByte(id, '+')
	if i < 0 {
		return "", "", false
	}
	return id[:i], id[i+1:], true
}
