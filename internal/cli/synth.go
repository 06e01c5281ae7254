package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/synth"
)

func newSynth(e *env) *cobra.Command {
	var o synth.Options
	cmd := &cobra.Command{
		Use:   "synth --residents N --out FOLDER",
		Short: "Make a synthetic French population with known truth",
		Long: `Makes the files of two hospitals and a national payer about a synthetic French
population: identities as the INS has them, with each holder's typing errors,
and ten years of health data in OMOP CDM 5.4. The truth (who is who, and the
size of a built-in effect) stands apart in truth/. The same seed gives the same
bytes on every machine.`,
		Example: "  havre synth --residents 20000 --seed 1 --out population",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "out"); err != nil {
				return err
			}
			o.Progress = e.progress()
			s, err := synth.Generate(cmd.Context(), o)
			if err != nil {
				return err
			}
			return e.result(s, func(w io.Writer) {
				fmt.Fprintf(w, "%d residents in %s: files of the holders in holders/, the truth in truth/\n", o.Residents, o.Out)
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Residents, "residents", 20_000, "how many residents")
	f.Uint64Var(&o.Seed, "seed", 1, "the same seed gives the same bytes")
	f.StringVar(&o.Out, "out", "", "the folder to make; it must not exist or be empty")
	return cmd
}
