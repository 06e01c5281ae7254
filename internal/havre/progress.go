package havre

// Progress receives the steps of a long job. Domain code calls it; the CLI
// draws a line on a terminal, plain lines in a pipe, JSON objects with --json;
// the console shows the same events. Implementations are safe for concurrent
// use.
type Progress interface {
	// Step begins a step. total is how many units it has, or -1 when that is
	// not known; unit is a plural noun such as "rows" or "buckets".
	Step(name string, total int64, unit string) Counter
}

// Counter counts the units of one step. Safe for concurrent use.
type Counter interface {
	Add(n int64)
	// Done ends the step; further calls have no effect.
	Done()
}

// NoProgress is a Progress that shows nothing.
var NoProgress Progress = noProgress{}

type noProgress struct{}

func (noProgress) Step(string, int64, string) Counter { return noProgress{} }
func (noProgress) Add(int64)                          {}
func (noProgress) Done()                              {}
