package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper"
	"github.com/havre-hub/havre/internal/keeper/link"
)

func newKeeper(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "keeper", Short: "At the trusted third party: link persons, make pseudonyms, opt-outs"}
	cmd.AddCommand(newKeeperInit(e), newKeeperLink(e), newKeeperReview(e), newKeeperOptOut(e), newKeeperForget(e))
	return cmd
}

func newKeeperInit(e *env) *cobra.Command {
	var dir, name, custodian string
	cmd := &cobra.Command{
		Use:     "init --keeper FOLDER --name NAME --custodian file:PATH",
		Short:   "Make a keeper: keys, pseudonym secret, empty register",
		Example: "  havre keeper init --keeper keeper --name keeper --custodian file:../custodian/keeper.key",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "keeper", "name", "custodian"); err != nil {
				return err
			}
			card, err := app.InitKeeper(cmd.Context(), dir, name, custodian)
			if err != nil {
				return err
			}
			return e.card(dir, card)
		},
	}
	folderFlag(cmd, &dir, "keeper", "keeper")
	cmd.Flags().StringVar(&name, "name", "keeper", "name of the keeper")
	cmd.Flags().StringVar(&custodian, "custodian", "", "file:PATH of the custodian's key, made if absent; a relative path counts from the keeper's folder")
	return cmd
}

// withKeeper opens the keeper for one command.
func withKeeper(ctx context.Context, dir string, do func(*app.Keeper) error) (err error) {
	k, err := app.OpenKeeper(ctx, dir)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := k.Close(); err == nil {
			err = cerr
		}
	}()
	return do(k)
}

func newKeeperLink(e *env) *cobra.Command {
	var dir, from, to string
	cmd := &cobra.Command{
		Use:     "link --keeper FOLDER --from DELIVERY_FOLDER --to FOLDER",
		Short:   "Accept a delivery's identities, link them, make the sealed table for the hub",
		Example: "  havre keeper link --keeper keeper --from in/3f...9a --to out",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "keeper", "from", "to"); err != nil {
				return err
			}
			return withKeeper(cmd.Context(), dir, func(k *app.Keeper) error {
				l, err := k.LinkDelivery(cmd.Context(), envelope.Folder(from), to, e.progress())
				if err != nil {
					return err
				}
				return e.result(l, func(w io.Writer) {
					fmt.Fprintf(w, "delivery %s: %d rows, %d persons, %d of them new\n", l.Delivery, l.Rows, l.Persons, l.Counts.New)
					printCounts(w, "linked by", l.Counts.Linked)
					printCounts(w, "in review", l.Counts.Review)
					fmt.Fprintf(w, "table for the hub: %s\n", filepath.Join(to, string(l.Delivery)))
				})
			})
		},
	}
	folderFlag(cmd, &dir, "keeper", "keeper")
	cmd.Flags().StringVar(&from, "from", "", "the delivery's folder, as it came to the keeper")
	cmd.Flags().StringVar(&to, "to", "", "folder for the hub; the table goes to a sub-folder named by the delivery")
	return cmd
}

func newKeeperReview(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "review --keeper FOLDER",
		Short:   "List records with conflicting evidence, which were not linked",
		Example: "  havre keeper review --keeper keeper",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeeper(cmd.Context(), dir, func(k *app.Keeper) error {
				reviews := k.Reviews()
				return e.result(map[string]any{"reviews": reviews}, func(w io.Writer) {
					for _, r := range reviews {
						fmt.Fprintf(w, "person %d: may be one of %v (%s)\n", r.Person, r.Candidates, r.Reason)
					}
					fmt.Fprintf(w, "%d records wait for review\n", len(reviews))
				})
			})
		},
	}
	folderFlag(cmd, &dir, "keeper", "keeper")
	return cmd
}

func newKeeperOptOut(e *env) *cobra.Command {
	var dir, hub, holder, source, out string
	var t link.Traits
	var back bool
	cmd := &cobra.Command{
		Use:   "opt-out --keeper FOLDER --hub-name NAME --to FILE [--source ID --from-holder NAME | --birth-name ...]",
		Short: "Tell a hub, sealed, that a person opts out (or comes back)",
		Example: `  havre keeper opt-out --keeper keeper --hub-name le-havre --from-holder chu-nord --source 100003936 --to optout.age
  havre permit opt-out --hub hub optout.age`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "keeper", "hub-name", "to"); err != nil {
				return err
			}
			return withKeeper(cmd.Context(), dir, func(k *app.Keeper) error {
				sealed, err := k.OptOut(cmd.Context(), hub, keeper.Who{Holder: havre.HolderID(holder), Source: source, Traits: t}, !back)
				if err != nil {
					return err
				}
				if err := os.WriteFile(out, sealed, 0o600); err != nil {
					return havre.E("opt-out", havre.NoSpace, "the message cannot be written to "+out).Wrap(err)
				}
				return e.result(map[string]any{"message": out, "out": !back}, func(w io.Writer) {
					fmt.Fprintf(w, "sealed message for the hub: %s\n", out)
				})
			})
		},
	}
	folderFlag(cmd, &dir, "keeper", "keeper")
	f := cmd.Flags()
	f.StringVar(&hub, "hub-name", "", "the hub's name")
	f.StringVar(&out, "to", "", "file for the sealed message")
	f.StringVar(&holder, "from-holder", "", "with --source: the holder")
	f.StringVar(&source, "source", "", "the holder's own id of the person")
	f.StringVar(&t.BirthName, "birth-name", "", "birth name")
	f.StringVar(&t.GivenNames, "given-names", "", "given names")
	f.StringVar(&t.BirthDate, "birth-date", "", "birth date, YYYY-MM-DD")
	f.StringVar(&t.Sex, "sex", "", "M or F")
	f.StringVar(&t.BirthPlace, "birth-place", "", "INSEE code of the birthplace")
	f.StringVar(&t.NIR, "nir", "", "NIR with key")
	f.BoolVar(&back, "back", false, "take an opt-out back")
	return cmd
}

func newKeeperForget(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "forget --keeper FOLDER DELIVERY",
		Short:   "Destroy a delivery's transport ids, once the hub has validated it",
		Example: "  havre keeper forget --keeper keeper 3f0c...9a",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKeeper(cmd.Context(), dir, func(k *app.Keeper) error {
				if err := k.Forget(cmd.Context(), havre.DeliveryID(args[0])); err != nil {
					return err
				}
				return e.result(map[string]any{"forgotten": args[0]}, func(w io.Writer) {
					fmt.Fprintf(w, "every copy of the transport ids of delivery %s here is destroyed\n", args[0])
				})
			})
		},
	}
	folderFlag(cmd, &dir, "keeper", "keeper")
	return cmd
}
