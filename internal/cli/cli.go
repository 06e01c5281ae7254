// Package cli is the command line: one file per command. A command reads its
// flags, calls internal/app, and prints; it holds no rule of the domain.
//
// Voice: results go to standard output, everything else to standard error.
// With --json the result is one JSON object, and a failure ends standard error
// with one JSON line {"error":{"kind","code","message","hint"}}.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/havre"
)

// IO is what a command reads and writes.
type IO struct {
	In  io.Reader
	Out io.Writer // results
	Err io.Writer // progress, warnings, errors
}

// env is what every command gets: its streams and the flags all share.
type env struct {
	IO
	json  bool
	quiet bool
}

// Main runs one command line and gives the process exit code
// (docs/reference/exit-codes.md).
func Main(ctx context.Context, args []string, streams IO) int {
	e := &env{IO: streams}
	root := newRoot(e)
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && havre.KindOf(err) != havre.Cancelled {
		err = havre.E("havre", havre.Cancelled, "stopped before the end").
			WithHint("what was finished is kept; the same command goes on from there").Wrap(err)
	}
	return e.fail(err)
}

// fail prints the error and its hint and gives the exit code.
func (e *env) fail(err error) int {
	kind := havre.KindOf(err)
	if e.json {
		_ = json.NewEncoder(e.Err).Encode(map[string]any{"error": map[string]any{
			"kind": kind, "code": kind.ExitCode(), "message": err.Error(), "hint": havre.HintOf(err)}})
		return kind.ExitCode()
	}
	fmt.Fprintf(e.Err, "havre: error: %s\n", err)
	if h := havre.HintOf(err); h != "" {
		fmt.Fprintf(e.Err, "havre: hint: %s\n", h)
	}
	return kind.ExitCode()
}

// result prints v as JSON, or calls text to print it for people.
func (e *env) result(v any, text func(w io.Writer)) error {
	if !e.json {
		text(e.Out)
		return nil
	}
	enc := json.NewEncoder(e.Out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return havre.E("print", havre.Internal, "the result cannot be written").Wrap(err)
	}
	return nil
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "havre",
		Short: "A sovereign health data hub in one binary",
		Long: `Havre takes sealed deliveries from hospitals and payers, links them under
pseudonyms, keeps them as ciphertext that the host cannot read, runs permitted
studies in place, and lets out only checked results, all on a log that
outsiders verify.

Try it:        havre demo --out /tmp/havre-demo
On your data:  havre demo --from FOLDER_OR_ZIP_OF_AN_OMOP_CDM --out /tmp/mine`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return havre.E("usage", havre.Usage, err.Error()).WithHint("see: " + cmd.CommandPath() + " --help")
	})
	f := root.PersistentFlags()
	f.BoolVar(&e.json, "json", false, "print the result as one JSON object")
	f.BoolVarP(&e.quiet, "quiet", "q", false, "no progress and no warnings")
	for _, add := range commands {
		root.AddCommand(add(e))
	}
	asUsage(root)
	return root
}

// commands lists every command of the root, in the order of the journey.
var commands = []func(*env) *cobra.Command{
	newDemo,
	newSynth,
	newInit,
	newTrust,
	newHolder,
	newDeliver,
	newKeeper,
	newAccount,
	newReceive,
	newIngest,
	newQuality,
	newPermit,
	newCohort,
	newStudy,
	newWorker,
	newRunner,
	newPlan,
	newRelease,
	newAudit,
	newFsck,
	newDrill,
	newMove,
	newKey,
	newServe,
	newHost,
	newCatalogue,
}

// asUsage makes wrong arguments an error of kind usage, with a hint, throughout.
func asUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				if _, ok := errors.AsType[*havre.Error](err); ok {
					return err
				}
				return havre.E("usage", havre.Usage, err.Error()).WithHint("see: " + c.CommandPath() + " --help")
			}
			return nil
		}
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return c.Help()
		}
	}
	for _, sub := range cmd.Commands() {
		asUsage(sub)
	}
}

func unknownCommand(cmd *cobra.Command, word string) error {
	err := havre.E("usage", havre.Usage, fmt.Sprintf("%s has no command %q", cmd.CommandPath(), word))
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return err.WithHint("did you mean: " + cmd.CommandPath() + " " + strings.Join(near, ", "))
	}
	return err.WithHint("see: " + cmd.CommandPath() + " --help")
}

// version is the module version and commit that the binary was built from.
func version() string {
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := bi.Main.Version
	for _, s := range bi.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && (v == "" || v == "(devel)") {
			v = "commit " + s.Value[:12]
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v
}

// folderFlag is a flag that names a zone's folder, with its environment variable.
func folderFlag(cmd *cobra.Command, into *string, name, zone string) {
	variable := "HAVRE_" + strings.ToUpper(name)
	cmd.Flags().StringVar(into, name, os.Getenv(variable), "the folder of the "+zone+" (or $"+variable+")")
}

// needed fails with a usage error when a required flag is empty.
func needed(cmd *cobra.Command, names ...string) error {
	for _, n := range names {
		if cmd.Flag(n).Value.String() == "" || cmd.Flag(n).Value.String() == "[]" {
			return havre.E("usage", havre.Usage, cmd.CommandPath()+" needs --"+n).WithHint("see: " + cmd.CommandPath() + " --help")
		}
	}
	return nil
}
