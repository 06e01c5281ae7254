package cli

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/hub/study/runner/worker"
)

// defaultWorker is where a worker's folder is looked for: Spark gives a worker
// no environment.
const defaultWorker = "/var/lib/havre/worker"

func newWorker(e *env) *cobra.Command {
	var dir string
	var cores int
	cmd := &cobra.Command{
		Use:   "worker --worker FOLDER",
		Short: "On a machine of Spark: map the buckets that come as task lines",
		Long: `Reads task lines (havre1 PLAN BUCKET ROUND) on standard input, fetches each
bucket's segments from the store, opens them in memory, maps them, and writes one
sealed, signed partial result a line on standard output. Progress and errors go
to standard error; the exit codes are those of every command.

Spark starts it (havre study run --runner spark); people use the commands below.`,
		Example: "  havre worker --worker /var/lib/havre/worker < tasks",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cores > 0 {
				runtime.GOMAXPROCS(cores)
			}
			return e.work(cmd.Context(), dir)
		},
	}
	cmd.Flags().StringVar(&dir, "worker", envOr("HAVRE_WORKER", defaultWorker), "the folder of the worker (or $HAVRE_WORKER)")
	cmd.Flags().IntVar(&cores, "cores", 1, "cores to use, as many as Spark counts for one task (spark.task.cpus); 0 for all")
	cmd.AddCommand(newWorkerInit(e), newWorkerEnroll(e), newWorkerList(e), newWorkerRemove(e))
	return cmd
}

// work is one worker process. It ends when what started it does: Spark kills
// the process in between, and nobody would read the answers.
func (e *env) work(ctx context.Context, dir string) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		fmt.Fprintln(e.Err, "havre: warning: this worker may outlive what started it:", err)
	}
	w, err := app.OpenWorker(ctx, dir)
	if err != nil {
		_, _ = fmt.Fprintln(e.Out, worker.ErrorLine(err)) // the hub tells it to whoever started the run
		return err
	}
	if !e.quiet {
		w.Note = func(t worker.Task, took time.Duration) {
			fmt.Fprintf(e.Err, "havre: worker: plan %s, bucket %d, round %d: %s\n", t.Plan[:12], t.Bucket, t.Round, took.Round(time.Millisecond))
		}
	}
	return w.Serve(ctx, e.In, e.Out)
}

func newWorkerInit(e *env) *cobra.Command {
	var o app.WorkerOptions
	cmd := &cobra.Command{
		Use:   "init --worker FOLDER --name NAME --hub-card CARD --store URL --custodian file:PATH",
		Short: "On a machine of Spark: make a worker's folder and its card",
		Long: `Makes a worker's folder: its keys, its hub's card, its configuration. The card
(card.json) asks the hub to enrol it; read the fingerprint to the hub's operator.

The worker needs to read the hub's store, no more. Spark gives it no
environment: the store's credentials stand in a file (credentials=FILE in the
URL), and both that file and the custodian's key belong to the account that
Spark's executors run under, mode 0600.`,
		Example: `  havre worker init --name node-1 --hub-card card.json --store 's3://havre/hub?endpoint=https://s3.example&credentials=/etc/havre/s3' --custodian file:/etc/havre/worker.key
  havre worker enroll --hub hub --as operator@hub.example --fingerprint 1f0c-77aa-09e1-5b3d node-1/card.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "worker", "name", "hub-card", "store", "custodian"); err != nil {
				return err
			}
			card, err := app.InitWorker(cmd.Context(), o)
			if err != nil {
				return err
			}
			return e.card(o.Dir, card)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "worker", envOr("HAVRE_WORKER", defaultWorker), "the folder to make (or $HAVRE_WORKER)")
	f.StringVar(&o.Name, "name", "", "name of the worker: lower-case letters, digits, hyphens")
	f.StringVar(&o.HubCard, "hub-card", "", "card.json of the hub")
	f.StringVar(&o.Store, "store", "", "the hub's store, as this machine reaches it; a relative file: counts from the worker's folder")
	f.StringVar(&o.Custodian, "custodian", "", "file:PATH of the key that opens the worker's key ring, made if absent")
	return cmd
}

func newWorkerEnroll(e *env) *cobra.Command {
	var dir, as, fingerprint string
	cmd := &cobra.Command{
		Use:   "enroll --hub FOLDER --as OPERATOR --fingerprint F CARD.json",
		Short: "At the hub: let a worker read what plans of this hub give it",
		Long: `Enrols a worker by its card. The fingerprint is the one that the worker's own
machine shows: read it there, or have it read to you, not from the card. The log
keeps the worker's key. Plans made from now on are sealed to it too.`,
		Example: "  havre worker enroll --hub hub --as operator@hub.example --fingerprint 1f0c-77aa-09e1-5b3d card.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as", "fingerprint"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				w, err := h.EnrollWorker(cmd.Context(), args[0], fingerprint, as)
				if err != nil {
					return err
				}
				return e.result(w, func(out io.Writer) {
					fmt.Fprintf(out, "worker %s enrolled, fingerprint %s, log position %d\n", w.Name, w.Fingerprint(), w.LogIndex)
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "as the worker's machine shows it")
	return cmd
}

func newWorkerList(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "list --hub FOLDER",
		Short:   "At the hub: list the enrolled workers",
		Example: "  havre worker list --hub hub",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				all, err := h.Workers()
				if err != nil {
					return err
				}
				return e.result(map[string]any{"workers": all}, func(w io.Writer) {
					for _, x := range all {
						fmt.Fprintf(w, "%s  %s  since %s, log position %d\n", x.Name, x.Fingerprint(), x.Since.Format(time.DateOnly), x.LogIndex)
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}

func newWorkerRemove(e *env) *cobra.Command {
	var dir, as string
	cmd := &cobra.Command{
		Use:     "remove --hub FOLDER --as OPERATOR NAME",
		Short:   "At the hub: take a worker from the list; plans are no longer made for it",
		Example: "  havre worker remove --hub hub --as operator@hub.example node-1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				if err := h.RemoveWorker(cmd.Context(), args[0], as); err != nil {
					return err
				}
				return e.result(map[string]any{"removed": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "worker %s removed\n", args[0]) })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	return cmd
}
