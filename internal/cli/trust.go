package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
)

func newTrust(e *env) *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "trust --at FOLDER CARD.json...",
		Short: "Let a hub, keeper or holder know the others by their cards",
		Long: `Adds cards (card.json of another hub, keeper or holder) to those that the zone
at FOLDER trusts. Compare the printed fingerprints with their owners by another
channel: a card proves only that it is whole.`,
		Example: "  havre trust --at hub keeper/card.json holders/chu-nord/home/card.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, cards []string) error {
			if err := needed(cmd, "at"); err != nil {
				return err
			}
			added, err := app.Trust(cmd.Context(), at, cards...)
			if err != nil {
				return err
			}
			return e.result(map[string]any{"trusted": added}, func(w io.Writer) {
				for _, c := range added {
					fmt.Fprintf(w, "trusted: %s %s, fingerprint %s\n", c.Zone, c.Name, c.Fingerprint())
				}
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "the folder of the hub, keeper or holder that is to trust them")
	return cmd
}
