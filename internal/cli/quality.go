package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
)

func newQuality(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "quality --hub FOLDER",
		Short: "At the hub: count what is odd in the rows of the warehouse",
		Long: `Counts, by table, rows that point at an absent visit, lie outside observation,
before birth or after death, end before they begin, or use concepts that the
vocabulary does not have, and persons without observation period. Nothing is
refused for it. Small counts are shown too, and opted-out persons counted: this
is for those who run the hub, and no result that may be passed on.`,
		Example: "  havre quality --hub hub",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				r, err := h.Quality(cmd.Context(), e.progress())
				if err != nil {
					return err
				}
				return e.result(r, func(w io.Writer) {
					fmt.Fprintf(w, "snapshot %d, %d rows about persons\n", r.Snapshot, r.Rows)
					for _, c := range r.Counts {
						fmt.Fprintf(w, "%12d  %-22s %s\n", c.Rows, c.Table, c.Rule)
					}
					if !r.Vocabulary {
						fmt.Fprintln(w, "no concept table was delivered, so concepts were not looked up")
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}
