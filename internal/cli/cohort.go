package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app/cohorts"
	"github.com/havre-hub/havre/internal/hub/study/cohort/explain"
)

func newCohort(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "cohort", Short: "Cohort definitions of ATLAS: explain them, run them over your own CDM"}
	cmd.AddCommand(newCohortRun(e), newCohortExplain(e))
	return cmd
}

func newCohortExplain(e *env) *cobra.Command {
	var language string
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Say in plain English or French what a definition asks for",
		Example: `  havre cohort explain 1071.json
  havre cohort explain --lang fr 1071.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			read, err := cohorts.Read(args)
			if err != nil {
				return err
			}
			for _, d := range read {
				text, err := explain.Text(d.Definition, d.Name, language)
				if err != nil {
					return err
				}
				if err := e.result(map[string]any{"id": d.ID, "name": d.Name, "language": language, "text": text}, func(w io.Writer) { _, _ = io.WriteString(w, text) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&language, "lang", "en", "language: en or fr")
	return cmd
}
