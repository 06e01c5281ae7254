package warehouse

import (
	"cmp"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// part is some rows of a row group.
type part struct {
	group int
	spans []run // ascending, none empty
	// byPage says that it is read page by page, and that the pages stay; else it
	// is the whole row group.
	byPage bool
}

func (p part) rows() (n int64) {
	for _, s := range p.spans {
		n += s.hi - s.lo
	}
	return n
}

// narrow gives, of a part, the rows of some runs; these count from its first row.
func (p part) narrow(runs []run) part {
	few := part{group: p.group, byPage: p.byPage}
	at, from := 0, int64(0) // the span, and the rows before it
	for _, r := range runs {
		for r.lo < r.hi {
			span := p.spans[at]
			if n := span.hi - span.lo; r.lo >= from+n {
				at, from = at+1, from+n
				continue
			}
			lo, hi := span.lo+r.lo-from, min(span.lo+r.hi-from, span.hi)
			few.spans = append(few.spans, run{lo, hi})
			r.lo += hi - lo
		}
	}
	return few
}

// wholeGroup is all rows of a row group, read at once.
func (s *source) wholeGroup(group int) part {
	p := part{group: group}
	if rows := s.meta.RowGroup(group).NumRows(); rows > 0 {
		p.spans = []run{{0, rows}}
	}
	return p
}

// manyConcepts is more than a definition names: who wants so many reads most of a
// table, once.
const manyConcepts = 1000

// partOf gives the rows of a row group that may hold one of the concepts, which
// ascend, by the Parquet index of pages. Where there is none, or it leaves out
// less than half for many concepts, the group is read whole.
func (s *source) partOf(group int, concept string, concepts []int64) (p part, err error) {
	defer s.gaveUp(&err)
	p = s.wholeGroup(group)
	column := s.meta.Schema.ColumnIndexByName(concept)
	if len(p.spans) == 0 || s.index[group] == nil || column < 0 {
		return p, nil
	}
	pages, err := s.pages(group, column)
	if err != nil {
		return p, err
	}
	index, err := s.index[group].GetColumnIndex(column)
	if err != nil {
		return p, s.damaged("an index of pages is unreadable", err)
	}
	bounds, ok := index.(*metadata.TypedColumnIndex[int64])
	if !ok || len(bounds.MinValues()) != len(pages.at) {
		return p, nil
	}
	few := part{group: group, byPage: true}
	for i, rows := range pages.rows {
		if bounds.GetNullPages()[i] {
			continue
		}
		k := sort.Search(len(concepts), func(k int) bool { return concepts[k] >= bounds.MinValues()[i] })
		if k == len(concepts) || concepts[k] > bounds.MaxValues()[i] {
			continue
		}
		few.spans = extended(few.spans, rows)
	}
	if len(concepts) > manyConcepts && few.rows() > p.rows()/2 {
		return p, nil
	}
	return few, nil
}

// blockRows is how many rows of a page are decoded, and stay decoded, together:
// a concept has fewer rows than a page.
const blockRows = 1024

// pages are the pages of one column in one row group.
type pages struct {
	at     [][2]int64 // where each lies in the plaintext: offset and length
	rows   []run      // of each
	blocks []run      // rows of a page, at most blockRows
	kept   []kept     // of each block, under the source's mu
}

// kept is a block that was decoded: the rows of values from a place. None if
// values is nil.
type kept struct {
	values arrow.Array // never released: others may hold it
	from   int64
}

// pages gives the pages of a column in a row group. Text, which is decoded whole,
// and what has no index of pages are taken for one page of one block.
func (s *source) pages(group, column int) (_ *pages, err error) {
	defer s.gaveUp(&err)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [2]int{group, column}
	if p, ok := s.columnPages[key]; ok {
		return p, nil
	}
	chunk, err := s.chunk(group, column)
	if err != nil {
		return nil, err
	}
	var index metadata.OffsetIndex
	if s.index[group] != nil && s.meta.Schema.Column(column).PhysicalType() != parquet.Types.ByteArray {
		if index, err = s.index[group].GetOffsetIndex(column); err != nil {
			return nil, s.damaged("an index of pages is unreadable", err)
		}
	}
	all := run{0, s.meta.RowGroup(group).NumRows()}
	p := &pages{at: [][2]int64{chunk}, rows: []run{all}, blocks: []run{all}}
	if index != nil {
		p.at, p.rows, p.blocks = nil, nil, nil
		locations := index.GetPageLocations()
		if len(locations) == 0 && all.hi > 0 {
			return nil, s.damaged("an index of pages is empty", nil)
		}
		for i, l := range locations {
			at, rows := [2]int64{l.Offset, int64(l.CompressedPageSize)}, run{l.FirstRowIndex, all.hi}
			if i+1 < len(locations) {
				rows.hi = locations[i+1].FirstRowIndex
			}
			if i == 0 && rows.lo != 0 || rows.lo >= rows.hi || rows.hi > all.hi || at[1] < 0 || at[0] < chunk[0] || at[1] > chunk[0]+chunk[1]-at[0] {
				return nil, s.damaged("an index of pages is wrong", nil)
			}
			p.at, p.rows = append(p.at, at), append(p.rows, rows)
			for lo := rows.lo; lo < rows.hi; lo += blockRows {
				p.blocks = append(p.blocks, run{lo, min(lo+blockRows, rows.hi)})
			}
		}
	}
	p.kept = make([]kept, len(p.blocks))
	if s.columnPages == nil {
		s.columnPages = map[[2]int]*pages{}
	}
	s.columnPages[key] = p
	return p, nil
}

// holder gives the place of the run, of some that follow one another, that has a
// row.
func holder(runs []run, row int64) int {
	i, _ := slices.BinarySearchFunc(runs, row, func(r run, row int64) int { return cmp.Compare(r.hi-1, row) })
	return i
}

// touched gives the places of those of some runs, which follow one another, that
// have rows of the spans.
func touched(runs, spans []run) (out []int) {
	for _, span := range spans {
		for i := holder(runs, span.lo); i < len(runs) && runs[i].lo < span.hi; i++ {
			if n := len(out); n == 0 || out[n-1] < i {
				out = append(out, i)
			}
		}
	}
	return out
}

// extended adds a run to some; one that follows the last makes it longer.
func extended(runs []run, r run) []run {
	if n := len(runs); n > 0 && runs[n-1].hi == r.lo {
		runs[n-1].hi = r.hi
		return runs
	}
	return append(runs, r)
}

// stretches gives what must be read of some columns for a part: stretches of
// plaintext (offset and length), ascending. Those that have less than a chunk
// between them are one.
func (s *source) stretches(p part, columns ...int) ([][2]int64, error) {
	var all [][2]int64
	for _, column := range columns {
		chunk, err := s.chunk(p.group, column)
		if err != nil {
			return nil, err
		}
		if !p.byPage {
			all = append(all, chunk)
			continue
		}
		pages, err := s.pages(p.group, column)
		if err != nil {
			return nil, err
		}
		if len(pages.at) > 0 && pages.at[0][0] > chunk[0] {
			all = append(all, [2]int64{chunk[0], pages.at[0][0] - chunk[0]}) // the dictionary
		}
		for _, i := range touched(pages.rows, p.spans) {
			all = append(all, pages.at[i])
		}
	}
	slices.SortFunc(all, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	out := all[:0]
	for _, x := range all {
		if n := len(out); n > 0 && x[0] <= out[n-1][0]+out[n-1][1]+chunkPlain {
			out[n-1][1] = max(out[n-1][1], x[0]+x[1]-out[n-1][0])
		} else {
			out = append(out, x)
		}
	}
	return out, nil
}
