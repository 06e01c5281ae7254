package synth

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/havre-hub/havre/internal/havre"
)

// folder is the output: one open file for each table of each holder, and the
// list of true persons.
type folder struct {
	path  string
	made  bool // the folder itself is ours
	files [holderCount][tableCount]*output
	truth *output
	fixed [holderCount]struct{ rows, bytes int64 } // of the small files written at once
}

// output is a file being written.
type output struct {
	f     *os.File
	w     *bufio.Writer
	lines int64 // data rows
	bytes int64
}

// newFolder makes the output folder with its sub-folders and opens the files.
// A folder with anything in it is refused.
func newFolder(path string) (*folder, error) {
	f := &folder{path: path}
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.made = true
	case err != nil:
		return nil, f.failed("look into", path, err)
	case len(entries) > 0:
		return nil, havre.E("synth", havre.Exists, "the folder "+path+" is not empty, and nothing in it is overwritten").
			WithHint("name a new folder, or empty this one first")
	}
	for _, dir := range []string{"truth", filepath.Join("holders", holders[0].name, "omop"), filepath.Join("holders", holders[1].name, "omop"), filepath.Join("holders", holders[2].name, "omop")} {
		if err := os.MkdirAll(filepath.Join(path, dir), 0o755); err != nil {
			f.discard()
			return nil, f.failed("make", dir, err)
		}
	}
	if err := f.open(); err != nil {
		f.discard()
		return nil, err
	}
	return f, nil
}

func (f *folder) open() (err error) {
	for h, kept := range keeps {
		for _, t := range kept {
			if f.files[h][t], err = f.create(holderFile(h, t), tables[t].columns); err != nil {
				return err
			}
		}
	}
	f.truth, err = f.create(filepath.Join("truth", "persons.csv"), "person,holder,person_id")
	return err
}

func holderFile(h int, t table) string {
	if t == identity {
		return filepath.Join("holders", holders[h].name, "identity.csv")
	}
	return filepath.Join("holders", holders[h].name, "omop", tables[t].name+".csv")
}

// create opens a new file and writes its header.
func (f *folder) create(name, columns string) (*output, error) {
	file, err := os.OpenFile(filepath.Join(f.path, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, f.failed("make", name, err)
	}
	o := &output{f: file, w: bufio.NewWriterSize(file, 128<<10)}
	if err := o.write([]byte(columns+"\n"), 0); err != nil {
		file.Close()
		return nil, f.failed("write", name, err)
	}
	return o, nil
}

func (o *output) write(b []byte, lines int) error {
	o.lines += int64(lines)
	o.bytes += int64(len(b))
	_, err := o.w.Write(b)
	return err
}

func (o *output) close() error {
	if o == nil || o.f == nil {
		return nil
	}
	err := errors.Join(o.w.Flush(), o.f.Close())
	o.f = nil
	return err
}

// write appends the rows of a block to their files.
func (f *folder) write(b *block) error {
	for h, kept := range keeps {
		for _, t := range kept {
			r := &b.out[h][t]
			if err := f.files[h][t].write(r.b, r.lines); err != nil {
				return f.failed("write", holderFile(h, t), err)
			}
		}
	}
	if err := f.truth.write(b.truth.b, b.truth.lines); err != nil {
		return f.failed("write", "truth/persons.csv", err)
	}
	return nil
}

// fixedFiles writes the small files that do not depend on the residents.
func (f *folder) fixedFiles(g *generator) error {
	for h := range holders {
		all := g.sites(h)
		if h == payer {
			all = append(all, g.vocab.files()...)
		}
		for _, file := range all {
			name := filepath.Join("holders", holders[h].name, "omop", file.name+".csv")
			if err := os.WriteFile(filepath.Join(f.path, name), file.b, 0o644); err != nil {
				return f.failed("write", name, err)
			}
			f.fixed[h].rows += int64(file.lines)
			f.fixed[h].bytes += int64(len(file.b))
		}
	}
	return nil
}

// finish closes all files and writes truth.json, last of all.
func (f *folder) finish(t *Truth) error {
	for h, kept := range keeps {
		for _, table := range kept {
			if err := f.files[h][table].close(); err != nil {
				return f.failed("write", holderFile(h, table), err)
			}
		}
	}
	if err := f.truth.close(); err != nil {
		return f.failed("write", "truth/persons.csv", err)
	}
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return havre.E("synth", havre.Internal, "the truth cannot be written as JSON").Wrap(err)
	}
	if err := os.WriteFile(filepath.Join(f.path, "truth", "truth.json"), append(b, '\n'), 0o644); err != nil {
		return f.failed("write", "truth/truth.json", err)
	}
	return nil
}

// discard removes what was written, after an error.
func (f *folder) discard() {
	for h := range f.files {
		for _, o := range f.files[h] {
			_ = o.close() // the file goes anyway
		}
	}
	_ = f.truth.close()
	if f.made {
		_ = os.RemoveAll(f.path)
		return
	}
	_ = os.RemoveAll(filepath.Join(f.path, "holders"))
	_ = os.RemoveAll(filepath.Join(f.path, "truth"))
}

// failed says which file could not be handled and why.
func (f *folder) failed(verb, name string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return havre.E("synth", havre.NoSpace, "the disk is full: cannot "+verb+" "+name).
			WithHint("a resident takes about 10 kB at 100 rows a person; free some space or name another folder").Wrap(err)
	}
	return havre.E("synth", havre.Invalid, "cannot "+verb+" "+name+" under "+f.path).Wrap(err)
}

func (f *folder) summary(opts Options, t *Truth) Summary {
	s := Summary{Residents: opts.Residents, Seed: opts.Seed, Truth: t}
	for h := range holders {
		hs := HolderSummary{Name: holders[h].name, Persons: t.Holders[h].Persons, Rows: f.fixed[h].rows, Bytes: f.fixed[h].bytes}
		for _, table := range keeps[h] {
			hs.Bytes += f.files[h][table].bytes
			if table != identity {
				hs.Rows += f.files[h][table].lines
			}
		}
		s.Rows += hs.Rows
		s.Bytes += hs.Bytes
		s.Holders = append(s.Holders, hs)
	}
	return s
}
