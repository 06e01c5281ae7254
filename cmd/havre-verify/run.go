package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/havre-hub/havre/internal/ground/audit/verify"
	"github.com/havre-hub/havre/internal/havre"
)

const usage = `usage: havre-verify --keys FILE [--json] [--move REPORT] FOLDER

Checks the folder that "havre audit export" wrote, offline: the log (every
entry, its checkpoints and their consistency), and each receipt, permit, release
and report of a move (signature, files, entries in the log).

  --keys FILE    the hub's public keys, got by another way than the folder
  --move REPORT  also check this report of a move or drill against the log
  --json         print the report as one JSON object

Without --keys the keys in the folder itself are used, and only show that the
folder agrees with itself; compare their fingerprint with the hub's.

exit codes: 0 all holds, 2 wrong usage, 10 bad keys file, 11 no such folder or
file, 15 something does not hold
`

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	err := check(ctx, args, out, errs)
	if err == nil {
		return 0
	}
	if kind := havre.KindOf(err); kind == havre.Usage {
		fmt.Fprint(errs, usage)
	}
	fmt.Fprintf(errs, "havre-verify: error: %v\n", err)
	if h := havre.HintOf(err); h != "" {
		fmt.Fprintf(errs, "havre-verify: hint: %s\n", h)
	}
	return havre.KindOf(err).ExitCode()
}

func check(ctx context.Context, args []string, out, errs io.Writer) error {
	var keysFile, moveFile string
	var asJSON, help bool
	flags := flag.NewFlagSet("havre-verify", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&keysFile, "keys", "", "")
	flags.StringVar(&moveFile, "move", "", "")
	flags.BoolVar(&asJSON, "json", false, "")
	flags.BoolVar(&help, "help", false, "")
	flags.BoolVar(&help, "h", false, "")
	var folders []string
	for rest := args; ; { // flags may stand before and after the folder
		if err := flags.Parse(rest); err != nil {
			return havre.E("usage", havre.Usage, err.Error())
		}
		if rest = flags.Args(); len(rest) == 0 {
			break
		}
		folders, rest = append(folders, rest[0]), rest[1:]
	}
	if help {
		fmt.Fprint(out, usage)
		return nil
	}
	if len(folders) != 1 {
		return havre.E("usage", havre.Usage, "name one folder to check")
	}
	keys, err := trusted(keysFile, folders[0], errs)
	if err != nil {
		return err
	}
	rep, err := verify.Folder(ctx, folders[0], keys, havre.NoProgress)
	if rep == nil {
		return err
	}
	if moveFile != "" {
		if err := addMove(ctx, rep, moveFile, folders[0], keys); err != nil {
			return err
		}
		err = rep.Err()
	}
	if perr := print(out, rep, asJSON, keysFile != ""); perr != nil {
		return havre.E("print", havre.Internal, "the report cannot be written").Wrap(perr)
	}
	return err
}

// addMove checks a report that did not come with the folder.
func addMove(ctx context.Context, rep *verify.Report, file, folder string, keys verify.Keys) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return havre.E("verify", havre.NotFound, "the report "+file+" cannot be read").Wrap(err)
	}
	m, err := verify.Move(ctx, b, os.DirFS(filepath.Join(folder, verify.LogDir)), keys)
	if err != nil {
		rep.Add(file, err, "")
		return nil
	}
	rep.Add(file, nil, verify.MoveDetail(m))
	return nil
}

// trusted reads the keys that were given, or warns and takes those in the folder.
func trusted(keysFile, folder string, errs io.Writer) (verify.Keys, error) {
	if keysFile == "" {
		keys, err := verify.ReadKeys(folder)
		if err != nil {
			return keys, err
		}
		fmt.Fprintf(errs, "havre-verify: caution: no --keys given, so the keys in the folder itself are used.\n"+
			"Whoever made the folder may have made them too. Ask the hub %s, by another way,\n"+
			"for the fingerprint of its keys; it must be\n  %s\n", keys.Hub, keys.Fingerprint())
		return keys, nil
	}
	b, err := os.ReadFile(keysFile)
	if err != nil {
		return verify.Keys{}, havre.E("verify.keys", havre.NotFound, "the file of public keys "+keysFile+" cannot be read").Wrap(err)
	}
	return verify.ParseKeys(b)
}

func print(out io.Writer, rep *verify.Report, asJSON, keysGiven bool) error {
	if !asJSON {
		return rep.Print(out)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		*verify.Report
		KeysGiven bool `json:"keys_given"`
	}{rep, keysGiven})
}
