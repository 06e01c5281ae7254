package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/audit/verify"
)

func newAudit(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "The log: read it, verify it, hand it to outsiders"}
	cmd.AddCommand(newAuditLog(e), newAuditVerify(e), newAuditExport(e))
	return cmd
}

func newAuditLog(e *env) *cobra.Command {
	var dir, action, subject string
	cmd := &cobra.Command{
		Use:     "log --hub FOLDER",
		Short:   "Print the entries of the log",
		Example: "  havre audit log --hub hub --action permit.decided",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				c, err := h.Log.Checkpoint()
				if err != nil {
					return err
				}
				records := []tlog.Record{}
				for r, err := range h.Log.Entries(cmd.Context(), 0, c.Size, tlog.Filter{Action: action, Subject: subject}) {
					if err != nil {
						return err
					}
					records = append(records, r)
				}
				return e.result(map[string]any{"size": c.Size, "root": c.RootHex(), "entries": records}, func(w io.Writer) {
					for _, r := range records {
						fmt.Fprintf(w, "%6d  %s  %-24s %s %v\n", r.Index, r.Entry.Time.Format("2006-01-02 15:04:05"), r.Entry.Action, r.Entry.Subject, r.Entry.Facts)
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	cmd.Flags().StringVar(&action, "action", "", "only entries of this action")
	cmd.Flags().StringVar(&subject, "subject", "", "only entries about this delivery, permit, run or release")
	return cmd
}

func newAuditVerify(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "verify (--hub FOLDER | EXPORTED_FOLDER)",
		Short: "Verify the hub's own log, or an exported folder",
		Example: `  havre audit verify --hub hub
  havre audit verify exported`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				keys, err := verify.ReadKeys(args[0])
				if err != nil {
					return err
				}
				r, err := verify.Folder(cmd.Context(), args[0], keys, e.progress())
				if err != nil {
					return err
				}
				if err := e.result(r, func(w io.Writer) { _ = r.Print(w) }); err != nil {
					return err
				}
				return r.Err()
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				r, err := h.Log.Verify(cmd.Context(), e.progress())
				if err != nil {
					return err
				}
				if err := e.result(r, func(w io.Writer) {
					fmt.Fprintf(w, "%d entries, root %s: %s\n", r.Size, r.Root, yes(r.OK(), "verified", "NOT VERIFIED"))
				}); err != nil {
					return err
				}
				return r.Err()
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}

func newAuditExport(e *env) *cobra.Command {
	var dir, out, released string
	cmd := &cobra.Command{
		Use:     "export --hub FOLDER --out FOLDER [--released FOLDER]",
		Short:   "Write what outsiders need to check the hub with havre-verify",
		Example: "  havre audit export --hub hub --out exported --released released",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "out"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				c, err := h.ExportProofs(cmd.Context(), out, released)
				if err != nil {
					return err
				}
				keys := h.Keys()
				return e.result(map[string]any{"size": c.Size, "root": c.RootHex(), "folder": out, "keys_fingerprint": keys.Fingerprint()}, func(w io.Writer) {
					fmt.Fprintf(w, "%d entries, root %s\nkeys fingerprint %s: hand it on by another way than the folder\ncheck it: havre-verify %s\n", c.Size, c.RootHex(), keys.Fingerprint(), out)
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	cmd.Flags().StringVar(&out, "out", "", "new folder to write")
	cmd.Flags().StringVar(&released, "released", "", "folder of released results, to be checked with the rest")
	return cmd
}
