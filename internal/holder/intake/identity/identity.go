// Package identity reads the holder's identity file: one line a person, with
// the traits that the keeper links by and the holder's own person id. It is
// the only reader whose values name people, and it gives them to nothing but
// the identity part and the guard.
package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake"
	"github.com/havre-hub/havre/internal/holder/intake/delimited"
)

// PersonID is the column that holds the holder's own person id, the same as in
// the health tables.
const PersonID = "person_id"

// Traits are the columns that go to the keeper, in this order. All other
// columns (e-mail, telephone, address) stay with the holder.
var Traits = []string{"birth_name", "given_names", "used_name", "birth_date", "sex", "birth_place", "nir", "residence"}

// File is an open identity file.
type File struct {
	Name    string   // base name of the file
	Columns []string // those of Traits that it has
	Ignored []string // its other columns, as it spells them
	path    string
	dialect delimited.Dialect
	id      int   // source column of the person id
	from    []int // source columns of Columns
	columns int
}

// Person is one line. It is valid until the next one is read.
type Person struct {
	Line   int64
	ID     []byte
	Values [][]byte // by File.Columns, trimmed; empty is unknown
}

// Open reads the header. Errors are of kind NotFound or Invalid.
func Open(path string) (*File, error) {
	f := &File{Name: filepath.Base(path), path: path, id: -1}
	src, err := os.Open(path)
	if err != nil {
		return nil, havre.E("intake.identity", havre.NotFound, "the identity file "+path+" cannot be opened").
			WithHint("name the CSV file with the columns " + PersonID + ", " + strings.Join(Traits, ", ")).Wrap(err)
	}
	defer src.Close()
	head := make([]byte, delimited.SniffSize)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, f.broken("it cannot be read", err)
	}
	var header []string
	f.dialect, header, err = delimited.Sniff(head[:n], func(h []string) (n int) {
		for _, name := range h {
			if name = plain(name); name == PersonID || slices.Contains(Traits, name) {
				n++
			}
		}
		return n
	})
	if err != nil {
		return nil, f.broken("its header line cannot be read", err)
	}
	return f, f.arrange(header)
}

func plain(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func (f *File) arrange(header []string) error {
	f.columns = len(header)
	used := make([]bool, len(header))
	find := func(name string) int {
		i := slices.IndexFunc(header, func(h string) bool { return plain(h) == name })
		if i >= 0 {
			used[i] = true
		}
		return i
	}
	f.id = find(PersonID)
	for _, t := range Traits {
		if i := find(t); i >= 0 {
			f.Columns, f.from = append(f.Columns, t), append(f.from, i)
		}
	}
	for i, h := range header {
		if !used[i] {
			f.Ignored = append(f.Ignored, strings.TrimSpace(h))
		}
	}
	if f.id < 0 || len(f.Columns) == 0 {
		return f.broken("its header does not name "+PersonID+" and identity traits", nil).
			WithHint("the first line must name the columns: " + PersonID + ", " + strings.Join(Traits, ", "))
	}
	return nil
}

// People reads the lines. A line that is no row ends the reading with an error
// that names it: a person must not be lost on the way to the keeper.
func (f *File) People(ctx context.Context) iter.Seq2[*Person, error] {
	return func(yield func(*Person, error) bool) {
		if err := f.read(ctx, func(p *Person) bool { return yield(p, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

func (f *File) read(ctx context.Context, yield func(*Person) bool) error {
	src, err := os.Open(f.path)
	if err != nil {
		return f.broken("it cannot be opened", err)
	}
	defer src.Close()
	s := delimited.NewScanner(f.dialect.Decode(src), f.dialect.Delimiter, f.columns)
	if _, err := s.Header(); err != nil {
		return f.broken("its header line cannot be read", err)
	}
	p := &Person{Values: make([][]byte, len(f.from))}
	for {
		ok, err := s.Next()
		if err != nil {
			return f.broken(fmt.Sprintf("it cannot be read after line %d", s.Line), err)
		}
		if !ok || ctx.Err() != nil {
			return ctx.Err()
		}
		if s.Fault == intake.NoFault && s.Odd && !recode(s.Fields) {
			s.Fault = intake.Encoding
		}
		if s.Fault != intake.NoFault {
			return f.broken(fmt.Sprintf("line %d is no row (%s)", s.Line, s.Fault), nil).
				WithHint("correct the line: it has as many values as the header has names, quotes are closed, and the text is UTF-8")
		}
		p.Line, p.ID = s.Line, wholeNumber(bytes.TrimSpace(s.Fields[f.id]))
		for i, from := range f.from {
			p.Values[i] = bytes.TrimSpace(s.Fields[from])
		}
		if !yield(p) {
			return nil
		}
	}
}

func recode(fields [][]byte) bool {
	for i, v := range fields {
		text, _, ok := delimited.UTF8(v)
		if !ok {
			return false
		}
		fields[i] = text
	}
	return true
}

// wholeNumber takes ".0" off an id that a tool printed as a float.
func wholeNumber(id []byte) []byte {
	whole, ok := bytes.CutSuffix(id, []byte(".0"))
	if !ok || len(whole) == 0 || bytes.ContainsFunc(whole, func(r rune) bool { return r < '0' || r > '9' }) {
		return id
	}
	return whole
}

func (f *File) broken(what string, err error) *havre.Error {
	return havre.E("intake.identity", havre.Invalid, "identity file "+f.Name+": "+what).Wrap(err)
}
