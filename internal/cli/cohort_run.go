package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/app/cohorts"
	"github.com/havre-hub/havre/internal/havre"
)

func newCohortRun(e *env) *cobra.Command {
	var local cohorts.Options
	var definitions []string
	var at hubRun
	cmd := &cobra.Command{
		Use:   "run (--cdm PLACE --out FILE | --hub FOLDER --permit ID --as ACCOUNT) --definitions FILE|FOLDER...",
		Short: "Find who belongs to each definition: in a CDM of your own, or at a hub under a permit",
		Long: `Runs cohort definitions, as ATLAS exports them or short ones. All are answered
in one pass, and the rows equal those of the reference, OHDSI's circe-be.

With --cdm over your own OMOP CDM 5.3 or 5.4, with no hub: a folder or zip of
CSV or Parquet files, or a DuckDB file, with the vocabulary tables among them.
--stats writes who meets which inclusion rule under the reference's column names,
with attrition.csv and a picture for each definition that has rules.

With --hub at a hub, under a permit, as the study that is made of the
definitions: nobody sees a row or a number. The persons of each cohort, and the
attrition of each definition that has inclusion rules, wait in the airlock as a
study's outputs do; --runner spark maps them on your own Spark.

A definition's number is that of the export, else the digits at the start of its
file's name (1071.json), else the next that is free.`,
		Example: `  havre cohort run --cdm my-cdm --definitions 1071.json --out cohort.csv
  havre cohort run --cdm my-cdm.duckdb --definitions library/ --out cohort.parquet --stats stats
  havre cohort run --hub hub --permit p-0001 --as ada@univ.example --definitions library/
  havre cohort run --hub hub --permit p-0001 --as ada@univ.example --runner spark --master spark://master.example:7077 library/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			own, err := ownCDM(cmd)
			if err != nil {
				return err
			}
			read, err := cohorts.Read(append(definitions, args...))
			if err != nil {
				return err
			}
			if own {
				local.Definitions = read
				return e.runCohorts(cmd, local)
			}
			return e.runCohortsAt(cmd, at, read)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&definitions, "definitions", nil, "file, or folder of definitions; more may follow")
	f.StringVar(&local.CDM, "cdm", "", "folder or zip of CSV or Parquet files, or a DuckDB file")
	f.StringVar(&local.Out, "out", "", "with --cdm: file to write, .parquet or .csv")
	f.StringVar(&local.Stats, "stats", "", "with --cdm: folder for inclusion, summary and censor statistics")
	at.add(cmd)
	return cmd
}

// hubRun are the flags of a run at a hub.
type hubRun struct {
	dir, permit, as, name string
	by                    []string
	where                 runnerFlags
	watch                 watchFlag
}

func (r *hubRun) add(cmd *cobra.Command) {
	folderFlag(cmd, &r.dir, "hub", "hub")
	asFlag(cmd, &r.as)
	f := cmd.Flags()
	f.StringVar(&r.permit, "permit", "", "with --hub: the permit to run under")
	f.StringVar(&r.name, "name", "cohorts", "with --hub: name of the study")
	f.StringSliceVar(&r.by, "by", nil, "with --hub: traits to count each cohort by: sex, age_band, year, birth_decade")
	r.where.add(cmd)
	r.watch.add(cmd)
}

// ownCDM says whether the run is over a CDM of one's own and not at a hub, and
// refuses flags of the other.
func ownCDM(cmd *cobra.Command) (bool, error) {
	of := map[bool][]string{
		true:  {"cdm", "out", "stats"},
		false: {"permit", "name", "by", "runner", "master", "worker-command", "spark-conf", "spark-log", "spark-slots", "watched-by"},
	}
	own := cmd.Flag("cdm").Changed
	if !own && cmd.Flag("hub").Value.String() == "" {
		return false, havre.E("usage", havre.Usage, "it is not said where to run").
			WithHint("--cdm PLACE for a CDM of your own, --hub FOLDER for a hub")
	}
	if own && cmd.Flag("hub").Changed {
		return false, havre.E("usage", havre.Usage, "--cdm is a CDM of your own, --hub a hub: name one")
	}
	for _, name := range of[!own] {
		if cmd.Flag(name).Changed {
			return false, havre.E("usage", havre.Usage, fmt.Sprintf("--%s is not for a run %s", name, map[bool]string{true: "over a CDM of your own", false: "at a hub"}[own])).
				WithHint("see: " + cmd.CommandPath() + " --help")
		}
	}
	if own {
		return true, needed(cmd, "cdm", "out")
	}
	return false, needed(cmd, "permit", "as")
}

func (e *env) runCohortsAt(cmd *cobra.Command, at hubRun, read []cohorts.Definition) error {
	d, err := cohorts.Study(at.name, read, at.by)
	if err != nil {
		return err
	}
	on, done, err := at.where.on()
	if err != nil {
		return err
	}
	defer done()
	if on.Watcher, err = at.watch.watcher(e); err != nil {
		return err
	}
	return withHub(cmd.Context(), at.dir, func(h *app.Hub) error {
		s, err := h.RunStudyOn(cmd.Context(), on, d, at.permit, at.as, e.progress())
		if err != nil {
			return err
		}
		return e.result(s, func(w io.Writer) { printRun(w, s) })
	})
}

// mostEstimates is up to how many definitions have their sizes estimated aloud.
const mostEstimates = 5

func (e *env) runCohorts(cmd *cobra.Command, o cohorts.Options) error {
	o.Progress = e.progress()
	if !e.quiet && len(o.Definitions) <= mostEstimates {
		o.Estimate = func(x cohorts.Estimate) { e.estimate(map[string]any{"estimate": x}, x.Name, x.Estimate) }
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
}
