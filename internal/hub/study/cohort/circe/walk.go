package circe

// Walk calls visit for every criterion of a definition: primary, correlated at
// any depth, and censoring.
func (d *Definition) Walk(visit func(*Criterion)) {
	for _, c := range d.Primary.Criteria {
		c.walk(visit)
	}
	d.Additional.walk(visit)
	for _, r := range d.Rules {
		r.Group.walk(visit)
	}
	for _, c := range d.Censoring {
		c.walk(visit)
	}
}

func (c *Criterion) walk(visit func(*Criterion)) {
	visit(c)
	c.Group.walk(visit)
}

func (g *Group) walk(visit func(*Criterion)) {
	if g == nil {
		return
	}
	for _, c := range g.Criteria {
		c.Criterion.walk(visit)
	}
	for _, sub := range g.Groups {
		sub.walk(visit)
	}
}
