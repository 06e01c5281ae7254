package app

import (
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// Names of the keys that a hub makes as it goes. Destroying one ends all that
// was sealed to it, in every copy.
const (
	datasetPrefix = "dataset-" // + delivery: what it brought, from its arrival on
	permitPrefix  = "permit-"  // + permit: partial and waiting results of its studies
)

// datasetKey gives the key of what a delivery brought.
func (h *Hub) datasetKey(d havre.DeliveryID, make bool) (*seal.Key, error) {
	return h.cachedKey(datasetPrefix+string(d), make)
}

// permitKey gives the key of the results under a permit; it is made at first use.
func (h *Hub) permitKey(permit string) (*seal.Key, error) {
	return h.cachedKey(permitPrefix+permit, true)
}

// cachedKey keeps what it took out of the ring: reading takes it at every
// segment, and unpacking a key costs more than opening one.
func (h *Hub) cachedKey(name string, make bool) (*seal.Key, error) {
	if k, ok := h.keys.Load(name); ok {
		return k.(*seal.Key), nil
	}
	get := h.home.ring.Key
	if make {
		get = h.home.ring.Ensure
	}
	k, err := get(name)
	if err != nil {
		return nil, err
	}
	h.keys.Store(name, k)
	return k, nil
}

// custodians lists who opens a ring.
func custodians(r *seal.Ring) (who []seal.Who) {
	for _, w := range r.Info().Wraps {
		who = append(who, w.Who)
	}
	return who
}
