package studytest

// Builder fills a table row by row. Every column of a row must be given.
type Builder struct {
	Table Table
}

// NewBuilder starts an empty table.
func NewBuilder() Builder { return Builder{Table{}} }

func (b Builder) column(name string, null bool) *Column {
	if b.Table[name] == nil {
		b.Table[name] = &Column{}
	}
	c := b.Table[name]
	c.Null = append(c.Null, null)
	return c
}

// Int adds a whole number to a column.
func (b Builder) Int(name string, v int64) {
	c := b.column(name, false)
	c.Ints = append(c.Ints, v)
}

// Day adds a date, in days since 1970-01-01.
func (b Builder) Day(name string, v int) {
	c := b.column(name, false)
	c.Days = append(c.Days, int32(v))
}

// Text adds text.
func (b Builder) Text(name, v string) {
	c := b.column(name, false)
	c.Texts = append(c.Texts, v)
}

// NullInt adds a whole number that is not there.
func (b Builder) NullInt(name string) {
	c := b.column(name, true)
	c.Ints = append(c.Ints, 0)
}

// NullDay adds a date that is not there.
func (b Builder) NullDay(name string) {
	c := b.column(name, true)
	c.Days = append(c.Days, 0)
}

// NullText adds a text that is not there.
func (b Builder) NullText(name string) {
	c := b.column(name, true)
	c.Texts = append(c.Texts, "")
}
