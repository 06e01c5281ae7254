package warehouse

import (
	"container/list"
	"sync"

	"github.com/havre-hub/havre/internal/ground/blob"
)

// cache keeps opened segments, the least recently used going first once what is
// kept of them (ciphertext, indexes, decoded blocks) exceeds the limit. A source that is dropped while it is being read
// lives until that read ends. Safe for concurrent use.
type cache struct {
	limit int64

	mu    sync.Mutex // guards all below
	held  int64
	order *list.List // of *cached, most recent first
	at    map[string]*list.Element
}

type cached struct {
	source *source
	bytes  int64
}

func newCache(limit int64) *cache {
	return &cache{limit: limit, order: list.New(), at: map[string]*list.Element{}}
}

// get gives the source of a segment, which may not be open yet.
func (c *cache) get(store blob.Store, e Segment) *source {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.at[e.Object]; ok {
		c.order.MoveToFront(el)
		return el.Value.(*cached).source
	}
	s := newSource(store, e, c.grown)
	c.at[e.Object] = c.order.PushFront(&cached{source: s})
	return s
}

// drop forgets a source, so that the next read fetches anew: what made this
// one fail may have been the way, not the object.
func (c *cache) drop(s *source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.at[s.entry.Object]; ok && el.Value.(*cached).source == s {
		c.held -= c.order.Remove(el).(*cached).bytes
		delete(c.at, s.entry.Object)
	}
}

// grown accounts for fetched bytes and drops what is then too much.
func (c *cache) grown(s *source, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.at[s.entry.Object]
	if !ok || el.Value.(*cached).source != s {
		return // dropped while being read
	}
	el.Value.(*cached).bytes += n
	c.held += n
	for c.held > c.limit && c.order.Len() > 1 {
		old := c.order.Back()
		o := c.order.Remove(old).(*cached)
		delete(c.at, o.source.entry.Object)
		c.held -= o.bytes
	}
}
