package keeper

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper/register"
)

// tid is a transport id as 16 bytes.
type tid [16]byte

// identityColumns are the columns of an identity part that the keeper knows,
// and where each goes. The column tid must be there, and at least one other.
var identityColumns = map[string]func(*register.Row) *string{
	"source_person_id": func(r *register.Row) *string { return &r.Source },
	"birth_name":       func(r *register.Row) *string { return &r.BirthName },
	"given_names":      func(r *register.Row) *string { return &r.GivenNames },
	"used_name":        func(r *register.Row) *string { return &r.UsedName },
	"birth_date":       func(r *register.Row) *string { return &r.BirthDate },
	"sex":              func(r *register.Row) *string { return &r.Sex },
	"birth_place":      func(r *register.Row) *string { return &r.BirthPlace },
	"nir":              func(r *register.Row) *string { return &r.NIR },
	"residence":        func(r *register.Row) *string { return &r.Residence },
}

const maxIdentityValue = 1000 // bytes; names are far below

// identityReader reads the identity parts of one delivery, in which a
// transport id stands once.
type identityReader struct{ seen map[tid]struct{} }

func newIdentityReader() *identityReader { return &identityReader{map[tid]struct{}{}} }

// read calls fn with each row of one part. Columns that the keeper does not
// know are passed over: they are listed in the manifest. Errors name part,
// line and column, never a value.
func (r *identityReader) read(part string, text []byte, fn func(tid, register.Row) error) error {
	bad := func(line int, format string, args ...any) error {
		return havre.E("keeper.identity", havre.Invalid, fmt.Sprintf("the identity part %s, line %d: ", part, line)+fmt.Sprintf(format, args...)).
			WithHint("let the holder correct its identity file and make a new delivery")
	}
	c := csv.NewReader(bytes.NewReader(text))
	c.ReuseRecord = true
	header, err := c.Read()
	if err != nil {
		return bad(1, "there is no header")
	}
	names := append([]string(nil), header...)
	setters, tidAt, err := headerOf(names)
	if err != nil {
		return bad(1, "%s", err.Error())
	}
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if p, ok := errors.AsType[*csv.ParseError](err); ok {
				return bad(p.Line, "%s", p.Err)
			}
			return bad(0, "it is no CSV")
		}
		line, _ := c.FieldPos(0)
		var id tid
		if n, err := hex.Decode(id[:], hexDigits(fields[tidAt])); err != nil || n != len(id) {
			return bad(line, "the transport id is not 32 lower-case hex digits")
		}
		if _, twice := r.seen[id]; twice {
			return bad(line, "the transport id stands in the delivery twice")
		}
		r.seen[id] = struct{}{}
		var row register.Row
		for i, set := range setters {
			if set == nil {
				continue
			}
			if len(fields[i]) > maxIdentityValue || !utf8.ValidString(fields[i]) {
				return bad(line, "the column %s is not UTF-8, or longer than %d bytes", names[i], maxIdentityValue)
			}
			*set(&row) = fields[i]
		}
		if err := fn(id, row); err != nil {
			return err
		}
	}
}

// headerOf finds for each column where its values go; unknown ones go nowhere.
func headerOf(names []string) (setters []func(*register.Row) *string, tidAt int, err error) {
	tidAt = -1
	known := 0
	setters = make([]func(*register.Row) *string, len(names))
	seen := map[string]bool{}
	for i, n := range names {
		if seen[n] {
			return nil, 0, fmt.Errorf("the column %.40q is there twice", n)
		}
		seen[n] = true
		if n == "tid" {
			tidAt = i
		} else if setters[i] = identityColumns[n]; setters[i] != nil {
			known++
		}
	}
	if tidAt < 0 {
		return nil, 0, errors.New("there is no column tid")
	}
	if known == 0 {
		return nil, 0, errors.New("there is no column that tells who a person is")
	}
	return setters, tidAt, nil
}

// hexDigits gives s if it is 32 lower-case hex digits, else nothing.
func hexDigits(s string) []byte {
	if len(s) != 32 {
		return nil
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil
		}
	}
	return []byte(s)
}
