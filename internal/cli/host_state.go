package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/placement"
	"github.com/havre-hub/havre/internal/host/strict"
)

func newHostDerogation(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "derogation", Short: "What an authority allows against the rule, until a day"}
	cmd.AddCommand(newHostDerogationAdd(e), newHostDerogationList(e))
	return cmd
}

func newHostDerogationAdd(e *env) *cobra.Command {
	var dir, as, data, until string
	var d host.Derogation
	cmd := &cobra.Command{
		Use:   "add --hub FOLDER --as ACCOUNT --host NAME --data CLASS --authority WHO --reference NUMBER --reasons TEXT --until DATE",
		Short: "Put a derogation on record",
		Long: `Puts on record that an authority allows data of a class on a host where the
criteria do not hold, until a day. The nearer that day, the more often leaving
is to be rehearsed; after it the hub is read-only.`,
		Example: `  havre host derogation add --hub hub --as operator@hub.example --host azure-france --data national-base \
    --authority CNIL --reference 2023-146 --reasons 'no host fulfils the list in time' --until 2026-12-20`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := needed(cmd, "as", "host", "data", "authority", "reference", "reasons", "until"); err != nil {
				return err
			}
			d.Data = placement.Class(data)
			if d.Until, err = strict.ParseDate(until); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				d, err := h.Host.Derogate(cmd.Context(), d, havre.NewPersonal(as))
				if err != nil {
					return err
				}
				return e.result(d, func(w io.Writer) { printDerogation(w, d) })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	f := cmd.Flags()
	f.StringVar(&d.Host, "host", "", "name of the host, as in its descriptor")
	f.StringVar(&data, "data", "", "class of data: national-base or health")
	f.StringVar(&d.Authority, "authority", "", "who granted it")
	f.StringVar(&d.Reference, "reference", "", "number of the decision")
	f.StringVar(&d.Reasons, "reasons", "", "why; it is kept and shown")
	f.StringVar(&until, "until", "", "its last day, 2027-12-31")
	return cmd
}

func printDerogation(w io.Writer, d host.Derogation) {
	c := d.ClockOf(havre.SystemNow())
	fmt.Fprintf(w, "%s: %s data on %s by %s (%s) until %s, %d days left; rehearse leaving every %d days, give notice by %s, read-only from %s\n",
		d.ID, d.Data, d.Host, d.Authority, d.Reference, d.Until, c.Days, c.DrillEvery, c.NoticeBy, c.ReadOnly)
}

func newHostDerogationList(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "list --hub FOLDER",
		Short:   "List the derogations on record, those that ended too",
		Example: "  havre host derogation list --hub hub",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withBeside(cmd, dir, func(b *app.Beside) error {
				all, err := b.Host.Derogations(cmd.Context())
				if err != nil {
					return err
				}
				return e.result(map[string]any{"derogations": all}, func(w io.Writer) {
					for _, d := range all {
						printDerogation(w, d)
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}

// withBeside opens the hub for reading, also while another process works on it.
func withBeside(cmd *cobra.Command, dir string, do func(*app.Beside) error) (err error) {
	b, err := app.OpenBeside(cmd.Context(), dir)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := b.Close(); err == nil {
			err = cerr
		}
	}()
	return do(b)
}

func orderFlags(cmd *cobra.Command, o *host.Order) {
	f := cmd.Flags()
	f.StringVar(&o.Authority, "authority", "", "the court or body that decided")
	f.StringVar(&o.Reference, "reference", "", "number of its decision")
	f.StringVar(&o.Reason, "reason", "", "in a few words")
}

func newHostSuspend(e *env) *cobra.Command {
	var dir, as string
	var o host.Order
	cmd := &cobra.Command{
		Use:   "suspend --hub FOLDER --as ACCOUNT --authority WHO --reference NUMBER",
		Short: "Stop the whole hub by order of an authority, within seconds",
		Long: `A court suspends the authorisation: from the next read on nothing is read or
written, in every run and every process, and everybody who tries is told by
whose order. It works while another process has the hub, which then stops by
itself and writes the order into the log.`,
		Example: "  havre host suspend --hub hub --as operator@hub.example --authority \"Conseil d'Etat\" --reference 'no. 490000'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "as", "authority", "reference"); err != nil {
				return err
			}
			order, logged, err := app.SuspendHub(cmd.Context(), dir, o, havre.NewPersonal(as))
			if err != nil {
				return err
			}
			return e.result(map[string]any{"order": order, "logged": logged}, func(w io.Writer) {
				fmt.Fprintf(w, "suspended by order of %s (%s)\n", order.Authority, order.Reference)
				if !logged {
					fmt.Fprintln(w, "another process works on the hub: it stops at its next read and writes the order into the log")
				}
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	orderFlags(cmd, &o)
	return cmd
}

func newHostResume(e *env) *cobra.Command {
	var dir, as string
	var o host.Order
	cmd := &cobra.Command{
		Use:     "resume --hub FOLDER --as OFFICER --authority WHO --reference NUMBER",
		Short:   "Let a suspended hub go on, when the order is lifted",
		Example: "  havre host resume --hub hub --as officer@hub.example --authority \"Conseil d'Etat\" --reference 'no. 490001'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "as", "authority", "reference"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				order, err := h.ResumeHub(cmd.Context(), o, as)
				if err != nil {
					return err
				}
				return e.result(map[string]any{"order": order}, func(w io.Writer) { fmt.Fprintln(w, "the hub goes on") })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	orderFlags(cmd, &o)
	return cmd
}
