package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
)

func newPermit(e *env) *cobra.Command {
	cmd := &cobra.Command{Use: "permit", Short: "At the hub: applications, decisions, suspension, opt-outs"}
	cmd.AddCommand(newPermitApply(e), newPermitAmend(e), newPermitDecide(e),
		newPermitState(e, "suspend", "Stop a permit at its next read", (*permit.Authority).Suspend),
		newPermitState(e, "resume", "Let a suspended permit go on", (*permit.Authority).Resume),
		newPermitState(e, "revoke", "End a permit for good", (*permit.Authority).Revoke),
		newPermitList(e), newPermitShow(e), newPermitOptOut(e))
	return cmd
}

// application reads an application file: YAML or JSON with the fields of
// permit.Application; rules that are not given are the defaults.
func application(path string) (permit.Application, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return permit.Application{}, havre.E("permit.apply", havre.NotFound, "the application "+path+" cannot be read").Wrap(err)
	}
	a := permit.Application{Rules: record.DefaultRules(), Checkers: 2}
	j, err := yaml.YAMLToJSON(b)
	if err == nil {
		d := json.NewDecoder(newReader(j))
		d.DisallowUnknownFields()
		err = d.Decode(&a)
	}
	if err != nil {
		return a, havre.E("permit.apply", havre.Invalid, path+" is not an application").
			WithHint("its keys are title, purpose, benefit, people, tables (name, columns), period (from, to), rules, checkers, start, end").Wrap(err)
	}
	return a, nil
}

func newPermitApply(e *env) *cobra.Command {
	var dir, as string
	cmd := &cobra.Command{
		Use:   "apply --hub FOLDER --as ACCOUNT APPLICATION.yaml",
		Short: "File an application",
		Example: `  havre permit apply --hub hub --as ada@univ.example application.yaml
  havre study needs study.yaml    prints the tables to ask for`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			a, err := application(args[0])
			if err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				id, err := h.Permits.Apply(cmd.Context(), as, a)
				if err != nil {
					return err
				}
				return e.result(map[string]any{"id": id}, func(w io.Writer) { fmt.Fprintf(w, "application %s waits for a decision\n", id) })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	return cmd
}

func newPermitAmend(e *env) *cobra.Command {
	var dir, as string
	cmd := &cobra.Command{
		Use:     "amend --hub FOLDER --as ACCOUNT PERMIT APPLICATION.yaml",
		Short:   "Ask for another version of a permit; the present one stays until the decision",
		Example: "  havre permit amend --hub hub --as ada@univ.example p-0001 application.yaml",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			a, err := application(args[1])
			if err != nil {
				return err
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				if err := h.Permits.Amend(cmd.Context(), args[0], as, a); err != nil {
					return err
				}
				return e.result(map[string]any{"id": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "the amendment of %s waits for a decision\n", args[0]) })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	return cmd
}

func newPermitDecide(e *env) *cobra.Command {
	var dir, as, reason, out string
	var grant, refuse bool
	cmd := &cobra.Command{
		Use:     "decide --hub FOLDER --as OFFICER --grant|--refuse --reason TEXT PERMIT",
		Short:   "Grant or refuse an application; never one's own",
		Example: "  havre permit decide --hub hub --as officer@hub.example --grant --reason 'public interest' p-0001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "as", "reason"); err != nil {
				return err
			}
			if grant == refuse {
				return havre.E("usage", havre.Usage, "say either --grant or --refuse")
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				signed, err := h.Permits.Decide(cmd.Context(), args[0], as, grant, reason)
				if err != nil {
					return err
				}
				if out != "" && signed != nil {
					if err := writeFile(out, signed); err != nil {
						return err
					}
				}
				return e.result(map[string]any{"id": args[0], "granted": grant}, func(w io.Writer) {
					fmt.Fprintf(w, "%s: %s\n", args[0], yes(grant, "granted and signed", "refused"))
				})
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	asFlag(cmd, &as)
	f := cmd.Flags()
	f.BoolVar(&grant, "grant", false, "grant it")
	f.BoolVar(&refuse, "refuse", false, "refuse it")
	f.StringVar(&reason, "reason", "", "why; it is kept")
	f.StringVar(&out, "out", "", "file for the signed permit")
	return cmd
}
