package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app/cohorts"
	"github.com/havre-hub/havre/internal/hub/study/cohort/explain"
)

// explained is one definition in words.
type explained struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Language string `json:"language"`
	Text     string `json:"text"`
}

func newCohortExplain(e *env) *cobra.Command {
	var language string
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Say in plain English or French what a definition asks for",
		Example: `  havre cohort explain 1071.json
  havre cohort explain --lang fr diabetes.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := cohorts.ReadOne(args[0])
			if err != nil {
				return err
			}
			text, err := explain.Text(d.Definition, d.Name, language)
			if err != nil {
				return err
			}
			return e.result(explained{d.ID, d.Name, language, text}, func(w io.Writer) { _, _ = io.WriteString(w, text) })
		},
	}
	languageFlag(cmd, &language, explain.Languages)
	return cmd
}
