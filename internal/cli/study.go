package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
)

func newStudy(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "study", Short: "Check a study, see what it reads, run it under a permit"}
	cmd.AddCommand(newStudyCheck(e), newStudyRun(e))
	return cmd
}

func newStudyCheck(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "needs STUDY.yaml",
		Aliases: []string{"check"},
		Short:   "Check a study and list the tables and columns that it reads",
		Example: "  havre study needs study.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := app.ReadStudy(args[0])
			if err != nil {
				return err
			}
			needs, err := d.Needs()
			if err != nil {
				return err
			}
			return e.result(map[string]any{"name": d.Name, "analyses": len(d.Analyses), "needs": needs}, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %d cohorts, %d analyses; it reads\n", d.Name, len(d.Cohorts), len(d.Analyses))
				printNeeds(w, needs)
			})
		},
	}
}

// printRun says what waits, and how much of it was taken over.
func printRun(w io.Writer, s app.StudyRun) {
	printStatus(w, s.Status)
	if s.Cohorts != nil {
		fmt.Fprintln(w, s.Cohorts)
	}
}

func newStudyRun(e *env) *cobra.Command {
	var dir, as, permit string
	var where runnerFlags
	var watch watchFlag
	cmd := &cobra.Command{
		Use:   "run --hub FOLDER --permit ID --as ACCOUNT STUDY.yaml",
		Short: "Run a study under a permit; its results wait in the airlock",
		Long: `Runs a study on the current snapshot, bucket by bucket, under a permit. Nobody
sees a number: the outputs are checked by the permit's rules, sealed, and wait
for checkers. A run that was cut goes on at its last finished bucket. Cohorts
whose definition and rows are as at an earlier run are not evaluated again.

With --runner spark the buckets are mapped by enrolled workers on your own Spark
(docs/howto/spark.md); the result is the same to the last byte.`,
		Example: `  havre study run --hub hub --permit p-0001 --as ada@univ.example study.yaml
  havre study run --hub hub --permit p-0001 --as ada@univ.example --runner spark --master spark://master.example:7077 study.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "permit", "as"); err != nil {
				return err
			}
			d, err := app.ReadStudy(args[0])
			if err != nil {
				return err
			}
			on, done, err := where.on()
			if err != nil {
				return err
			}
			defer done()
			if on.Watcher, err = watch.watcher(e); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				s, err := h.RunStudyOn(cmd.Context(), on, d, permit, as, e.progress())
				if err != nil {
					return err
				}
				return e.result(s, func(w io.Writer) { printRun(w, s) })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	cmd.Flags().StringVar(&permit, "permit", "", "the permit to run under")
	where.add(cmd)
	watch.add(cmd)
	return cmd
}
