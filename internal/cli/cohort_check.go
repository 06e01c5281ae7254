package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app/cohorts"
	"github.com/havre-hub/havre/internal/havre"
)

func newCohortCheck(e *env) *cobra.Command {
	var cdm string
	cmd := &cobra.Command{
		Use:   "check FILE|FOLDER...",
		Short: "Say all that is wrong, odd or doubtful about definitions",
		Long: `Reads definitions strictly and says, for each, all at once:

  error              it cannot be run: with the JSON path, or line and column
  note               the reference, circe-be, takes it otherwise than it is written
  critical, warning  what OHDSI's own checker warns of, in its words
  info
  concepts           with --cdm, concepts that the vocabulary there does not have,
                     or has as invalid or not standard, and sets that are empty

With an error the exit code is that of invalid input; else it is 0.`,
		Example: `  havre cohort check 1071.json
  havre cohort check library/ --cdm my-cdm --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			checked, err := cohorts.Check(cmd.Context(), args, cdm)
			if err != nil {
				return err
			}
			wrong := 0
			for _, c := range checked {
				if len(c.Errors) > 0 {
					wrong++
				}
			}
			if err := e.result(checked, func(w io.Writer) { printChecked(w, checked) }); err != nil {
				return err
			}
			if wrong > 0 {
				return havre.E("cohort.check", havre.Invalid, fmt.Sprintf("%d of %d definitions cannot be run", wrong, len(checked))).
					WithHint("the errors above say where")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&cdm, "cdm", "", "look the concepts up in the vocabulary of this CDM: folder, zip or DuckDB file")
	return cmd
}

func printChecked(w io.Writer, checked []cohorts.Checked) {
	for _, c := range checked {
		fmt.Fprintf(w, "%s: errors %d, notes %d, warnings %d\n", c.File, len(c.Errors), len(c.Notes), len(c.Warnings)+len(c.Concepts))
		for _, p := range c.Errors {
			fmt.Fprintf(w, "  error     %s\n", p)
		}
		for _, p := range c.Notes {
			fmt.Fprintf(w, "  note      %s\n", p)
		}
		for _, x := range c.Warnings {
			fmt.Fprintf(w, "  %-9s %s\n", x.Severity.Word(), x.Message)
		}
		for _, n := range c.Concepts {
			if n.Concept != 0 {
				fmt.Fprintf(w, "  concepts  %s, %d: %s\n", n.Set, n.Concept, n.Text)
			} else {
				fmt.Fprintf(w, "  concepts  %s: %s\n", n.Set, n.Text)
			}
		}
	}
}
