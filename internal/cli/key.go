package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
)

func newKey(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "The keys: who opens them, rotation, shares, destruction",
		Long: `A hub's and a keeper's secrets are in one key ring, which its custodians open:
a key file, a token, an age plugin, people with shares. Any one of them is
enough, so each is a way in. docs/howto/custodians.md says how to choose.

$HAVRE_CUSTODIAN names a custodian to try first, for one command; $HAVRE_PASSPHRASE
and $HAVRE_PIN hold what custodians ask for, where there is no terminal.`,
	}
	cmd.AddCommand(newKeyList(e), newKeyRotate(e), newKeyShare(e), newKeyDestroy(e), newKeyCertificate(e))
	return cmd
}

// keyHome is the flags that name a hub or a keeper.
type keyHome struct{ hub, keeper string }

func (k *keyHome) flags(cmd *cobra.Command) {
	folderFlag(cmd, &k.hub, "hub", "hub")
	folderFlag(cmd, &k.keeper, "keeper", "keeper")
}

// dir is the folder that was named; a keeper named on the command line comes first.
func (k *keyHome) dir(cmd *cobra.Command) (dir string, keeper bool, err error) {
	switch {
	case cmd.Flags().Changed("hub") && cmd.Flags().Changed("keeper"):
		return "", false, havre.E("usage", havre.Usage, "name a hub or a keeper, not both").WithHint("see: " + cmd.CommandPath() + " --help")
	case k.keeper != "" && !cmd.Flags().Changed("hub"):
		return k.keeper, true, nil
	case k.hub != "":
		return k.hub, false, nil
	}
	return "", false, havre.E("usage", havre.Usage, cmd.CommandPath()+" needs --hub or --keeper").WithHint("see: " + cmd.CommandPath() + " --help")
}

// with opens the zone and does one of two things with it.
func (k *keyHome) with(cmd *cobra.Command, hub func(context.Context, *app.Hub) error, keeper func(context.Context, *app.Keeper) error) error {
	dir, isKeeper, err := k.dir(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if !isKeeper {
		return withHub(ctx, dir, func(h *app.Hub) error { return hub(ctx, h) })
	}
	return withKeeper(ctx, dir, func(k *app.Keeper) error { return keeper(ctx, k) })
}

func newKeyList(e *env) *cobra.Command {
	var home keyHome
	cmd := &cobra.Command{
		Use:     "list (--hub FOLDER | --keeper FOLDER)",
		Short:   "Show the custodians and the keys, without opening anything",
		Example: "  havre key list --hub hub",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _, err := home.dir(cmd)
			if err != nil {
				return err
			}
			f, err := app.ReadKeyFacts(dir)
			if err != nil {
				return err
			}
			return e.result(f, func(w io.Writer) { printKeys(w, f) })
		},
	}
	home.flags(cmd)
	return cmd
}

func printKeys(w io.Writer, f app.KeyFacts) {
	fmt.Fprintf(w, "%s %s, key ring %s of generation %d, made %s\n", f.Zone, f.Name, f.Info.Ring, f.Generation, f.Made.Format("2006-01-02 15:04"))
	if f.Pending != nil {
		fmt.Fprintf(w, "not finished: %s of %s; the next command that opens it goes on\n", f.Pending.Act, f.Pending.At.Format("2006-01-02 15:04"))
	}
	fmt.Fprintln(w, "custodians, each of whom opens it:")
	for _, c := range f.Custodians {
		fmt.Fprintf(w, "  %s  key %s: %s%s\n", c.Ref, c.ID, c.Place, people(c))
		if c.BesideStore {
			fmt.Fprintf(w, "    THE STORE'S HOST CAN READ IT: %s\n", c.Why)
		}
		if !c.PostQuantum {
			fmt.Fprintln(w, "    not safe against a future quantum computer")
		}
	}
	fmt.Fprintln(w, "keys:")
	for i, k := range f.Keys {
		if i+1 < len(f.Keys) && f.Keys[i+1].Name == k.Name {
			continue // the newest generation stands for all
		}
		fmt.Fprintf(w, "  %-44s generation %d of %s  %s\n", k.Name, k.Generation, k.Made.Format("2006-01-02"), k.ID)
	}
	for _, g := range f.Destroyed {
		fmt.Fprintf(w, "  %-44s DESTROYED on %s\n", g.Name, g.At.Format("2006-01-02"))
	}
}

func people(c app.CustodianFacts) string {
	if len(c.People) == 0 {
		return ""
	}
	return fmt.Sprintf(" (any %d of %s)", c.Needed, strings.Join(c.People, ", "))
}

func newKeyRotate(e *env) *cobra.Command {
	var home keyHome
	var r app.Rotation
	cmd := &cobra.Command{
		Use:   "rotate (--hub FOLDER | --keeper FOLDER) [--to REFERENCE...]",
		Short: "Give the keys a new generation, for other custodians or for the same",
		Long: `Wraps the key ring anew, for the custodians of --to and nobody else (for those
of now, if there is no --to), and gives new generations to the keys that data
are sealed to. No data are touched. The old custodians open neither the ring nor
anything sealed from then on; what they may have kept is said plainly.

A token or key that is lost: bring another custodian, or enough people with
their shares, and name it for this command:
  HAVRE_CUSTODIAN=shares:/media/a,/media/b havre key rotate --hub hub --to file:/media/new/hub.key --as ...`,
		Example: "  havre key rotate --hub hub --to 'pkcs11:token=hsm;object=hub?module-path=/usr/lib/softhsm/libsofthsm2.so + file:/media/key/hub.key' --as operator@havre.example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "as"); err != nil {
				return err
			}
			var out app.Rotated
			err := home.with(cmd,
				func(ctx context.Context, h *app.Hub) (err error) { out, err = h.RotateKeys(ctx, r); return err },
				func(ctx context.Context, k *app.Keeper) (err error) { out, err = k.RotateKeys(ctx, r); return err })
			if err != nil {
				return err
			}
			return e.result(out, func(w io.Writer) { printRotation(w, out) })
		},
	}
	home.flags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&r.To, "to", nil, "a custodian from now on (repeat for more); made if absent")
	f.StringVar(&r.Reason, "reason", "", "why; the log holds a commitment to it")
	asFlag(cmd, &r.By)
	return cmd
}

func printRotation(w io.Writer, r app.Rotated) {
	fmt.Fprintf(w, "generation %d, log position %d, in %.1f s: %d keys wrapped anew, %d of them with a new generation, no data touched\n",
		r.Generation, r.LogIndex, r.Took.Seconds(), r.Rewrapped, len(r.Renewed))
	for _, c := range r.After {
		fmt.Fprintf(w, "opens: %s (key %s)\n", c.Ref, c.ID)
	}
	for _, p := range r.Proofs {
		fmt.Fprintf(w, "tried, and failed as it must: %s\n", p.Tried)
	}
	fmt.Fprintln(w, "the old custodians may have kept:")
	for _, s := range r.MayHaveKept {
		fmt.Fprintf(w, "  - %s\n", s)
	}
	fmt.Fprintln(w, "next:")
	for _, s := range r.ToDo {
		fmt.Fprintf(w, "  - %s\n", s)
	}
}

func newKeyShare(e *env) *cobra.Command {
	var home keyHome
	var s app.Sharing
	cmd := &cobra.Command{
		Use:   "share (--hub FOLDER | --keeper FOLDER) --person NAME... --needed K --out FOLDER --place PLACES",
		Short: "Let any K of several people open the key ring together",
		Long: `Splits a key among people, so that any K of them open the key ring and fewer
learn nothing. Writes one file a person to --out: hand each to its person, on a
medium of its own or on paper, and remove the folder. --place says where they
will bring them to open: a folder, or files joined by commas.`,
		Example: "  havre key share --hub hub --person 'Claire Martin' --person 'Yann Le Goff' --person 'Aicha Benali' --needed 2 --out shares --place /run/havre/shares --as operator@havre.example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "person", "out", "place", "as"); err != nil {
				return err
			}
			var out app.Shared
			err := home.with(cmd,
				func(ctx context.Context, h *app.Hub) (err error) { out, err = h.ShareKeys(ctx, s); return err },
				func(ctx context.Context, k *app.Keeper) (err error) { out, err = k.ShareKeys(ctx, s); return err })
			if err != nil {
				return err
			}
			return e.result(out, func(w io.Writer) {
				fmt.Fprintf(w, "any %d of %d people open the key ring from now on (set %s, log position %d)\n", out.Needed, len(out.Files), out.Set, out.LogIndex)
				for i, f := range out.Files {
					fmt.Fprintf(w, "%s: %s\n", s.People[i], f)
				}
				fmt.Fprintln(w, "hand each out on a medium of its own, then remove the folder; whoever has seen enough of them opens everything")
			})
		},
	}
	home.flags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&s.People, "person", nil, "a person who gets a share (repeat)")
	f.IntVar(&s.Needed, "needed", 2, "how many of them open")
	f.StringVar(&s.Out, "out", "", "folder for the shares, one file a person")
	f.StringVar(&s.Place, "place", "", "where the people will bring their shares to open: a folder, or files joined by commas")
	asFlag(cmd, &s.By)
	return cmd
}

func newKeyDestroy(e *env) *cobra.Command {
	var hub, holder string
	var deliveries []string
	var d app.Destruction
	var yes bool
	cmd := &cobra.Command{
		Use:   "destroy --hub FOLDER (--delivery ID... | --holder NAME | --permit ID...) --reason TEXT --yes",
		Short: "End data for good, in every copy, by destroying their key",
		Long: `Destroys the key of what a delivery brought, of all that a holder delivered, or
of the waiting results under a permit. Nothing that was sealed to it can ever be
opened again: not in the store, not in its backups. So that no old copy of the
key ring brings the key back, the custodians are given fresh keys; those who
cannot be (people with shares, plugins) stand in the certificate.

It cannot be undone. The certificate is signed, and havre-verify checks it.`,
		Example: "  havre key destroy --hub hub --holder chu-nord --reason 'end of the agreement' --yes --as operator@havre.example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "reason", "as"); err != nil {
				return err
			}
			if !yes {
				return havre.E("usage", havre.Usage, "destroying cannot be undone").WithHint("add --yes when you are sure")
			}
			for _, id := range deliveries {
				d.Deliveries = append(d.Deliveries, havre.DeliveryID(id))
			}
			d.Holder = havre.HolderID(holder)
			return withHub(cmd.Context(), hub, func(h *app.Hub) error {
				c, err := h.DestroyKeys(cmd.Context(), d)
				if err != nil {
					return err
				}
				return e.result(c, func(w io.Writer) { printDestruction(w, c) })
			})
		},
	}
	folderFlag(cmd, &hub, "hub", "hub")
	f := cmd.Flags()
	f.StringArrayVar(&deliveries, "delivery", nil, "a delivery (repeat)")
	f.StringVar(&holder, "holder", "", "all deliveries of this holder")
	f.StringArrayVar(&d.Permits, "permit", nil, "a permit, whose partial and waiting results end (repeat)")
	f.StringVar(&d.Reason, "reason", "", "why; it stands in the certificate")
	f.BoolVar(&yes, "yes", false, "it cannot be undone")
	asFlag(cmd, &d.By)
	return cmd
}

func newKeyCertificate(e *env) *cobra.Command {
	var hub string
	cmd := &cobra.Command{
		Use:     "certificate --hub FOLDER NAME",
		Short:   "Show the certificate of a destruction, by key, delivery, permit or its own id",
		Example: "  havre key certificate --hub hub destruction-42",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHub(cmd.Context(), hub, func(h *app.Hub) error {
				c, _, err := h.Certificate(args[0])
				if err != nil {
					return err
				}
				return e.result(c, func(w io.Writer) { printDestruction(w, c) })
			})
		},
	}
	folderFlag(cmd, &hub, "hub", "hub")
	return cmd
}
