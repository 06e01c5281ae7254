package circe

// conceptFields are what Circe and the vocabulary pages of ATLAS write about a
// concept; only its id counts.
var conceptFields = []string{"CONCEPT_ID", "CONCEPT_NAME", "STANDARD_CONCEPT", "STANDARD_CONCEPT_CAPTION",
	"INVALID_REASON", "INVALID_REASON_CAPTION", "CONCEPT_CODE", "DOMAIN_ID", "VOCABULARY_ID", "CONCEPT_CLASS_ID",
	"VALID_START_DATE", "VALID_END_DATE"}

func (p *parser) concept(n node) Concept {
	var c Concept
	found := false
	words := map[string]*string{"CONCEPT_NAME": &c.Name, "CONCEPT_CODE": &c.Code, "DOMAIN_ID": &c.Domain,
		"VOCABULARY_ID": &c.Vocabulary, "STANDARD_CONCEPT": &c.Standard}
	ok := p.object(n, conceptFields, func(name string, n node) {
		if name == "CONCEPT_ID" {
			found = true
			c.ID = p.integer(n, -1<<63, 1<<63-1)
		} else if w := words[name]; w != nil {
			*w = n.text // whatever it is, it does not count
		}
	})
	if ok && !found {
		p.mistake(n.path+".CONCEPT_ID", "the concept has no id")
	}
	return c
}

func (p *parser) conceptSet(n node) {
	var s ConceptSet
	hasID, hasItems := false, false
	ok := p.object(n, []string{"id", "name", "expression"}, func(name string, n node) {
		switch name {
		case "id":
			hasID = true
			s.ID = p.integer(n, -1<<31, 1<<31-1)
		case "name":
			s.Name = p.text(n)
		case "expression":
			p.object(n, []string{"items"}, func(_ string, n node) {
				hasItems = true
				p.list(n, func(n node) { s.Items = append(s.Items, p.conceptItem(n)) })
			})
		}
	})
	switch _, twice := p.sets[s.ID]; {
	case !ok:
	case !hasID:
		p.mistake(n.path+".id", "the concept set has no id")
	case twice:
		p.mistake(n.path+".id", "concept set %d is there twice", s.ID)
	case !hasItems:
		p.mistake(n.path+".expression.items", "the concept set has no list of concepts")
	default:
		p.sets[s.ID] = len(p.d.ConceptSets)
		p.d.ConceptSets = append(p.d.ConceptSets, s)
	}
}

func (p *parser) conceptItem(n node) ConceptItem {
	var i ConceptItem
	has := false
	ok := p.object(n, []string{"concept", "isExcluded", "includeDescendants", "includeMapped"}, func(name string, n node) {
		switch name {
		case "concept":
			has = true
			i.Concept = p.concept(n)
		case "isExcluded":
			i.Excluded = p.flag(n)
		case "includeDescendants":
			i.Descendants = p.flag(n)
		case "includeMapped":
			i.Mapped = p.flag(n)
		}
	})
	if ok && !has {
		p.mistake(n.path+".concept", "the concept is missing")
	}
	return i
}

// codeset reads the number of a concept set and gives its index, -1 after a
// mistake.
func (p *parser) codeset(n node) int {
	id := p.integer(n, -1<<31, 1<<31-1)
	if n.kind != numberNode {
		return -1
	}
	i, ok := p.sets[id]
	if !ok {
		p.mistake(n.path, "there is no concept set %d", id)
		return -1
	}
	return i
}
