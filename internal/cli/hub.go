package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// withHub opens the hub for one command.
func withHub(ctx context.Context, dir string, do func(*app.Hub) error) (err error) {
	h, err := app.OpenHub(ctx, dir)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := h.Close(); err == nil {
			err = cerr
		}
	}()
	for _, n := range h.Notices(ctx) { // everybody is told, also with -q
		fmt.Fprintln(os.Stderr, "havre: warning: "+n)
	}
	return do(h)
}

func newReceive(e *env) *cobra.Command {
	var dir, holder, receipt string
	cmd := &cobra.Command{
		Use:   "receive --hub FOLDER --holder-name NAME DELIVERY_FOLDER",
		Short: "At the hub: verify a delivery that came by folder, log it, give the receipt",
		Long: `Verifies a delivery (signature, hashes, counts, seals), keeps its sealed parts in
the store, writes it in the log, and gives the signed receipt. What does not
verify is refused and kept, sealed, in quarantine. Receiving twice gives the
same receipt.`,
		Example: "  havre receive --hub hub --holder-name chu-nord --receipt receipt.json in/3f0c...9a",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "holder-name"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				signed, err := h.Desk.Receive(cmd.Context(), envelope.Folder(args[0]), havre.HolderID(holder), e.progress())
				if err != nil {
					return err
				}
				if receipt != "" {
					if err := os.WriteFile(receipt, signed, 0o600); err != nil {
						return havre.E("receive", havre.NoSpace, "the receipt cannot be written to "+receipt).
							WithHint("the delivery is received; the same command gives the receipt again").Wrap(err)
					}
				}
				r, err := h.ReadReceipt(signed)
				if err != nil {
					return err
				}
				return e.result(r, func(w io.Writer) {
					fmt.Fprintf(w, "delivery %s of %s: %d rows in %d parts, log position %d\n", r.Delivery, r.Holder, r.Rows, r.Parts, r.LogIndex)
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	cmd.Flags().StringVar(&holder, "holder-name", "", "the holder that brought it")
	cmd.Flags().StringVar(&receipt, "receipt", "", "file for the signed receipt, to be given to the holder")
	return cmd
}

func newIngest(e *env) *cobra.Command {
	var dir, linkage string
	cmd := &cobra.Command{
		Use:   "ingest --hub FOLDER --linkage FOLDER DELIVERY",
		Short: "At the hub: take a received, linked delivery into the warehouse",
		Long: `Takes the keeper's table and the rows of a received delivery into a new snapshot
of the warehouse, then destroys the transport ids and the delivery's parts.
Ingesting twice changes nothing; one that was cut goes on.`,
		Example: "  havre ingest --hub hub --linkage from-keeper/3f0c...9a 3f0c...9a",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "linkage"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				r, err := h.Ingest(cmd.Context(), havre.DeliveryID(args[0]), envelope.Folder(linkage), e.progress())
				if err != nil {
					return err
				}
				return e.result(map[string]any{"delivery": r.Delivery, "rows_in": r.RowsIn(), "stored": r.Stored(), "rejected": r.Rejected(),
					"warnings": r.Warnings(), "already": r.Already}, func(w io.Writer) {
					fmt.Fprintf(w, "%d rows in, %d stored\n", r.RowsIn(), r.Stored())
					printCounts(w, "rejected", r.Rejected())
					printCounts(w, "noticed", r.Warnings())
					if r.Already {
						fmt.Fprintln(w, "the warehouse held this delivery already; nothing changed")
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	cmd.Flags().StringVar(&linkage, "linkage", "", "the keeper's folder for this delivery")
	return cmd
}

func printCounts(w io.Writer, title string, counts map[string]int64) {
	var reasons []string
	for r := range counts {
		reasons = append(reasons, r)
	}
	sort.Strings(reasons)
	for _, r := range reasons {
		fmt.Fprintf(w, "%s: %d %s\n", title, counts[r], r)
	}
}

func newAccount(e *env) *cobra.Command {
	var dir, role, as string
	cmd := &cobra.Command{Use: "account", Short: "At the hub: people and their roles"}
	add := &cobra.Command{
		Use:     "add --hub FOLDER --role ROLE ACCOUNT",
		Short:   "Give a role: operator, researcher, permit_officer, output_checker, auditor",
		Example: "  havre account add --hub hub --as operator@havre.example --role researcher ada@univ.example",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "role", "as"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				if err := h.Permits.AddAccount(cmd.Context(), args[0], havre.Role(role), havre.NewPersonal(as)); err != nil {
					return err
				}
				return e.result(map[string]any{"account": args[0], "role": role}, func(w io.Writer) { fmt.Fprintf(w, "%s is now %s\n", args[0], role) })
			})
		},
	}
	folderFlag(add, &dir, "hub", "hub")
	asFlag(add, &as)
	add.Flags().StringVar(&role, "role", "", "operator, researcher, permit_officer, output_checker or auditor")
	cmd.AddCommand(add)
	return cmd
}

func newFsck(e *env) *cobra.Command {
	var dir string
	var o warehouse.FsckOptions
	cmd := &cobra.Command{
		Use:   "fsck --hub FOLDER",
		Short: "At the hub: read the whole warehouse and check all that can be checked",
		Long: `Reads every manifest and object of the warehouse and checks seals, hashes, row
counts and Merkle roots. Objects of no snapshot (left by a crash) are listed;
--collect deletes those older than a day. With them are the members of cohorts
kept under permits that are over, which --collect deletes at any age.`,
		Example: "  havre fsck --hub hub",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				r, err := h.Fsck(cmd.Context(), o, e.progress())
				if err != nil {
					return err
				}
				if err := e.result(r, func(w io.Writer) {
					fmt.Fprintf(w, "%d snapshots, %d segments, %d rows, root %s\n", r.Snapshots, r.Segments, r.Rows, r.Root)
					for _, f := range r.Faults {
						fmt.Fprintf(w, "fault: %s: %s\n", f.Object, f.Problem)
					}
					fmt.Fprintf(w, "%d objects of no snapshot (%d bytes), %d collected\n", len(r.Orphans), r.OrphanBytes, r.Collected)
				}); err != nil {
					return err
				}
				if len(r.Faults) > 0 {
					return havre.E("fsck", havre.Tampered, fmt.Sprintf("%d objects of the warehouse are not as they must be", len(r.Faults))).
						WithHint("restore them from a copy of the store; the objects are named by their hash")
				}
				return nil
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	cmd.Flags().BoolVar(&o.Collect, "collect", false, "delete objects of no snapshot that are older than a day")
	return cmd
}

func newServe(e *env) *cobra.Command {
	var dir, listen string
	cmd := &cobra.Command{
		Use:   "serve --hub FOLDER",
		Short: "At the hub: the HTTPS endpoint for deliveries (mutual TLS)",
		Long: `Serves the delivery endpoint: mutual TLS 1.3 where each side knows the other by
its public key, so no certificate authority takes part. A holder sees only its
own deliveries. Stops on SIGINT or SIGTERM when what is under way is done.`,
		Example: "  havre serve --hub hub --listen 0.0.0.0:8443",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.ServeHub(cmd.Context(), dir, listen, func(address string) {
				fmt.Fprintf(e.Err, "havre: serving https://%s\n", address)
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	cmd.Flags().StringVar(&listen, "listen", "", "address, instead of the configured one; port 0 picks a free one")
	return cmd
}

// writeFile writes a document that the user asked for.
func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return havre.E("write", havre.NoSpace, "the folder of "+path+" cannot be made").Wrap(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return havre.E("write", havre.NoSpace, path+" cannot be written").Wrap(err)
	}
	return nil
}
