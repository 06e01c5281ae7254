package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app/cohorts"
	"github.com/havre-hub/havre/internal/hub/study/cohort/diff"
	"github.com/havre-hub/havre/internal/hub/study/cohort/explain"
)

func newCohortDiff(e *env) *cobra.Command {
	var language, cdm string
	cmd := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "Say in plain words what changed between two versions of a definition",
		Long: `Compares what two definitions ask, not how they are written: the order of keys,
the numbers of concept sets and the layout make no difference, and one of the two
may be short. --json gives each change with its JSON paths. --cdm also counts the
persons and rows that the change gains and loses in a CDM of your own.`,
		Example: `  havre cohort diff 1071-v1.json 1071-v2.json
  havre cohort diff old.json new.yaml --cdm my-cdm --lang fr`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := cohorts.ReadOne(args[0])
			if err != nil {
				return err
			}
			after, err := cohorts.ReadOne(args[1])
			if err != nil {
				return err
			}
			d, err := cohorts.Diff(cmd.Context(), before, after, language, cdm, e.progress())
			if err != nil {
				return err
			}
			return e.result(d, func(w io.Writer) {
				_, _ = io.WriteString(w, diff.Text(d.Changes, d.Before, d.After, language))
				if m := d.Members; m != nil {
					fmt.Fprintf(w, "\npersons %d -> %d (%d gained, %d lost)\nrows    %d -> %d (%d gained, %d lost)\n",
						m.PersonsBefore, m.PersonsAfter, m.PersonsGained, m.PersonsLost, m.RowsBefore, m.RowsAfter, m.RowsGained, m.RowsLost)
				}
			})
		},
	}
	languageFlag(cmd, &language, explain.Languages)
	cmd.Flags().StringVar(&cdm, "cdm", "", "count who belongs to both in this CDM: folder, zip or DuckDB file")
	return cmd
}
