package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/catalogue"
)

func newCatalogue(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalogue",
		Short: "Lists of requirements: frozen, versioned, answered, compared",
		Long: `A catalogue that is opened for answers is frozen: version 1, with its hash in the
log. Changing it makes version 2, for which somebody must say why; the
difference is shown and logged, and answers to version 1 stay as they were.`,
	}
	cmd.AddCommand(newCatalogueList(e), newCatalogueShow(e), newCatalogueOpen(e), newCatalogueAnswer(e), newCatalogueProbe(e), newCatalogueScore(e), newCatalogueDiff(e))
	return cmd
}

func newCatalogueList(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "list [--hub FOLDER]",
		Short: "List the catalogues that are shipped, or those opened at a hub",
		Example: `  havre catalogue list
  havre catalogue list --hub hub`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				all, err := catalogue.Shipped()
				if err != nil {
					return err
				}
				return e.result(map[string]any{"catalogues": all}, func(w io.Writer) {
					for _, c := range all {
						fmt.Fprintf(w, "%-12s %-10s %3d requirements  %s\n", c.Name, c.Edition, len(c.Requirements), c.Title)
					}
				})
			}
			return withBeside(cmd, dir, func(b *app.Beside) error {
				all, err := b.Host.Catalogues(cmd.Context(), "")
				if err != nil {
					return err
				}
				frozen := []host.Frozen{}
				for _, k := range all {
					frozen = append(frozen, k.Doc)
				}
				return e.result(map[string]any{"versions": frozen}, func(w io.Writer) {
					for _, k := range all {
						f := k.Doc
						fmt.Fprintf(w, "%-16s opened %s, %d requirements, %d use cases, sha256 %.12s, log entry %d\n",
							f.Label(), f.At.Format("2006-01-02"), len(f.Catalogue.Requirements), len(f.Catalogue.UseCases), f.SHA256, k.LogIndex)
						if f.Change != nil {
							fmt.Fprintf(w, "%16s %s: %s\n", "", f.Change, f.Reason)
						}
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}

func newCatalogueShow(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "show [--hub FOLDER] CATALOGUE",
		Short: "Show a shipped catalogue, a file, or with --hub a frozen version (NAME or NAME@2)",
		Example: `  havre catalogue show secnumcloud
  havre catalogue show --hub hub secnumcloud@1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			show := func(c *catalogue.Catalogue) error {
				return e.result(c, func(w io.Writer) {
					fmt.Fprintf(w, "%s, edition %s\n%s, %s, read %s\n%s\n", c.Title, c.Edition, c.Source.Title, c.Source.URL, c.Source.Read, c.Coverage)
					for _, i := range c.Items() {
						fmt.Fprintf(w, "%-14s %s [%s]%s\n", i.ID, i.Text, strings.Join(c.LayersOf(i), ", "), yes(i.Probe != "", " probe "+i.Probe, ""))
					}
				})
			}
			if dir == "" {
				c, err := app.ReadCatalogue(args[0])
				if err != nil {
					return err
				}
				return show(c)
			}
			name, version, err := catalogue.ParseLabel(args[0])
			if err != nil {
				return err
			}
			return withBeside(cmd, dir, func(b *app.Beside) error {
				f, err := b.Host.FrozenCatalogue(cmd.Context(), name, version)
				if err != nil {
					return err
				}
				return show(f.Catalogue)
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}

func newCatalogueOpen(e *env) *cobra.Command {
	var dir, as, reason string
	cmd := &cobra.Command{
		Use:   "open --hub FOLDER --as ACCOUNT [--reason TEXT] CATALOGUE",
		Short: "Freeze a catalogue (a shipped name or a file) and open it for answers",
		Example: `  havre catalogue open --hub hub --as operator@hub.example secnumcloud
  havre catalogue open --hub hub --as operator@hub.example --reason 'decree of 2 May' list.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			c, err := app.ReadCatalogue(args[0])
			if err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				f, err := h.Host.OpenCatalogue(cmd.Context(), c, reason, havre.NewPersonal(as))
				if err != nil {
					return err
				}
				return e.result(f, func(w io.Writer) {
					fmt.Fprintf(w, "%s is open: %d requirements, %d use cases, sha256 %s\n", f.Label(), len(c.Requirements), len(c.UseCases), f.SHA256)
					if f.Change != nil {
						printDiff(w, *f.Change)
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	cmd.Flags().StringVar(&reason, "reason", "", "why the catalogue changes; needed from version 2 on")
	return cmd
}

func newCatalogueAnswer(e *env) *cobra.Command {
	var dir, as string
	cmd := &cobra.Command{
		Use:   "answer --hub FOLDER --as ACCOUNT ANSWERS.yaml",
		Short: "Take a provider's answers to the newest version, for today, +6, +12 and +18 months",
		Long: `Reads a file with catalogue, version, provider and answers: for each id and layer
(or all) one of met, partly, not_met, not_applicable under today, in_6_months,
in_12_months and in_18_months, with evidence. All or nothing; answering again
adds and takes nothing away.`,
		Example: "  havre catalogue answer --hub hub --as operator@hub.example host-a.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			a, err := app.ReadAnswers(args[0])
			if err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				g, err := h.Host.Answer(cmd.Context(), a, havre.NewPersonal(as))
				if err != nil {
					return err
				}
				return e.result(g, func(w io.Writer) {
					fmt.Fprintf(w, "%d answers of %s to %s\n", len(g.Answers.Answers), g.Answers.Provider, catalogue.Label(g.Answers.Catalogue, g.Answers.Version))
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	return cmd
}

func newCatalogueProbe(e *env) *cobra.Command {
	var dir, as string
	cmd := &cobra.Command{
		Use:   "probe --hub FOLDER --as ACCOUNT NAME",
		Short: "Answer about Havre itself what a probe of the running hub can tell",
		Long: `Probes the hub (is the store sealed, to post-quantum recipients; does the log
verify; are keys apart; is there any connection but to the store; who must agree
before a result leaves) and keeps the outcome as answers of the provider "havre"
for today. What a probe cannot tell is left unanswered.`,
		Example: "  havre catalogue probe --hub hub --as operator@hub.example satre",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				a, err := h.ProbeCatalogue(cmd.Context(), args[0], havre.NewPersonal(as))
				if err != nil {
					return err
				}
				return e.result(map[string]any{"answers": a}, func(w io.Writer) {
					if a == nil {
						fmt.Fprintf(w, "no item of %s names a probe\n", args[0])
						return
					}
					for _, x := range a.Answers {
						fmt.Fprintf(w, "%-18s %-8s %s\n", x.ID, x.Today, x.Evidence)
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	return cmd
}

func newCatalogueScore(e *env) *cobra.Command {
	var dir, in string
	cmd := &cobra.Command{
		Use:   "score --hub FOLDER [--in today|+6|+12|+18] NAME",
		Short: "Providers and versions side by side",
		Long: `Counts, for each provider and each version, the items that are met at every layer
they are about. An answer to an earlier version counts for a later one only
where the item did not change, so the rows of one provider show what each
version of the list did to it.`,
		Example: "  havre catalogue score --hub hub --in +12 secnumcloud",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h := catalogue.Horizon(in)
			if !slices.Contains(catalogue.Horizons, h) {
				return havre.E("usage", havre.Usage, "--in is today, +6, +12 or +18")
			}
			return withBeside(cmd, dir, func(b *app.Beside) error {
				rows, err := b.Host.Scores(cmd.Context(), args[0], h)
				if err != nil {
					return err
				}
				return e.result(map[string]any{"catalogue": args[0], "horizon": h, "scores": rows}, func(w io.Writer) {
					fmt.Fprintf(w, "%-16s %7s %22s %18s %8s %8s\n", "provider", "version", "requirements met", "use cases met", "answered", "carried")
					for _, r := range rows {
						fmt.Fprintf(w, "%-16s %7d %22s %18s %8d %8d\n", r.Provider, r.Version, tally(r.Requirements), tally(r.UseCases), r.Given, r.Carried)
					}
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	cmd.Flags().StringVar(&in, "in", string(catalogue.Today), "horizon in months after the opening: today, +6, +12 or +18")
	return cmd
}

func tally(t catalogue.Tally) string {
	if t.Items == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d (%d %%)", t.Met, t.Items-t.NotApplicable, t.Percent())
}

func newCatalogueDiff(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "diff --hub FOLDER NAME@1 NAME@2|FILE",
		Short: "Show what changed between two versions, or between a version and a file",
		Example: `  havre catalogue diff --hub hub secnumcloud@1 secnumcloud@2
  havre catalogue diff --hub hub list@1 list.yaml`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withBeside(cmd, dir, func(b *app.Beside) error {
				var pair [2]*catalogue.Catalogue
				for i, a := range args {
					name, version, err := catalogue.ParseLabel(a)
					if err != nil {
						return err
					}
					if i == 1 && !havre.ValidName(name) { // a file: it has a dot or a slash
						if pair[i], err = app.ReadCatalogue(a); err != nil {
							return err
						}
						continue
					}
					f, err := b.Host.FrozenCatalogue(cmd.Context(), name, version)
					if err != nil {
						return err
					}
					pair[i] = f.Catalogue
				}
				d := catalogue.Compare(pair[0], pair[1])
				return e.result(d, func(w io.Writer) { printDiff(w, d) })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	return cmd
}

func printDiff(w io.Writer, d catalogue.Diff) {
	fmt.Fprintln(w, d)
	for _, c := range []catalogue.Change{d.Requirements, d.UseCases} {
		for _, x := range []struct {
			mark string
			ids  []string
		}{{"added", c.Added}, {"removed", c.Removed}, {"reworded", c.Reworded}} {
			if len(x.ids) > 0 {
				fmt.Fprintf(w, "  %s: %s\n", x.mark, strings.Join(x.ids, ", "))
			}
		}
	}
	if d.Head {
		fmt.Fprintln(w, "  the head (title, edition, source or coverage) changed")
	}
}
