package cohort

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/cohort/explain"
)

// TestExplainSaysEverything changes everything that can be changed in random
// definitions, one thing at a time, and demands that the explanation changes
// with it, in both languages: nothing that a definition asks goes without words.
func TestExplainSaysEverything(t *testing.T) {
	changes := 0
	for round := range *rounds / 2 {
		a := author{rand.New(rand.NewPCG(uint64(round), 17))}
		d, err := Parse([]byte(a.definition()))
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.ConceptSets {
			d.ConceptSets[i].Name = fmt.Sprint("set ", i)
		}
		said := func() (out [2]string) {
			for i, l := range explain.Languages {
				text, err := explain.Text(d, "", l)
				if err != nil {
					t.Fatal(err)
				}
				out[i] = text
			}
			return out
		}
		before := said()
		m := mutator{d: d, test: func(what string) {
			changes++
			after := said()
			for i, l := range explain.Languages {
				if after[i] == before[i] {
					t.Fatalf("round %d: %s can change without a change of the text (%s):\n%s", round, what, l, before[i])
				}
			}
		}}
		m.value("definition", reflect.ValueOf(d).Elem(), nil)
		if said() != before {
			t.Fatal("the definition was not put back")
		}
	}
	if changes < 2000 {
		t.Errorf("only %d changes were tried", changes)
	}
	t.Logf("%d changes", changes)
}

// mutator changes a definition in one place after the other, and puts it back.
type mutator struct {
	d    *Definition
	test func(what string)
}

// silent are the fields that ask nothing.
var silent = map[string]bool{
	"Definition.Title": true, "Definition.CDMVersions": true, "Definition.Notes": true, "ConceptSet.ID": true,
	"Concept.Code": true, "Concept.Domain": true, "Concept.Vocabulary": true, "Concept.Standard": true,
	"Criterion.Kind": true, "Filter.Attribute": true,
}

func (m *mutator) value(what string, v reflect.Value, parent any) {
	set := func(to any) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		v.Set(reflect.ValueOf(to).Convert(v.Type()))
		m.test(fmt.Sprintf("%s (%v to %v)", what, old, to))
		v.Set(old)
	}
	switch x := v.Interface().(type) {
	case circe.Limit:
		set((x + 1) % 3)
		return
	case circe.GroupKind:
		g := parent.(*circe.Group)
		if len(g.Criteria)+len(g.Demographic)+len(g.Groups) > 1 && !(x == circe.AtLeast && g.Count == 1) {
			set(map[bool]circe.GroupKind{false: circe.Any, true: circe.All}[x == circe.Any])
		}
		return
	case circe.Comparison:
		set(map[bool]circe.Comparison{false: circe.NoFewerThan, true: circe.Exactly}[x == circe.NoFewerThan])
		return
	case circe.EndKind:
		set(map[bool]circe.EndKind{false: circe.EndOfObservation, true: circe.EndAtOffset}[x == circe.EndOfObservation])
		return
	case circe.Op:
		for _, pair := range [][2]circe.Op{{circe.OpLess, circe.OpGreater}, {circe.OpLessEqual, circe.OpGreaterEqual}, {circe.OpEqual, circe.OpNotEqual},
			{circe.OpBetween, circe.OpNotBetween}, {circe.OpIn, circe.OpNotIn}, {circe.OpLike, circe.OpNotLike}} {
			if x == pair[0] {
				set(pair[1])
			} else if x == pair[1] {
				set(pair[0])
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		set(!v.Bool())
	case reflect.String:
		set(v.String() + "x")
	case reflect.Float64:
		set(v.Float() + 1)
	case reflect.Int, reflect.Int32, reflect.Int64:
		switch n := v.Int(); {
		case n == int64(circe.NoDate):
			set(int64(14000))
		case strings.HasSuffix(what, ".Set") || strings.HasSuffix(what, ".Source"):
			set((n + 1) % int64(len(m.d.ConceptSets)))
		default:
			set(n + 1)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			_, rule := parent.(*circe.Rule)
			if _, criterion := v.Interface().(*circe.Criterion); !rule && !criterion { // these must be there
				old := v.Interface()
				v.SetZero()
				m.test(what + " (taken away)")
				v.Set(reflect.ValueOf(old))
			}
			m.fields(what, v.Elem(), v.Interface())
		}
	case reflect.Slice:
		for i := range v.Len() {
			at := fmt.Sprintf("%s[%d]", what, i)
			item := v.Index(i)
			g, isGroup := item.Interface().(*circe.Group)
			if !(isGroup && asksNothing(g)) && v.Type().Elem() != reflect.TypeFor[circe.ConceptSet]() && !(what == "definition.Primary.Criteria" && v.Len() == 1) {
				old := reflect.ValueOf(v.Interface())
				v.Set(reflect.AppendSlice(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v.Slice(0, i)), v.Slice(i+1, v.Len())))
				m.test(at + " (taken away)")
				v.Set(old)
			}
			if item.Kind() == reflect.Pointer {
				m.fields(at, item.Elem(), item.Interface())
			} else {
				m.value(at, item, nil)
			}
		}
	case reflect.Struct:
		m.fields(what, v, v.Addr().Interface())
	}
}

// asksNothing says whether a group holds nothing but groups that hold nothing.
func asksNothing(g *circe.Group) bool {
	return len(g.Criteria)+len(g.Demographic) == 0 && !slices.ContainsFunc(g.Groups, func(g *circe.Group) bool { return !asksNothing(g) })
}

// fields changes each field that asks something, given the others.
func (m *mutator) fields(what string, v reflect.Value, holder any) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Name == "Path" || silent[v.Type().Name()+"."+f.Name] || m.idle(f.Name, holder) {
			continue
		}
		m.value(what+"."+f.Name, v.Field(i), holder)
	}
}

// idle says whether a field asks nothing where it stands.
func (m *mutator) idle(field string, holder any) bool {
	once := len(m.d.Primary.Criteria) == 1 && (m.d.Primary.Criteria[0].First || m.d.Primary.Criteria[0].Kind.Name == "Death")
	switch h := holder.(type) {
	case *circe.Definition:
		switch field {
		case "QualifiedLimit":
			return h.Additional == nil || h.Primary.Limit != circe.LimitAll || once
		case "ExpressionLimit":
			return h.Primary.Limit != circe.LimitAll || h.Additional != nil && h.QualifiedLimit != circe.LimitAll || once
		case "Additional":
			return h.Additional == nil || h.Additional.Empty()
		}
	case *circe.Primary:
		return field == "Limit" && once
	case *circe.Concept:
		return field == "ID" && h.Name != ""
	case *circe.EndStrategy:
		switch field {
		case "FromEnd":
			return h.Kind != circe.EndAtOffset
		case "Days":
			return h.Kind == circe.EndOfObservation
		case "Set", "GapDays", "HasSupply":
			return h.Kind != circe.EndOfExposure
		case "Supply":
			return !h.HasSupply
		}
	case *circe.Group:
		return field == "Count" && (h.Kind == circe.All || h.Kind == circe.Any || h.Empty()) ||
			field != "Count" && field != "Kind" && h.Empty()
	case *circe.Window:
		return field == "IndexEnd" && h.From.Open && h.To.Open
	case *circe.Endpoint:
		return field == "Days" && h.Open || field == "Before" && !h.Open
	case *circe.Occurrence:
		return field == "Column" && !h.Distinct
	case *circe.Filter:
		switch field {
		case "Value":
			return h.Op > circe.OpNotBetween
		case "Extent":
			return h.Op != circe.OpBetween && h.Op != circe.OpNotBetween
		case "Text":
			return h.Op != circe.OpLike && h.Op != circe.OpNotLike
		case "Set":
			return h.Set < 0
		}
	case *circe.Criterion:
		switch field {
		case "Set":
			return h.Set < 0
		case "Source":
			return h.Source < 0
		}
	}
	return false
}
