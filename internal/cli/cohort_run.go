package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app/cohorts"
)

func newCohortRun(e *env) *cobra.Command {
	var o cohorts.Options
	var definitions []string
	cmd := &cobra.Command{
		Use:   "run --cdm PLACE --definitions FILE|FOLDER... --out FILE",
		Short: "Find who belongs to each definition, in a CDM of your own",
		Long: `Runs cohort definitions as ATLAS exports them over your own OMOP CDM 5.3 or 5.4,
with no hub: a folder or zip of CSV or Parquet files, or a DuckDB file, with the
vocabulary tables among them. All definitions are answered in one pass, and the
rows equal those of the reference, OHDSI's circe-be.

A definition's number is that of the export, else the digits at the start of its
file's name (1071.json), else the next that is free. --stats writes who meets
which inclusion rule under the reference's column names, with attrition.csv and
a picture for each definition that has rules.`,
		Example: `  havre cohort run --cdm my-cdm --definitions 1071.json --out cohort.csv
  havre cohort run --cdm my-cdm.duckdb --definitions library/ --out cohort.parquet --stats stats`,
		RunE: func(cmd *cobra.Command, args []string) error {
			definitions = append(definitions, args...)
			if err := needed(cmd, "cdm", "out"); err != nil {
				return err
			}
			var err error
			if o.Definitions, err = cohorts.Read(definitions); err != nil {
				return err
			}
			o.Progress = e.progress()
			if !e.quiet && len(o.Definitions) <= mostEstimates {
				o.Estimate = e.estimate
			}
			run, err := cohorts.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if !e.quiet && !e.json {
				for _, w := range run.Warnings {
					fmt.Fprintf(e.Err, "havre: warning: %s\n", w)
				}
			}
			return e.result(run, func(w io.Writer) {
				for _, d := range run.Definitions {
					fmt.Fprintf(w, "%12d %9d rows %9d persons  %s\n", d.ID, d.Rows, d.Persons, d.Name)
				}
				fmt.Fprintf(w, "%d rows of %d definitions over %d observed persons in %s\n", run.Rows, len(run.Definitions), run.Persons, run.Out)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.CDM, "cdm", "", "folder or zip of CSV or Parquet files, or a DuckDB file")
	f.StringArrayVar(&definitions, "definitions", nil, "file, or folder of .json files; more may follow")
	f.StringVar(&o.Out, "out", "", "file to write, .parquet or .csv")
	f.StringVar(&o.Stats, "stats", "", "folder for inclusion, summary and censor statistics")
	return cmd
}

// mostEstimates is up to how many definitions have their sizes estimated aloud.
const mostEstimates = 5

// estimate shows what the first buckets say, before the full answer.
func (e *env) estimate(x cohorts.Estimate) {
	if e.json {
		_ = json.NewEncoder(e.Err).Encode(map[string]any{"estimate": x})
		return
	}
	fmt.Fprintf(e.Err, "after %d of %d buckets: about %.0f persons (95 %% interval %.0f to %.0f)  %s\n", x.Done, x.Buckets, x.Persons, x.Low, x.High, x.Name)
}
