package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"

	"github.com/havre-hub/havre/internal/havre"
)

// Names of the files of a log beside its tiles.
const (
	CheckpointName = layout.CheckpointPath
	HistoryName    = "checkpoints.jsonl"
)

// Width is the number of entries in a full bundle, and of hashes in a full tile.
const Width = layout.EntryBundleWidth

// Largest files that a reader takes in: a stranger's folder must not fill the memory.
const (
	maxCheckpoint = 1 << 20
	maxBundle     = Width * (MaxEntry + 2)
	maxTile       = Width * 32
	maxHistory    = 1 << 30
)

// Reader reads a log from its files. It takes no lock and may read while a hub
// appends. Safe for concurrent use.
type Reader struct {
	fsys  fs.FS
	trust Trust
	root  *os.Root
}

// NewReader reads the log whose files fsys holds.
func NewReader(fsys fs.FS, t Trust) *Reader { return &Reader{fsys: fsys, trust: t} }

// Open reads the log in the folder dir; links that lead out of it are not followed.
func Open(dir string, t Trust) (*Reader, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, havre.E("audit.open", havre.NotFound, "there is no log at "+dir).
			WithHint("check the path; a lost log is restored from its mirror in the store, never begun afresh").Wrap(err)
	}
	return &Reader{fsys: root.FS(), trust: t, root: root}, nil
}

// Close lets go of the folder.
func (r *Reader) Close() error {
	if r.root == nil {
		return nil
	}
	return r.root.Close()
}

// Trust is what the reader checks checkpoints against.
func (r *Reader) Trust() Trust { return r.trust }

// Checkpoint reads the newest checkpoint and checks its signature.
func (r *Reader) Checkpoint() (Checkpoint, error) {
	raw, err := readFile(r.fsys, CheckpointName, maxCheckpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	return ParseCheckpoint(raw, r.trust)
}

// Kept reads the checkpoints of the history, in rising order.
func (r *Reader) Kept() ([]Checkpoint, error) {
	b, err := readFile(r.fsys, HistoryName, maxHistory)
	if err != nil {
		return nil, err
	}
	kept, _, err := ParseHistory(b, r.trust)
	return kept, err
}

// Record is an entry with its position.
type Record struct {
	Index int64
	Entry
}

// Filter chooses entries; zero fields choose all.
type Filter struct {
	Action  string // the whole action, or its first words: "permit" takes "permit.decided"
	Subject string
	Since   time.Time // inclusive
	Until   time.Time // exclusive
}

func (f Filter) takes(e Entry) bool {
	return (f.Action == "" || e.Action == f.Action || strings.HasPrefix(e.Action, f.Action+".")) &&
		(f.Subject == "" || e.Subject == f.Subject) &&
		(f.Since.IsZero() || !e.Time.Before(f.Since)) &&
		(f.Until.IsZero() || e.Time.Before(f.Until))
}

// Entries gives the entries from (inclusive) to (exclusive; negative: the end
// of the newest checkpoint) that f chooses, in order. It ends after the first
// error. It parses entries and does not prove them: Verify does.
func (r *Reader) Entries(ctx context.Context, from, to int64, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		c, err := r.Checkpoint()
		if err != nil {
			yield(Record{}, err)
			return
		}
		if to < 0 || to > c.Size {
			to = c.Size
		}
		for i := max(from, 0); i < to; {
			if err := ctx.Err(); err != nil {
				yield(Record{}, err)
				return
			}
			bundle, err := r.bundle(i/Width, c.Size)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for end := min(to, (i/Width+1)*Width); i < end; i++ {
				e, err := ParseEntry(bundle[i%Width])
				if err != nil {
					yield(Record{}, tampered("entry %d cannot be read", i).Wrap(err))
					return
				}
				if f.takes(e) && !yield(Record{i, e}, nil) {
					return
				}
			}
		}
	}
}

// bundle gives the entries of bundle n of a log of that size, as bytes. If the
// file holds too few or too many it fails and still gives those it can.
func (r *Reader) bundle(n, size int64) ([][]byte, error) {
	raw, want, whole, err := r.resource(func(p uint8) string { return layout.EntriesPath(uint64(n), p) }, 0, n, size, maxBundle)
	if err != nil {
		return nil, err
	}
	entries, rest := splitBundle(raw)
	switch {
	case len(entries) > whole || len(entries) == whole && rest > 0:
		err = tampered("the bundle of entries %d to %d holds more than it may", n*Width, n*Width+int64(want)-1)
	case len(entries) < whole && len(entries) < want:
		err = tampered("entries %d to %d are missing from their bundle", n*Width+int64(len(entries)), n*Width+int64(want)-1)
	case len(entries) < whole:
		err = tampered("the bundle of entries %d and following is cut short", n*Width)
	}
	return entries[:min(want, len(entries))], err
}

// CheckBundle says whether raw is a bundle of exactly n entries.
func CheckBundle(raw []byte, n int) error {
	if entries, rest := splitBundle(raw); len(entries) != n || rest > 0 {
		return tampered("a bundle that should hold %d entries holds %d and %d bytes more", n, len(entries), rest)
	}
	return nil
}

// splitBundle takes a bundle apart (C2SP tlog-tiles: each entry after its
// length in two bytes, big endian); rest is the number of bytes that are no
// whole entry.
func splitBundle(raw []byte) (entries [][]byte, rest int) {
	for len(raw) >= 2 {
		n := int(raw[0])<<8 | int(raw[1])
		if len(raw) < 2+n {
			break
		}
		entries = append(entries, raw[2:2+n])
		raw = raw[2+n:]
	}
	return entries, len(raw)
}

// tile gives the hashes of tile n at the level in a log of that size.
func (r *Reader) tile(level, n, size int64) ([][]byte, error) {
	raw, want, whole, err := r.resource(func(p uint8) string { return layout.TilePath(uint64(level), uint64(n), p) }, level, n, size, maxTile)
	if err != nil {
		return nil, err
	}
	if len(raw) != 32*whole {
		return nil, tampered("tile %d/%d has %d bytes and not %d", level, n, len(raw), 32*whole)
	}
	hashes := make([][]byte, want)
	for i := range hashes {
		hashes[i] = raw[32*i : 32*i+32]
	}
	return hashes, nil
}

// resource reads the partial file that a log of that size has, or else the full
// one that replaced it. want is the number of elements at that size, whole the
// number that the file must hold.
func (r *Reader) resource(path func(p uint8) string, level, n, size int64, limit int) (raw []byte, want, whole int, err error) {
	p := layout.PartialTileSize(uint64(level), uint64(n), uint64(size))
	want = int(p)
	if p == 0 {
		want = Width
	}
	whole = want
	raw, err = readFile(r.fsys, path(p), limit)
	if havre.KindOf(err) == havre.NotFound && p > 0 {
		raw, err = readFile(r.fsys, path(0), limit)
		whole = Width
	}
	return raw, want, whole, err
}

// readFile reads a regular file of at most limit bytes.
func readFile(fsys fs.FS, name string, limit int) ([]byte, error) {
	st, err := fs.Stat(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, havre.E("audit.read", havre.NotFound, "the log's file "+name+" is missing").
			WithHint("restore the log from its mirror in the store")
	}
	if err != nil {
		return nil, havre.E("audit.read", havre.StoreUnavailable, "the log's file "+name+" cannot be read").Wrap(err)
	}
	if !st.Mode().IsRegular() || st.Size() > int64(limit) {
		return nil, tampered("the log's file %s is not a file of at most %d bytes", name, limit)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, havre.E("audit.read", havre.StoreUnavailable, "the log's file "+name+" cannot be read").Wrap(err)
	}
	defer f.Close()
	var b bytes.Buffer
	b.Grow(int(st.Size()) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(f, int64(limit))); err != nil {
		return nil, havre.E("audit.read", havre.StoreUnavailable, "the log's file "+name+" cannot be read").Wrap(err)
	}
	return b.Bytes(), nil
}

func tampered(format string, args ...any) *havre.Error {
	return havre.E("audit.verify", havre.Tampered, fmt.Sprintf(format, args...)).
		WithHint("keep the log's folder as evidence, and restore the log from its mirror in the store or from a copy")
}

// LeafHash is the hash under which an entry stands in the tree (RFC 6962).
func LeafHash(entry []byte) []byte { return rfc6962.DefaultHasher.HashLeaf(entry) }
