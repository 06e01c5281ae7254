package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app/cohorts"
)

func newCohortExport(e *env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write a definition as the JSON that ATLAS imports",
		Long: `A short definition (.yaml) is expanded to the expression that ATLAS imports.
A definition that is JSON already comes out byte for byte as it is, once it has
been read without a mistake.`,
		Example: `  havre cohort export diabetes.yaml --out diabetes.json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := cohorts.ReadOne(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				_, err := e.Out.Write(d.Export())
				return err
			}
			if err := cohorts.WriteFile(out, d.Export()); err != nil {
				return err
			}
			return e.result(map[string]any{"id": d.ID, "name": d.Name, "out": out}, func(w io.Writer) { fmt.Fprintf(w, "%s is written to %s\n", d.Name, out) })
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write (default: standard output)")
	return cmd
}
