package permit

import (
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// lookups are the tables whose rows belong to no person and yet can be in a
// permit, with the columns that can: they say of what kind a professional or an
// establishment is, not which one.
var lookups = map[string][]string{
	"provider":  {"provider_id", "specialty_concept_id"},
	"care_site": {"care_site_id", "place_of_service_concept_id"},
}

// notPermitted says why a table cannot be in a permit, or "".
func notPermitted(t omop.Table) string {
	switch {
	case t.Vocabulary:
		return "the vocabulary is readable without being named"
	case !t.PersonLevel && lookups[t.Name] == nil:
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

// named are the columns that name a row of another table and can be read, each
// with that table: what stands in them is replaced (keys.go), so that rows can be
// joined and nothing else can be done with them.
var named = map[string]string{
	"visit_occurrence_id": "visit_occurrence", "preceding_visit_occurrence_id": "visit_occurrence",
	"visit_detail_id": "visit_detail", "preceding_visit_detail_id": "visit_detail", "parent_visit_detail_id": "visit_detail",
	"provider_id": "provider", "care_site_id": "care_site",
}

// unreadable says why a column can never be read through a permit, or "".
// The warehouse's own event ids never reach a study: a table's own key is
// replaced by ranks, keys of visits, professionals and establishments by the
// permit's own numbers, and keys of other rows cannot be read.
func unreadable(t omop.Table, column string) string {
	f, ok := t.Field(column)
	switch {
	case column == warehouse.HolderColumn:
		return "it shows which holder delivered a row"
	case !ok:
		return "the CDM has no such column"
	case f.Identifying:
		return "it identifies a person or a place, and is not in the warehouse"
	case lookups[t.Name] != nil && !slices.Contains(lookups[t.Name], column):
		return "with it a professional or an establishment could be told from the others"
	case column == t.ID || column == t.Person || named[column] != "":
		return ""
	case rowKeys[column], strings.HasSuffix(column, "_event_id"), column == "episode_parent_id":
		return "it is the warehouse's key of another row"
	}
	return ""
}
