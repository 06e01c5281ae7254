package permit

import (
	"strings"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// notPermitted says why a table cannot be in a permit, or "".
func notPermitted(t omop.Table) string {
	switch {
	case t.Vocabulary:
		return "the vocabulary is readable without being named"
	case !t.PersonLevel:
		return "its rows belong to no person, so opt-outs and periods cannot be held on them"
	}
	return ""
}

// rowKeys are the columns that name rows of tables that are not vocabulary.
var rowKeys = func() map[string]bool {
	keys := map[string]bool{}
	for _, t := range omop.Tables() {
		if t.ID != "" && t.ID != t.Person && !t.Vocabulary {
			keys[t.ID] = true
		}
	}
	return keys
}()

// unreadable says why a column can never be read through a permit, or "".
// Keys of other rows are the warehouse's own event ids, which never reach a
// study; a table's own key is replaced by ranks.
func unreadable(t omop.Table, column string) string {
	f, ok := t.Field(column)
	switch {
	case column == warehouse.HolderColumn:
		return "it shows which holder delivered a row"
	case !ok:
		return "the CDM has no such column"
	case f.Identifying:
		return "it identifies a person or a place, and is not in the warehouse"
	case column == t.ID || column == t.Person:
		return ""
	case rowKeys[column], strings.HasSuffix(column, "_event_id"), strings.HasPrefix(column, "parent_"), strings.HasPrefix(column, "preceding_"),
		column == "episode_parent_id":
		return "it is the warehouse's key of another row"
	}
	return ""
}
