package study

// Output is what an analysis finishes with: one table of aggregates whose
// structure the disclosure rules understand. Nothing else can be released.
type Output struct {
	Name       string      `json:"name"`  // file name stem, a valid name
	Title      string      `json:"title"` // for people
	Kind       Kind        `json:"kind"`
	Dimensions []Dimension `json:"dimensions"`
	Measures   []string    `json:"measures,omitempty"` // keys of Cell.Values, in column order
	Cells      []Cell      `json:"cells"`
	Notes      []string    `json:"notes,omitempty"`

	// Sources names the outputs of the same run that this one is computed from
	// (a ratio: its rates). A cell is hidden when one it is made from is hidden:
	// the source's cell of the same categories and, on dimensions that only the
	// source has, of their total, or of every category where there is no total.
	Sources []string `json:"sources,omitempty"`
}

// Kind is the class of output, which decides the rules that apply; the names
// are those of the "statbarns" of SACRO.
type Kind string

// The kinds that exist so far.
const (
	Frequencies Kind = "frequencies" // counts of persons
	Rates       Kind = "rates"       // persons, events and person-years
	Ratios      Kind = "ratios"      // made from two rates
)

// Dimension is one classifying variable. Categories are all that may occur, in
// order, whether or not a cell has them. With Total the table also has cells
// whose key for this dimension is "total".
type Dimension struct {
	Name       string   `json:"name"`
	Categories []string `json:"categories"`
	Total      bool     `json:"total,omitempty"`
	Sensitive  bool     `json:"sensitive,omitempty"` // belonging to a category is itself a secret
}

// TotalKey is the category that stands for the margin of a dimension.
const TotalKey = "total"

// Cell is one cell: Key has one category per dimension. Count is the number of
// distinct persons behind the cell. Contributors, where a measure rests on a
// smaller group, gives that group's persons (a rate: persons with an event).
// MaxShare is the largest share one person has in the cell's main sum, 0 if not
// a sum. Suppressed cells carry no numbers.
type Cell struct {
	Key          []string           `json:"key"`
	Count        int64              `json:"count"`
	Contributors map[string]int64   `json:"contributors,omitempty"`
	MaxShare     float64            `json:"max_share,omitempty"`
	Values       map[string]float64 `json:"values,omitempty"`
	Suppressed   string             `json:"suppressed,omitempty"` // "", "primary", "secondary", with the rule: "primary:min_count"
}
