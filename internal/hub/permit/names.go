package permit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/havre-hub/havre/internal/havre"
)

// keptBuckets is how many buckets' project pseudonyms are kept in memory: a
// study works on few buckets at once and returns to each table by table.
const keptBuckets = 8

// projectNames makes the project pseudonyms of one permit
// (docs/formats/pseudonym.md). Safe for concurrent use.
type projectNames struct {
	key []byte

	mu    sync.Mutex
	kept  map[int]*bucketNames
	order []int // buckets in kept, oldest first
}

// bucketNames are the pseudonyms of one bucket's persons, made as they come.
type bucketNames struct {
	key   []byte
	mu    sync.Mutex
	names map[int64]int64
	taken map[int64]struct{}

	rankMu sync.Mutex
	ranks  map[string]map[rowKey]int64 // of the tables whose keys other rows name, once asked for
}

func newProjectNames(secret havre.Secret, permit string) *projectNames {
	mac := hmac.New(sha256.New, secret.Reveal())
	mac.Write([]byte("havre:permit:" + permit))
	return &projectNames{key: mac.Sum(nil), kept: map[int]*bucketNames{}}
}

func (p *projectNames) bucket(n int) *bucketNames {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, ok := p.kept[n]; ok {
		return b
	}
	if len(p.order) == keptBuckets {
		delete(p.kept, p.order[0])
		p.order = p.order[1:]
	}
	b := &bucketNames{key: p.key, names: map[int64]int64{}, taken: map[int64]struct{}{}}
	p.kept[n], p.order = b, append(p.order, n)
	return b
}

// replace writes the project pseudonyms of persons over them.
func (b *bucketNames) replace(persons []int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	mac := hmac.New(sha256.New, b.key)
	var sum [sha256.Size]byte
	var last, lastName int64 = -1, -1 // rows of one person often follow each other
	for i, person := range persons {
		if person == last {
			persons[i] = lastName
			continue
		}
		name, ok := b.names[person]
		if !ok {
			mac.Reset()
			mac.Write([]byte("havre:project:"))
			var id [8]byte
			binary.BigEndian.PutUint64(id[:], uint64(person))
			mac.Write(id[:])
			name = int64(binary.BigEndian.Uint64(mac.Sum(sum[:0])) >> 1)
			if _, twice := b.taken[name]; twice {
				return havre.E("permit.read", havre.Internal, "two persons of one bucket get the same project pseudonym").
					WithHint("apply for a new permit: under another id they differ")
			}
			b.names[person], b.taken[name] = name, struct{}{}
		}
		persons[i], last, lastName = name, person, name
	}
	return nil
}

// persons gives the persons behind pseudonyms, ascending; nil if one of them
// was not made here.
func (b *bucketNames) persons(pseudonyms []int64) []int64 {
	if pseudonyms == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]int64, 0, len(pseudonyms))
	for person, name := range b.names {
		if _, wanted := slices.BinarySearch(pseudonyms, name); wanted {
			out = append(out, person)
		}
	}
	if len(out) < len(pseudonyms) {
		return nil
	}
	slices.Sort(out)
	return out
}

// rowRanks gives the ranks of a table's rows, counted by count the first time.
func (b *bucketNames) rowRanks(table string, count func() (map[rowKey]int64, error)) (map[rowKey]int64, error) {
	b.rankMu.Lock()
	defer b.rankMu.Unlock()
	if r, ok := b.ranks[table]; ok {
		return r, nil
	}
	r, err := count()
	if err != nil {
		return nil, err
	}
	if b.ranks == nil {
		b.ranks = map[string]map[rowKey]int64{}
	}
	b.ranks[table] = r
	return r, nil
}
