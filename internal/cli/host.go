package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/host/placement"
	"github.com/havre-hub/havre/internal/host/strict"
	"github.com/havre-hub/havre/internal/host/words"
)

func newHost(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "host",
		Short: "Where the hub stands: hosts, placement, derogations, suspension, posture",
		Long: `A host is described layer by layer: who operates it, who owns the operator, under
which law, where data are and where they are administered from, and which
certificates cover exactly that. Descriptors of known hosts are shipped as
examples, to be checked; your own is a YAML file (docs/howto/hosts.md).`,
	}
	cmd.AddCommand(newHostList(e), newHostShow(e), newHostCheck(e), newHostSet(e), newHostPosture(e), newHostDerogation(e), newHostSuspend(e), newHostResume(e))
	return cmd
}

func newHostList(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the hosts that are shipped as examples",
		Example: "  havre host list",
		Args:    cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			all, err := descriptor.Examples()
			if err != nil {
				return err
			}
			now := havre.SystemNow()
			type row struct {
				Name   string      `json:"name"`
				Title  string      `json:"title"`
				AsOf   strict.Date `json:"as_of"`
				Immune bool        `json:"immune"`
				Why    string      `json:"why,omitempty"`
				URL    string      `json:"store_url"`
				Tested string      `json:"tested"`
			}
			var rows []row
			for _, h := range all {
				v := placement.Judge(h, placement.NationalBase, now)
				rows = append(rows, row{h.Name, h.Title, h.AsOf, v.Immune, v.Why(words.EN), h.Endpoint.URL, h.Endpoint.Tested})
			}
			return e.result(map[string]any{"hosts": rows}, func(w io.Writer) {
				fmt.Fprintln(w, "Examples to be checked, with facts as of the date given. Immune: every layer to extra-EU law, by what is stated.")
				for _, r := range rows {
					fmt.Fprintf(w, "%-18s %s  %-10s %s\n", r.Name, r.AsOf, yes(r.Immune, "immune", "not shown"), r.Title)
				}
			})
		},
	}
}

func newHostShow(e *env) *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:   "show HOST",
		Short: "Show a host layer by layer; HOST is a shipped name or a file",
		Example: `  havre host show azure-france
  havre host show example-sovereign --yaml > my-host.yaml    to write your own`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := app.ReadHost(args[0])
			if err != nil {
				return err
			}
			if raw && !e.json {
				b, err := h.Text()
				if havre.ValidName(args[0]) {
					b, err = descriptor.ExampleText(args[0]) // with its comments
				}
				if err == nil {
					_, err = e.Out.Write(b)
				}
				return err
			}
			return e.result(h, func(w io.Writer) { showHost(w, h) })
		},
	}
	cmd.Flags().BoolVar(&raw, "yaml", false, "print the descriptor as it is written")
	return cmd
}

func showHost(w io.Writer, h *descriptor.Host) {
	fmt.Fprintf(w, "%s: %s (as of %s%s)\n%s\n", h.Name, h.Title, h.AsOf, yes(h.Example, ", an example to be checked", ""), h.Notes)
	if h.Endpoint.URL != "" {
		fmt.Fprintf(w, "store: %s (%s)\n", h.Endpoint.URL, h.Endpoint.Tested)
	}
	for _, l := range descriptor.Layers {
		p := h.Layers.Part(l)
		if p.NotUsed != "" {
			fmt.Fprintf(w, "%-10s not used: %s\n", l, p.NotUsed)
			continue
		}
		fmt.Fprintf(w, "%-10s %s (%s), of %s under the law of %s\n", l, p.Operator, p.OperatorSeat, p.Parent, p.ParentLaw)
		fmt.Fprintf(w, "%-10s data in %s, administered from %s\n", "", strings.Join(p.DataIn, ", "), strings.Join(p.AdminFrom, ", "))
		for _, c := range p.Certificates {
			fmt.Fprintf(w, "%-10s %s %s, no. %s, from %s until %s\n", "", c.Scheme, c.Version, orUnknown(c.Number), orUnknown(c.From.String()), orUnknown(c.Until.String()))
		}
		for _, x := range p.Evidence {
			fmt.Fprintf(w, "%-10s %s\n%-10s   %s, read %s\n", "", x.Says, "", x.URL, x.Read)
		}
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "not stated"
	}
	return s
}

func newHostCheck(e *env) *cobra.Command {
	var data, at string
	cmd := &cobra.Command{
		Use:   "check HOST --data CLASS",
		Short: "Judge a host by every criterion, without a hub; nothing is decided",
		Long: `Holds each layer of a host against the criteria: SecNumCloud 3.2 (19.2, 19.6 and
a current qualification of that layer) and HDS v2. Classes of data:
national-base (health data paired with the national base: every layer immune to
extra-EU law), health, synthetic. Fails with exit code 19 if the criteria do not
hold.`,
		Example: "  havre host check azure-france --data national-base",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			h, class, err := hostAndClass(args[0], data)
			if err != nil {
				return err
			}
			when := havre.SystemNow()
			if at != "" {
				d, err := strict.ParseDate(at)
				if err != nil {
					return err
				}
				when = d.Start().Add(12 * time.Hour)
			}
			if err := h.CheckDates(when); err != nil {
				return err
			}
			v := placement.Judge(h, class, when)
			if err := e.result(v, func(w io.Writer) {
				for _, f := range v.Findings {
					fmt.Fprintf(w, "%s %-10s %-18s %s\n", yes(f.OK, "ok   ", "FAILS"), f.Layer, f.Rule, f.Reason.EN)
				}
				fmt.Fprintf(w, "%s data on %s: %s\n", class, h.Name, yes(v.Allowed, "allowed by the criteria", "not allowed by the criteria"))
			}); err != nil {
				return err
			}
			if !v.Allowed {
				return havre.E("host.check", havre.Refused, fmt.Sprintf("%s does not fulfil %d of %d criteria for %s data", h.Name, len(v.Failed()), len(v.Findings), class)).
					WithHint("the list above names each with its source")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", string(placement.NationalBase), "class of data: national-base, health or synthetic")
	cmd.Flags().StringVar(&at, "at", "", "judge as of this day (2026-12-31) instead of today")
	return cmd
}

func hostAndClass(ref, data string) (*descriptor.Host, placement.Class, error) {
	h, err := app.ReadHost(ref)
	if err != nil {
		return nil, "", err
	}
	class, err := placement.ParseClass(data)
	return h, class, err
}

func newHostSet(e *env) *cobra.Command {
	var dir, as, role, data string
	cmd := &cobra.Command{
		Use:   "set --hub FOLDER --as ACCOUNT --data CLASS [--for store|compute] HOST",
		Short: "Put on record where the hub's store, or its machine, stands",
		Long: `Decides that the hub's store (or, with --for compute, the machine it runs on)
stands on a host, for data of a class. Refused if the criteria do not hold and
no derogation is on record, or if a certificate of the descriptor has lapsed;
the hub is then as it was, and the refusal is in the log. The strictest class
of both counts for both.`,
		Example: `  havre host set --hub hub --as operator@hub.example --data national-base my-host.yaml
  havre host set --hub hub --as operator@hub.example --data national-base --for compute own-machines`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as", "data"); err != nil {
				return err
			}
			h, class, err := hostAndClass(args[0], data)
			if err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(hub *app.Hub) error {
				p, err := hub.Host.Place(cmd.Context(), host.Role(role), h, class, havre.NewPersonal(as))
				if err != nil {
					return err
				}
				return e.result(p, func(w io.Writer) {
					by := "the criteria hold"
					if p.By != host.ByCriteria {
						by = fmt.Sprintf("by derogation %s; %d criteria do not hold", p.By, len(p.Failed))
					}
					fmt.Fprintf(w, "%s on %s for %s data: %s\n", p.Role, h.Name, p.Data, by)
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	cmd.Flags().StringVar(&role, "for", string(host.Store), "what stands there: store, or compute (the machine that the hub runs on)")
	cmd.Flags().StringVar(&data, "data", "", "class of data: national-base, health or synthetic")
	return cmd
}
