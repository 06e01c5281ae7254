package ingest

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// pass is the good rows of a table that are in memory together, on their way
// from parts to segments.
type pass struct {
	*run
	table  omop.Table
	fields []field
	keys   []int // fields that rows are sorted by: main concept, person, start date, key
	rest   []int // the other fields
	heaps  []heap
	chunk  int // bytes of one piece of a heap
	held   atomic.Int64

	mu   sync.Mutex // guards used
	used []bool     // fields that have a value in any row
}

// heap is the rows of one bucket, packed one after the other, as they came.
type heap struct {
	mu     sync.Mutex
	pieces [][]byte
}

func (r *run) newPass(t omop.Table) *pass {
	p := &pass{run: r, table: t, fields: stored(t)}
	p.used = make([]bool, len(p.fields))
	buckets := 1
	if t.PersonLevel {
		buckets = r.in.Batch.Buckets()
	}
	p.heaps = make([]heap, buckets)
	p.chunk = int(min(256<<10, max(4<<10, r.room()/int64(buckets)/8)))
	for _, name := range []string{t.Concept, t.Person, t.Start, t.ID} {
		at := slices.IndexFunc(p.fields, func(f field) bool { return f.Name == name && f.Type != omop.Text && f.Type != omop.Float })
		if at >= 0 && !slices.Contains(p.keys, at) {
			p.keys = append(p.keys, at)
		}
	}
	for i := range p.fields {
		if !slices.Contains(p.keys, i) {
			p.rest = append(p.rest, i)
		}
	}
	return p
}

// room is how many bytes of packed rows a pass may hold: the rest of
// Input.Memory is for parts on their way in and segments on their way out.
func (r *run) room() int64 { return r.in.Memory * 3 / 8 }

func (p *pass) full() bool { return p.held.Load() >= p.room() }

func (p *pass) use(used []bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, u := range used {
		p.used[i] = p.used[i] || u
	}
}

// fill reads parts until the pass is full and gives those that are left.
func (p *pass) fill(ctx context.Context, parts []envelope.Part) ([]envelope.Part, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.workers)
	for len(parts) > 0 && !p.full() && ctx.Err() == nil {
		part := parts[0]
		parts = parts[1:]
		g.Go(func() error { return p.part(ctx, part) })
	}
	return parts, g.Wait()
}

// packer packs rows for the heaps. Each goroutine needs its own.
//
// A packed row is its length (uvarint), one bit a field for "has a value", the
// keys (8 bytes each, the highest number for none), then the other values:
// numbers as varints, floats as 8 bytes, texts after their length (uvarint).
type packer struct {
	p       *pass
	scratch []byte
}

func (p *pass) flags() int { return (len(p.fields) + 7) / 8 }

// noKey stands for a key without a value, so that such rows come last.
const noKey = math.MaxInt64

func (k *packer) add(r *row) error {
	p := k.p
	b := append(k.scratch[:0], make([]byte, p.flags())...)
	for i, s := range r.state {
		if s == present {
			b[i/8] |= 1 << (i % 8)
		}
	}
	for _, i := range p.keys {
		v := int64(noKey)
		if r.state[i] == present {
			v = r.number[i]
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	for _, i := range p.rest {
		if r.state[i] != present {
			continue
		}
		switch p.fields[i].Type {
		case omop.Text:
			b = append(binary.AppendUvarint(b, uint64(len(r.text[i]))), r.text[i]...)
		case omop.Float:
			b = binary.LittleEndian.AppendUint64(b, uint64(r.number[i]))
		default:
			b = binary.AppendVarint(b, r.number[i])
		}
	}
	k.scratch = b
	return p.heaps[max(r.bucket, 0)].add(p, b)
}

func (h *heap) add(p *pass, b []byte) error {
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(b)))
	if n+len(b) > math.MaxUint32 {
		return havre.E("ingest", havre.Invalid, "a row is too long: 4 GiB are the most")
	}
	h.mu.Lock()
	last := len(h.pieces) - 1
	if last < 0 || cap(h.pieces[last])-len(h.pieces[last]) < n+len(b) {
		piece := p.piece(n + len(b))
		p.held.Add(int64(cap(piece)))
		h.pieces = append(h.pieces, piece)
		last++
	}
	h.pieces[last] = append(append(h.pieces[last], head[:n]...), b...)
	h.mu.Unlock()
	return nil
}

// piece gives an empty piece with room for n bytes, an old one if there is one.
func (p *pass) piece(n int) []byte {
	if n > p.chunk {
		return make([]byte, 0, n)
	}
	if b, ok := p.pieces.take(p.chunk); ok {
		return b
	}
	return make([]byte, 0, p.chunk)
}

// pool keeps pieces between passes, so that memory is not asked for anew.
type pool struct {
	mu   sync.Mutex
	free [][]byte
}

func (q *pool) take(size int) ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.free); n > 0 && cap(q.free[n-1]) == size {
		b := q.free[n-1]
		q.free = q.free[:n-1]
		return b[:0], true
	}
	q.free = nil // of another size
	return nil, false
}

func (q *pool) give(size int, pieces [][]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range pieces {
		if cap(b) == size {
			q.free = append(q.free, b)
		}
	}
}

// write sorts each bucket and cuts it into segments.
func (p *pass) write(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * p.workers) // some wait for the store while others compute
	for i := range p.heaps {
		if len(p.heaps[i].pieces) == 0 {
			continue
		}
		bucket := i
		if !p.table.PersonLevel {
			bucket = Unbucketed
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := p.segments(ctx, bucket, &p.heaps[i])
			p.pieces.give(p.chunk, p.heaps[i].pieces)
			p.heaps[i].pieces = nil
			return err
		})
	}
	return g.Wait()
}

// ref is a packed row and its keys.
type ref struct {
	keys      [4]int64
	piece, at uint32
}

// sorted gives the rows of a heap in their physical order.
func (p *pass) sorted(h *heap) []ref {
	var refs []ref
	for i, piece := range h.pieces {
		for at := 0; at < len(piece); {
			size, n := binary.Uvarint(piece[at:])
			at += n
			r := ref{piece: uint32(i), at: uint32(at)}
			for k := range p.keys {
				r.keys[k] = int64(binary.LittleEndian.Uint64(piece[at+p.flags()+8*k:]))
			}
			refs = append(refs, r)
			at += int(size)
		}
	}
	slices.SortFunc(refs, func(a, b ref) int {
		for k := range a.keys {
			if a.keys[k] != b.keys[k] {
				if a.keys[k] < b.keys[k] {
					return -1
				}
				return 1
			}
		}
		return 0
	})
	return refs
}
