package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

func newInit(e *env) *cobra.Command {
	var o app.HubOptions
	cmd := &cobra.Command{
		Use:   "init --hub FOLDER --name NAME --store URL --custodian REFERENCE",
		Short: "Make a new hub at a store",
		Long: `Makes a hub: its folder with configuration, key ring, control database and log,
and an empty warehouse at the store. Nothing is ever overwritten, and no other
command makes a hub: a missing key or log is an error there.

The store is file:FOLDER, s3://BUCKET/PREFIX?endpoint=URL or
azblob://CONTAINER/PREFIX?account=NAME; credentials come from the environment.
The custodian opens everything (docs/howto/custodians.md): file:PATH, passphrase:PATH,
pkcs11:..., plugin:PATH, or two joined by " + ". Keep its key on another medium
than the store: a hub whose store's host can read it does not start, unless
--key-beside-store accepts that.`,
		Example: "  havre init --hub hub --name le-havre --store file:../store --custodian file:/media/key/hub.key --as operator@havre.example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "hub", "name", "store", "custodian", "as"); err != nil {
				return err
			}
			card, err := app.InitHub(cmd.Context(), o)
			if err != nil {
				return err
			}
			return e.card(o.Dir, card)
		},
	}
	folderFlag(cmd, &o.Dir, "hub", "hub")
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "", "name of the hub: lower-case letters, digits, hyphens")
	f.StringVar(&o.Store, "store", "", "where the sealed objects go; a relative file: counts from the hub's folder")
	f.StringVar(&o.Custodian, "custodian", "", "who opens the key ring, e.g. file:PATH; made if absent; a relative path counts from the hub's folder")
	f.BoolVar(&o.KeyBesideStore, "key-beside-store", false, "accept that the store's host can read the custodian's key (a trial on one machine); the posture shows it in red")
	f.IntVar(&o.Buckets, "buckets", warehouse.DefaultBuckets, "number of buckets of persons, a power of two; it can never change")
	asFlag(cmd, &o.Actor)
	return cmd
}

// card prints the card of a zone that was just made.
func (e *env) card(dir string, c app.Card) error {
	return e.result(map[string]any{"zone": c.Zone, "name": c.Name, "folder": dir, "card": dir + "/card.json", "fingerprint": c.Fingerprint()},
		func(w io.Writer) {
			fmt.Fprintf(w, "%s %s at %s\ncard: %s/card.json, fingerprint %s\n", c.Zone, c.Name, dir, dir, c.Fingerprint())
		})
}

// asFlag is the account that acts; the log holds a commitment to it.
func asFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "as", envOr("HAVRE_ACCOUNT", ""), "the account that acts (or $HAVRE_ACCOUNT)")
}
