package deliver

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake"
)

// hit is one value that the guard does not let pass. It does not hold the value.
type hit struct {
	file   intake.File
	column string
	number int64
	rule   rule
}

// hits gathers what the guard saw: all of it is counted, the first of each
// column is kept. Safe for concurrent use.
type hits struct {
	order map[string]int // place of each file in the source

	mu    sync.Mutex
	count int64
	first map[string]hit // by table.column and file
}

func newHits(files []intake.File) *hits {
	h := &hits{order: map[string]int{}, first: map[string]hit{}}
	for i, f := range files {
		h.order[f.Name] = i
	}
	return h
}

func (h *hits) add(x hit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	key := x.file.Name + "\x00" + x.column
	if _, seen := h.first[key]; !seen {
		h.first[key] = x
	}
}

// refusal is the error for what was seen, nil if nothing was.
func (h *hits) refusal() error {
	if h.count == 0 {
		return nil
	}
	all := make([]hit, 0, len(h.first))
	for _, x := range h.first {
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b hit) int {
		if c := h.order[a.file.Name] - h.order[b.file.Name]; c != 0 {
			return c
		}
		return int(a.number - b.number)
	})
	var columns []string
	for _, x := range all {
		if c := x.file.Table + "." + x.column; !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	x := all[0]
	msg := fmt.Sprintf("%s, %s %d, column %s holds %s", x.file.Name, x.file.Counted, x.number, x.column, x.rule)
	if h.count > 1 {
		msg += fmt.Sprintf("; %d more values look like identities, in %s", h.count-1, strings.Join(columns[:min(len(columns), 8)], ", "))
		if len(columns) > 8 {
			msg += fmt.Sprintf(" and %d more columns", len(columns)-8)
		}
	}
	return havre.E("deliver.guard", havre.Invalid, msg+"; nothing was sent").
		WithHint("take the identities out of the health files; if a review shows that a column holds none, deliver with --accept " +
			strings.Join(columns[:min(len(columns), 8)], ",") + ", which the manifest records")
}
