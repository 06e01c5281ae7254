package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
)

func newHolder(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "holder", Short: "At a hospital or payer: make its folder, keep receipts"}
	cmd.AddCommand(newHolderInit(e), newHolderReceipt(e))
	return cmd
}

func newHolderInit(e *env) *cobra.Command {
	var dir, name, hub, keeper string
	cmd := &cobra.Command{
		Use:   "init --holder FOLDER --name NAME --hub-card CARD --keeper-card CARD",
		Short: "Make a holder's folder: its signing key, its hub and keeper",
		Example: `  havre holder init --holder chu-nord --name chu-nord --hub-card hub/card.json --keeper-card keeper/card.json
  havre trust --at hub chu-nord/card.json
  havre trust --at keeper chu-nord/card.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "holder", "name", "hub-card", "keeper-card"); err != nil {
				return err
			}
			card, err := app.InitHolder(cmd.Context(), dir, name, hub, keeper)
			if err != nil {
				return err
			}
			return e.card(dir, card)
		},
	}
	folderFlag(cmd, &dir, "holder", "holder")
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "name of the holder: lower-case letters, digits, hyphens")
	f.StringVar(&hub, "hub-card", "", "card.json of the hub")
	f.StringVar(&keeper, "keeper-card", "", "card.json of the keeper")
	return cmd
}

func newHolderReceipt(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "receipt --holder FOLDER RECEIPT.json",
		Short:   "Check a receipt that came by folder, and keep it",
		Example: "  havre holder receipt --holder chu-nord receipt.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "holder"); err != nil {
				return err
			}
			if err := app.KeepReceipt(dir, args[0]); err != nil {
				return err
			}
			return e.result(map[string]any{"kept": true}, func(w io.Writer) {
				fmt.Fprintln(w, "the receipt is the hub's, matches the delivery, and is kept in", dir+"/receipts")
			})
		},
	}
	folderFlag(cmd, &dir, "holder", "holder")
	return cmd
}

func newDeliver(e *env) *cobra.Command {
	var d app.Delivery
	var resume string
	cmd := &cobra.Command{
		Use:   "deliver --holder FOLDER --cdm PLACE --to-hub WAY --to-keeper WAY",
		Short: "At the holder: split identity from health, seal, sign and send",
		Long: `Reads an OMOP CDM (folder or zip of CSV or Parquet), gives each person a random
transport id, looks at every value for identities that have no place in a
health part, seals the identity part to the keeper and the health parts to the
hub, signs the manifest, and sends. Nothing leaves this process in clear.

A way is a folder, or the https:// address of the hub. If a value looks like an
identity the whole delivery is refused, with file, column and row number, never
the value; after looking at the column, accept it with --accept table.column.`,
		Example: "  havre deliver --holder chu-nord --cdm extract --identity extract/identity.csv --to-hub https://hub.example:8443 --to-keeper /mnt/keeper",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "holder", "cdm", "to-hub", "to-keeper"); err != nil {
				return err
			}
			d.Resume, d.Progress = havre.DeliveryID(resume), e.progress()
			r, err := app.Deliver(cmd.Context(), d)
			if err != nil {
				return err
			}
			m := r.Manifest
			return e.result(map[string]any{"delivery": m.Delivery, "persons": m.Persons, "rows_in": m.RowsIn(), "parts": len(m.Parts), "sources": m.Sources, "receipt": r.Receipt, "skipped": r.Skipped},
				func(w io.Writer) {
					fmt.Fprintf(w, "delivery %s: %d persons, %d rows in %d sealed parts\n", m.Delivery, m.Persons, m.RowsIn(), len(m.Parts))
					for _, s := range r.Skipped {
						fmt.Fprintf(w, "not read: %s (%s)\n", s.Name, s.Reason)
					}
					if r.Receipt != nil {
						fmt.Fprintf(w, "receipt of the hub: log position %d, kept in %s/receipts\n", r.Receipt.LogIndex, d.Home)
					}
				})
		},
	}
	folderFlag(cmd, &d.Home, "holder", "holder")
	f := cmd.Flags()
	f.StringVar(&d.CDM, "cdm", "", "folder or zip of an OMOP CDM 5.3 or 5.4")
	f.StringVar(&d.Identity, "identity", "", "CSV of identity traits; without it persons are known by their source ids only")
	f.StringVar(&d.ToHub, "to-hub", "", "folder, or https:// address of the hub")
	f.StringVar(&d.ToKeeper, "to-keeper", "", "folder that the keeper reads")
	f.StringSliceVar(&d.Accept, "accept", nil, "table.column that the guard may pass, after you looked at it")
	f.StringVar(&resume, "resume", "", "id of a delivery that was cut while being sent")
	return cmd
}

// envOr gives an environment variable, or a default.
func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
