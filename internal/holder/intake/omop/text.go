package omop

import (
	"context"
	"errors"
	"fmt"
	"io"

	cdm "github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/holder/intake"
	"github.com/havre-hub/havre/internal/holder/intake/delimited"
)

// textHeader reads the first record; none means that the file is empty.
func (r *reading) textHeader(t cdm.Table) (header []string, err error) {
	src, err := r.entry.open()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	head := make([]byte, delimited.SniffSize)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, r.entry.broken("it cannot be read", err)
	}
	r.text, header, err = delimited.Sniff(head[:n], func(header []string) int {
		_, columns, _, _ := arrange(t, header)
		return len(columns)
	})
	if err != nil {
		return nil, r.entry.broken("its header line cannot be read", err)
	}
	return header, nil
}

// textRows gives the records after the header.
func (r reading) textRows(ctx context.Context, yield func(*intake.Row, error) bool) error {
	src, err := r.entry.open()
	if err != nil {
		return err
	}
	defer src.Close()
	s := delimited.NewScanner(r.text.Decode(src), r.text.Delimiter, r.layout.columns)
	if _, err := s.Header(); err != nil {
		return r.entry.broken("its header line cannot be read", err)
	}
	row := &intake.Row{Values: make([][]byte, len(r.layout.from)), Others: make([][]byte, len(r.layout.others))}
	norm := normaliser{comma: r.text.Delimiter == ';'}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ok, err := s.Next()
		if err != nil {
			return r.entry.broken(fmt.Sprintf("it cannot be read after line %d", s.Line), err)
		}
		if !ok {
			return nil
		}
		r.fill(row, s, &norm)
		if !yield(row, nil) {
			return nil
		}
	}
}

// fill makes a row of the scanner's record.
func (r reading) fill(row *intake.Row, s *delimited.Scanner, norm *normaliser) {
	row.Number, row.Recoded, row.Fault, row.Raw = s.Line, 0, s.Fault, nil
	norm.reset()
	if row.Fault == intake.NoFault && s.Odd {
		for i, f := range s.Fields {
			text, recoded, ok := delimited.UTF8(f)
			if !ok {
				row.Fault = intake.Encoding
				break
			}
			if recoded {
				row.Recoded++
			}
			s.Fields[i] = text
		}
	}
	if row.Fault != intake.NoFault {
		row.Raw, row.Recoded = s.Raw, 0
		clear(row.Values)
		clear(row.Others)
		return
	}
	for i, f := range r.layout.fields {
		row.Values[i] = norm.value(f.Type, s.Fields[r.layout.from[i]])
	}
	for i, from := range r.layout.others {
		row.Others[i] = s.Fields[from]
	}
}
