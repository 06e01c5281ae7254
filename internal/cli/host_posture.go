package cli

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/words"
)

func newHostPosture(e *env) *cobra.Command {
	var dir, html, lang string
	var full bool
	cmd := &cobra.Command{
		Use:   "posture --hub FOLDER",
		Short: "Who could read this, under whose law, and how fast could we be elsewhere",
		Long: `Says from facts who can read what today, what an order served at each layer of
the host would obtain, on whom the hub depends and how long it lives without
them, which certificates lapse, when leaving was last rehearsed, and how many
days a derogation has left. It works beside a running hub and takes under a
second; --full counts the whole store and verifies the whole log first.
--html writes one page without scripts that prints well.`,
		Example: `  havre host posture --hub hub
  havre host posture --hub hub --html posture.html --lang fr`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lang != string(words.EN) && lang != string(words.FR) {
				return havre.E("usage", havre.Usage, "--lang is en or fr")
			}
			return withBeside(cmd, dir, func(b *app.Beside) error {
				r, err := b.Posture(cmd.Context(), full)
				if err != nil {
					return err
				}
				if html != "" {
					var page bytes.Buffer
					if err := r.HTML(&page, words.Lang(lang)); err != nil {
						return err
					}
					if err := writeFile(html, page.Bytes()); err != nil {
						return err
					}
				}
				return e.result(r, func(w io.Writer) {
					if html != "" {
						fmt.Fprintf(w, "%s\nposture: %s\n", r.Headline.In(words.Lang(lang)), html)
						return
					}
					r.Text(w, words.Lang(lang))
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	f := cmd.Flags()
	f.StringVar(&html, "html", "", "write the report as a page to this file")
	f.StringVar(&lang, "lang", string(words.EN), "language of the report: en or fr")
	f.BoolVar(&full, "full", false, "count the whole store and verify the whole log, however long it takes")
	return cmd
}
