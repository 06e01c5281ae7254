package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/runner/spark"
)

// runnerFlags choose the machines of a run.
type runnerFlags struct {
	runner, master, command, log string
	conf                         []string
	slots                        int
}

func (r *runnerFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.runner, "runner", "pool", "where buckets are mapped: pool (this process) or spark")
	r.addSpark(cmd)
}

func (r *runnerFlags) addSpark(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.master, "master", "", "Spark's master: spark://HOST:PORT, yarn, k8s://URL, local[N]")
	f.StringVar(&r.command, "worker-command", "/usr/local/bin/havre worker", "the worker's command line on Spark's machines, with its full path")
	f.StringArrayVar(&r.conf, "spark-conf", nil, "a setting of Spark, NAME=VALUE; may be given several times")
	f.StringVar(&r.log, "spark-log", "", "file for what spark-submit prints")
	f.IntVar(&r.slots, "spark-slots", 0, "chunks of buckets out at once; 0 for twice what Spark has cores")
}

// on gives the machines, and what closes the log file.
func (r *runnerFlags) on() (app.On, func() error, error) {
	none := func() error { return nil }
	switch r.runner {
	case "pool":
		if r.master != "" {
			return app.On{}, none, havre.E("usage", havre.Usage, "--master is for --runner spark")
		}
		return app.On{}, none, nil
	case "spark":
		o, done, err := r.spark()
		return app.On{Spark: &o}, done, err
	}
	return app.On{}, none, havre.E("usage", havre.Usage, fmt.Sprintf("there is no runner %q", r.runner)).WithHint("the runners are pool and spark")
}

func (r *runnerFlags) spark() (spark.Options, func() error, error) {
	o := spark.Options{Master: r.master, Command: r.command, Slots: r.slots, Conf: map[string]string{}}
	none := func() error { return nil }
	if r.master == "" {
		return o, none, havre.E("usage", havre.Usage, "Spark needs --master").WithHint("e.g. --master spark://HOST:7077, yarn, k8s://https://HOST:6443")
	}
	for _, c := range r.conf {
		name, value, ok := strings.Cut(c, "=")
		if !ok || !strings.HasPrefix(name, "spark.") {
			return o, none, havre.E("usage", havre.Usage, "--spark-conf wants spark.NAME=VALUE")
		}
		o.Conf[name] = value
	}
	if r.log == "" {
		return o, none, nil
	}
	f, err := os.OpenFile(r.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return o, none, havre.E("runner", havre.NoSpace, "the file "+r.log+" cannot be written").Wrap(err)
	}
	o.Notes = f
	return o, f.Close, nil
}

func newRunner(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "runner", Short: "At the hub: see whether studies can run on Spark"}
	cmd.AddCommand(newRunnerCheck(e))
	return cmd
}

func newRunnerCheck(e *env) *cobra.Command {
	var dir string
	var r runnerFlags
	cmd := &cobra.Command{
		Use:   "check --hub FOLDER --master URL",
		Short: "Ask a worker on every executor who it is, what it reaches and what time it is",
		Long: `Starts Spark's application and asks a worker on every executor to fetch and open
a small sealed object from the store: that shows that the worker is installed,
enrolled and of this version, reaches the store, and has the right time. Fails
when a study could not run.`,
		Example: "  havre runner check --hub hub --master spark://master.example:7077",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, done, err := r.spark()
			if err != nil {
				return err
			}
			defer done()
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				c, err := h.CheckRunner(cmd.Context(), o)
				if err != nil {
					return err
				}
				problems := c.Problems()
				err = e.result(map[string]any{"check": c, "problems": problems}, func(w io.Writer) {
					fmt.Fprintf(w, "Spark %s at %s, Java %s, Python %s here; havre %s\n", c.Spark.Spark, c.Spark.Master, c.Spark.Java, c.Spark.Python, c.Program)
					for _, a := range c.Answers {
						if a.Problem == "" {
							fmt.Fprintf(w, "executor %s: worker %s, clock within %s\n", a.Executor, a.Worker, (a.Clock.Abs() + time.Second).Round(time.Second))
						}
					}
					fmt.Fprintf(w, "%d of %d executors answered\n", len(c.Answers), c.Executors)
				})
				if err == nil && len(problems) > 0 {
					err = havre.E("runner.check", havre.Refused, "a study cannot run there: "+strings.Join(problems, "; ")).
						WithHint("docs/howto/spark.md says what to install where")
				}
				return err
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	r.addSpark(cmd)
	return cmd
}
