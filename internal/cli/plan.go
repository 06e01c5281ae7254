package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/runner/scale"
)

func newPlan(e *env) *cobra.Command {
	var c scale.Case
	var memory int64
	var bandwidth float64
	cmd := &cobra.Command{
		Use:   "plan --persons N --rows N",
		Short: "What a hub of that size needs: buckets, memory, machines, hours, money",
		Long: `Works out what one pass of a study needs over so many persons and rows, from
costs that were measured on one small machine (docs/performance.md). It is
arithmetic, not a promise: try it with --machines 1 and your own data first.`,
		Example: `  havre plan --persons 67000000 --rows 100000000000
  havre plan --persons 2000000 --rows 3000000000 --definitions 500 --machines 2 --cores 8 --memory 32`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Persons == 0 || c.Rows == 0 {
				return havre.E("usage", havre.Usage, "havre plan needs --persons and --rows").WithHint("see: havre plan --help")
			}
			c.Memory, c.Bandwidth = memory<<30, bandwidth*1e9
			a, err := c.Answer(scale.Measured)
			if err != nil {
				return err
			}
			return e.result(a, func(w io.Writer) { printPlan(w, c, a) })
		},
	}
	f := cmd.Flags()
	f.Int64Var(&c.Persons, "persons", 0, "persons in the hub")
	f.Int64Var(&c.Rows, "rows", 0, "rows of all tables that the study reads")
	f.IntVar(&c.Definitions, "definitions", 1, "cohort definitions of the study; they share one pass")
	f.IntVar(&c.Tables, "tables", 10, "tables that it reads")
	f.IntVar(&c.Deliveries, "deliveries", 1, "deliveries that the rows came in")
	f.IntVar(&c.Buckets, "buckets", 0, "buckets of the hub; 0 to choose")
	f.IntVar(&c.Machines, "machines", 10, "machines of Spark")
	f.IntVar(&c.Cores, "cores", 16, "cores of each")
	f.Int64Var(&memory, "memory", 64, "memory of each, GiB")
	f.Float64Var(&bandwidth, "bandwidth", 1, "what each reads from the store, GB a second")
	f.Float64Var(&c.CoreHour, "core-hour", 0.05, "price of a core for an hour")
	f.Float64Var(&c.StoreMonth, "store-month", 0.02, "price of a gigabyte in the store for a month")
	return cmd
}

func printPlan(w io.Writer, c scale.Case, a scale.Answer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-22s "+format+"\n", append([]any{name}, args...)...)
	}
	line("buckets", "%d, of %s persons and %s rows; the largest has %.2f times the median", a.Buckets, grouped(a.PersonsBucket), grouped(a.RowsBucket), a.Skew)
	line("in the store", "%.2f TB, %.0f a month", float64(a.Stored)/1e12, a.StoreMoney)
	line("memory", "%.1f GiB a process for the largest bucket, %d processes on each of %d machines", float64(a.ProcessMemory)/(1<<30), a.Processes, c.Machines)
	line("work", "%.1f core-hours for %d definition(s)", a.CoreHours, c.Definitions)
	line("plan, at the hub", "%s", round(a.Plan))
	line("map, on Spark", "%s on %d cores", round(a.Map), c.Machines*a.Processes)
	line("fetch, at that time", "%s for all bytes", round(a.Fetch))
	line("merge, at the hub", "%s, while buckets come in; %.2f GB of partial results", round(a.Merge), float64(a.PartialsAtOnce)/1e9)
	line("in all", "%s, %.2f for %d cores", round(a.Total), a.RunMoney, c.Machines*c.Cores)
	fmt.Fprintln(w, "From costs measured on two cores; docs/performance.md says how.")
}

func round(d time.Duration) string {
	if d < time.Minute {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// grouped writes a number with commas.
func grouped(f float64) string {
	text := fmt.Sprintf("%.0f", f)
	var parts []string
	for len(text) > 3 {
		parts, text = append([]string{text[len(text)-3:]}, parts...), text[:len(text)-3]
	}
	return strings.Join(append([]string{text}, parts...), ",")
}
