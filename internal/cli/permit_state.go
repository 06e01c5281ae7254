package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
)

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

// newPermitState is a command that changes where a permit stands.
func newPermitState(e *env, verb, short string, change func(*permit.Authority, context.Context, string, string, string) error) *cobra.Command {
	var dir, as, reason string
	cmd := &cobra.Command{
		Use:     verb + " --hub FOLDER --as OFFICER --reason TEXT PERMIT",
		Short:   short,
		Example: "  havre permit " + verb + " --hub hub --as officer@hub.example --reason 'see letter of 3 May' p-0001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as", "reason"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				if err := change(h.Permits, cmd.Context(), args[0], as, reason); err != nil {
					return err
				}
				return e.result(map[string]any{"id": args[0], "done": verb}, func(w io.Writer) { fmt.Fprintf(w, "%s: %s done\n", args[0], verb) })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is kept")
	return cmd
}

func newPermitList(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "list --hub FOLDER",
		Short:   "List permits and applications",
		Example: "  havre permit list --hub hub",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				all, err := h.Permits.List(cmd.Context())
				if err != nil {
					return err
				}
				return e.result(map[string]any{"permits": all}, func(w io.Writer) {
					for _, p := range all {
						fmt.Fprintf(w, "%s  %-10s version %d  until %s  %s\n", p.ID, p.State, p.Version, p.End.Format("2006-01-02"), p.Title)
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}

func newPermitShow(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "show --hub FOLDER PERMIT",
		Short:   "Show a permit as it was signed",
		Example: "  havre permit show --hub hub p-0001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				signed, err := h.Permits.Signed(cmd.Context(), args[0], 0)
				if err != nil {
					return err
				}
				p, err := record.VerifyPermit(signed, h.Keys().Permits...)
				if err != nil {
					return err
				}
				return e.result(p, func(w io.Writer) {
					fmt.Fprintf(w, "%s version %d: %s\npurpose: %s\npeople: %v\nfrom %s to %s, decided by %s\nsmallest count %d, %d checkers\n",
						p.ID, p.Version, p.Title, p.Purpose, p.People, p.Start.Format("2006-01-02"), p.End.Format("2006-01-02"), p.Decider, p.Rules.MinCount, p.Checkers)
					for _, t := range p.Tables {
						fmt.Fprintf(w, "  %s: %v\n", t.Name, t.Columns)
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}

func newPermitOptOut(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "opt-out --hub FOLDER MESSAGE.age",
		Short:   "Take the keeper's sealed opt-out message; it acts on the next read of every permit",
		Example: "  havre permit opt-out --hub hub optout.age",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := os.ReadFile(args[0])
			if err != nil {
				return havre.E("opt-out", havre.NotFound, "the message "+args[0]+" cannot be read").Wrap(err)
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				if err := h.Permits.RecordOptOut(cmd.Context(), b); err != nil {
					return err
				}
				return e.result(map[string]any{"opted_out": h.Permits.OptedOut()}, func(w io.Writer) {
					fmt.Fprintf(w, "recorded; %d persons are opted out now\n", h.Permits.OptedOut())
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}
