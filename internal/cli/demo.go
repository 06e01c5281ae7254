package cli

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app/demo"
	"github.com/havre-hub/havre/internal/hub/receive/quality"
)

func newDemo(e *env) *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo --out FOLDER [--from PLACE]",
		Short: "The whole journey, over a synthetic population or your own OMOP CDM",
		Long: `Makes two hospitals and a national payer (or takes your own OMOP CDM with
--from), a keeper and a hub; delivers, links, ingests, permits, studies,
releases and verifies; rehearses leaving its host and leaves it; then tries what
must not work. It leaves a folder with one sub-folder per zone, and report.html.

The hosts' parts are played by real servers on this machine, Azurite and
versitygw, if make test-servers has installed them, else by two folders.`,
		Example: `  havre demo --out demo-out
  havre demo --from my-cdm.zip --out my-demo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = e.progress()
			s, err := demo.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			return e.result(s, func(w io.Writer) { tell(w, s) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Out, "out", "havre-demo", "the folder to make; it must not exist or be empty")
	f.StringVar(&o.From, "from", "", "folder or zip of an OMOP CDM 5.3 or 5.4 (CSV, gzipped CSV or Parquet) in place of the synthetic population")
	f.StringVar(&o.Study, "study", "", "study.yaml to run in place of the built-in one")
	f.IntVar(&o.Residents, "residents", 20_000, "size of the synthetic population")
	f.StringVar((*string)(&o.Stores), "stores", string(demo.Auto), "what plays the two hosts: servers, folders, or auto")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the synthetic population")
	return cmd
}

// tell says in plain words what the demo found.
func tell(w io.Writer, s *demo.Summary) {
	fmt.Fprintln(w)
	line := func(title, format string, args ...any) {
		fmt.Fprintf(w, "%-18s %s\n", title, fmt.Sprintf(format, args...))
	}
	line("Delivered", "%d rows about %d persons by %d holder(s), sealed before they left", s.Rows.In, s.Persons.Delivered, len(s.Holders))
	line("Linked", "%d persons; %d records with conflicting evidence wait for a human", s.Persons.Linked, s.Persons.Review)
	if s.Linkage != nil {
		line("", "precision %.2f %%, recall %.2f %% against the truth", 100*s.Linkage.Precision, 100*s.Linkage.Recall)
	}
	line("Stored", "%d rows; %d set aside, sealed, each with its reason", s.Rows.Stored, s.Rows.In-s.Rows.Stored)
	if n := len(s.Quality.Counts); n > 0 {
		line("Odd, and kept", "%d kinds of oddity, such as %s: all are in report.html", n, oddity(s.Quality))
	}
	line("The host sees", "%d sealed objects, %.1f MiB", s.Store.Objects, float64(s.Store.Bytes)/(1<<20))
	if s.Effect != nil {
		line("Study", "rate ratio %.2f (95 %% interval %.2f to %.2f); the truth is %.2f", s.Effect.Estimate, s.Effect.Low, s.Effect.High, s.Effect.True)
	}
	for _, r := range s.Releases {
		line("Left the hub", "release %s: %d cells, %d of them withheld, agreed by two people", r.ID, r.Cells, r.Suppressed)
	}
	if m := s.Move; m != nil {
		line("Left its host", "rehearsed, then moved from %s to %s: %d objects, %.1f MiB", m.Stores[0], m.Stores[1], m.Objects, float64(m.Bytes)/(1<<20))
		line("", "roots %s, old copy %s, report %s", yes(m.RootsEqual, "equal", "DIFFER"), yes(!m.OldCopyReadable, "dead", "STILL READABLE"), yes(m.ReportVerified, "verified from files alone", "NOT VERIFIED"))
	}
	line("Suspended permit", "%s", yes(s.SuspendedRunRefused, "the next run was refused", "THE NEXT RUN WENT THROUGH"))
	line("Tampered log", "%s", yes(s.TamperFound, "found", "NOT FOUND"))
	line("Log", "%d entries, root %s, %s", s.Log.Size, s.Log.Root, yes(s.Log.Verified, "verified from files alone", "NOT VERIFIED"))
	for _, m := range s.Warnings {
		line("Noticed", "%s", m)
	}
	fmt.Fprintf(w, "\nLook around:\n")
	for _, p := range []struct{ path, what string }{
		{"report.html", "all of this, with pictures"},
		{"holders/", "what each holder has, in clear"},
		{"keeper/", "what the keeper has: identities, sealed"},
		{"hub/", "what the hub has: keys (wrapped), log, states"},
		{"store/", "all that the host sees"},
		{"released/", "all that left"},
		{"posture-*", "who could read what, before and after the move (en, fr)"},
		{"verify/", "what outsiders check: havre-verify " + filepath.Join(s.Folder, "verify")},
	} {
		fmt.Fprintf(w, "  %-12s %s\n", p.path, p.what)
	}
	fmt.Fprintf(w, "in %s\n", s.Folder)
}

// oddity tells the largest count.
func oddity(r *quality.Report) string {
	c := slices.MaxFunc(r.Counts, func(a, b quality.Count) int { return cmp.Compare(a.Rows, b.Rows) })
	return fmt.Sprintf("%d of %s %s", c.Rows, c.Table, c.Rule)
}

func yes(ok bool, good, bad string) string {
	if ok {
		return good
	}
	return bad
}
