package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/release"
)

func newRelease(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "release", Short: "At the hub: the airlock, where results wait for two people"}
	cmd.AddCommand(newReleaseList(e), newReleaseReview(e), newReleaseDecide(e), newReleaseOut(e))
	return cmd
}

func printStatus(w io.Writer, s release.Status) {
	fmt.Fprintf(w, "release %s: %s; study %s under permit %s; %d of %d decisions\n", s.ID, s.State, s.Study, s.Permit, len(s.Decisions), s.Checkers)
	for _, r := range s.Reasons {
		fmt.Fprintf(w, "  in quarantine: %s\n", r)
	}
}

func newReleaseList(e *env) *cobra.Command {
	var dir, as string
	cmd := &cobra.Command{
		Use:     "list --hub FOLDER --as ACCOUNT",
		Short:   "List the releases that concern the account",
		Example: "  havre release list --hub hub --as checker-1@hub.example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				all, err := h.Airlock.List(cmd.Context(), as)
				if err != nil {
					return err
				}
				return e.result(map[string]any{"releases": all}, func(w io.Writer) {
					for _, s := range all {
						printStatus(w, s)
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	return cmd
}

func newReleaseReview(e *env) *cobra.Command {
	var dir, as string
	cmd := &cobra.Command{
		Use:     "review --hub FOLDER --as CHECKER RELEASE",
		Short:   "As a checker: see the tables and the evidence (JSON)",
		Example: "  havre release review --hub hub --as checker-1@hub.example r-0001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				r, err := h.Airlock.Review(cmd.Context(), args[0], as)
				if err != nil {
					return err
				}
				return e.result(r, func(w io.Writer) {
					enc := json.NewEncoder(w)
					enc.SetIndent("", "  ")
					_ = enc.Encode(r)
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	return cmd
}

func newReleaseDecide(e *env) *cobra.Command {
	var dir, as, reason string
	var approve, reject bool
	cmd := &cobra.Command{
		Use:     "decide --hub FOLDER --as CHECKER --approve|--reject --reason TEXT RELEASE",
		Short:   "As a checker: approve or reject; never one's own result, never twice",
		Example: "  havre release decide --hub hub --as checker-1@hub.example --approve --reason 'no small group' r-0001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			if approve == reject {
				return havre.E("usage", havre.Usage, "say either --approve or --reject")
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				s, err := h.Airlock.Decide(cmd.Context(), args[0], as, approve, reason)
				if err != nil {
					return err
				}
				return e.result(s, func(w io.Writer) { printStatus(w, s) })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	f := cmd.Flags()
	f.BoolVar(&approve, "approve", false, "it may leave")
	f.BoolVar(&reject, "reject", false, "it may not leave")
	f.StringVar(&reason, "reason", "", "why; it is kept with the release")
	return cmd
}

func newReleaseOut(e *env) *cobra.Command {
	var dir, as, out string
	cmd := &cobra.Command{
		Use:     "out --hub FOLDER --as ACCOUNT --out FOLDER RELEASE",
		Short:   "Let an approved result leave: CSV, charts and the signed record",
		Example: "  havre release out --hub hub --as ada@univ.example --out released r-0001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as", "out"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				r, err := h.Airlock.Release(cmd.Context(), args[0], as, filepath.Join(out, args[0]))
				if err != nil {
					return err
				}
				return e.result(r, func(w io.Writer) {
					fmt.Fprintf(w, "release %s: %d files in %s\n", r.ID, len(r.Files)+1, filepath.Join(out, args[0]))
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	cmd.Flags().StringVar(&out, "out", "", "folder; the result goes to a sub-folder named by the release")
	return cmd
}
