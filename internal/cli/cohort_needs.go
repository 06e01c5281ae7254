package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app/cohorts"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

func newCohortNeeds(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "needs FILE|FOLDER...",
		Short:   "List the tables and columns that a permit must list for cohort run at a hub",
		Example: "  havre cohort needs library/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			read, err := cohorts.Read(args)
			if err != nil {
				return err
			}
			d, err := cohorts.Study("cohorts", read, nil)
			if err != nil {
				return err
			}
			needs, err := d.Needs()
			if err != nil {
				return err
			}
			return e.result(map[string]any{"definitions": len(read), "needs": needs}, func(w io.Writer) {
				fmt.Fprintf(w, "%d definitions read\n", len(read))
				printNeeds(w, needs)
			})
		},
	}
}

func printNeeds(w io.Writer, needs []cohort.Need) {
	for _, n := range needs {
		fmt.Fprintf(w, "  %s: %v\n", n.Table, n.Columns)
	}
}
