package cli

import "github.com/spf13/cobra"

func newCohort(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "cohort", Short: "Cohort definitions of ATLAS, or short ones: check, explain, compare, export, run"}
	cmd.AddCommand(newCohortCheck(e), newCohortExplain(e), newCohortDiff(e), newCohortExport(e), newCohortNeeds(e), newCohortRun(e))
	return cmd
}

// languageFlag is --lang, which completes to the languages spoken.
func languageFlag(cmd *cobra.Command, into *string, languages []string) {
	cmd.Flags().StringVar(into, "lang", languages[0], "language: "+languages[0]+" or "+languages[1])
	// The flag is there: this cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(languages, cobra.ShellCompDirectiveNoFileComp))
}
