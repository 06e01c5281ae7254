package tlog

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"strconv"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// KeyName is the file of an exported log that holds its verifier key in the
// form of C2SP signed notes.
const KeyName = "verifier-key"

// File is one file of a log, by its path below the log's folder.
type File struct {
	Path string
	Data []byte
}

// Files gives the tiles and entry bundles that a log of size entries needs and
// one of from entries does not have, each cut to exactly what that size has:
// entry bundles first, then tiles by level.
func (r *Reader) Files(ctx context.Context, from, size int64) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for n := from / Width; n*Width < size; n++ {
			if err := ctx.Err(); err != nil {
				yield(File{}, err)
				return
			}
			entries, err := r.bundle(n, size)
			f := File{Path: layout.EntriesPath(uint64(n), layout.PartialTileSize(0, uint64(n), uint64(size)))}
			for _, e := range entries {
				f.Data = append(f.Data, byte(len(e)>>8), byte(len(e)))
				f.Data = append(f.Data, e...)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
		for level, below, had := int64(0), size, from; below > 0; level, below, had = level+1, below/Width, had/Width {
			for n := had / Width; n*Width < below; n++ {
				hashes, err := r.tile(level, n, size)
				f := File{Path: layout.TilePath(uint64(level), uint64(n), layout.PartialTileSize(uint64(level), uint64(n), uint64(size)))}
				for _, h := range hashes {
					f.Data = append(f.Data, h...)
				}
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

// Export writes the log as its newest checkpoint has it into the new folder
// dir: that checkpoint, those kept before it, all tiles and entries, and the
// verifier key. Whoever has the folder and trusts the key can check everything
// without the hub.
func (r *Reader) Export(ctx context.Context, dir string) (Checkpoint, error) {
	c, err := r.Checkpoint()
	if err != nil {
		return c, err
	}
	kept, err := r.Kept()
	if err != nil {
		return c, err
	}
	key, err := r.signedBy(c)
	if err != nil {
		return c, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return c, writeError(dir, err)
	}
	if err := os.Mkdir(dir, 0o755); os.IsExist(err) {
		return c, havre.E("audit.export", havre.Exists, dir+" exists; a log is exported into a new folder").
			WithHint("name a folder that is not there yet")
	} else if err != nil {
		return c, writeError(dir, err)
	}
	var history []byte
	for _, k := range kept {
		if k.Size <= c.Size {
			history = append(history, HistoryLine(k.Raw)...)
		}
	}
	for f, err := range r.Files(ctx, 0, c.Size) {
		if err != nil {
			return c, err
		}
		if err := save(dir, f); err != nil {
			return c, err
		}
	}
	for _, f := range []File{{HistoryName, history}, {KeyName, []byte(key + "\n")}, {CheckpointName, c.Raw}} {
		if err := save(dir, f); err != nil {
			return c, err
		}
	}
	return c, nil
}

// signedBy gives the trusted key that signed c, as a verifier key.
func (r *Reader) signedBy(c Checkpoint) (string, error) {
	for _, k := range r.trust.Keys {
		if _, err := ParseCheckpoint(c.Raw, Trust{r.trust.Origin, []sign.PublicKey{k}}); err == nil {
			return VerifierKey(r.trust.Origin, k)
		}
	}
	return "", badCheckpoint("the checkpoint of "+strconv.FormatInt(c.Size, 10)+" entries is not signed by a trusted key", nil)
}

func save(dir string, f File) error {
	path := filepath.Join(dir, filepath.FromSlash(f.Path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return writeError(path, err)
	}
	if err := os.WriteFile(path, f.Data, 0o644); err != nil {
		return writeError(path, err)
	}
	return nil
}

func writeError(path string, err error) error {
	return havre.E("audit.export", havre.NoSpace, path+" cannot be written").Wrap(err)
}
