package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/move"
)

func newMove(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "move",
		Short: "At the hub: go to another store, while the hub works",
		Long: `Takes a hub to another store, of any kind, while it works: it reads all the time,
and its writes wait some seconds for the switch. Steps, in order:

  plan     look at both stores, count, price, and ask the clock
  run      copy, read everything back, catch up, switch
  verify   read everything back once more; compare what both stores give
  finish   new keys, delete the old copy, show that it is gone, sign the report
  back     until then: return to the old store, with all that was written since

Whatever stops a step (a crash, a full disk, the network), the same command goes
on from there. The commands work on a hub that is not running and on one that
serves (havre serve); credentials of both stores are then in its environment.`,
	}
	cmd.AddCommand(newMovePlan(e), newMoveRun(e), newMoveVerify(e), newMoveFinish(e), newMoveBack(e), newMoveStatus(e), newMoveReport(e))
	return cmd
}

// moveFlags are what the steps share.
type moveFlags struct {
	dir       string
	r         app.MoveRequest
	host      string
	notice    string
	bandwidth string
	studies   []string
}

func (m *moveFlags) base(cmd *cobra.Command) {
	folderFlag(cmd, &m.dir, "hub", "hub")
	asFlag(cmd, &m.r.By)
}

func (m *moveFlags) pace(cmd *cobra.Command) {
	cmd.Flags().IntVar(&m.r.Pace.Streams, "streams", move.DefaultStreams, "objects under way at once")
	cmd.Flags().StringVar(&m.bandwidth, "bandwidth", "", "at most so much a second from or to either store, e.g. 50MB")
}

func (m *moveFlags) place(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.host, "host", "", "who runs the other store: a name of havre host list, or a file; needed once the hub's host is on record")
	f.StringVar(&m.r.PerGB, "egress-price", "", "what the old host takes for reading out 10^9 bytes, e.g. 0.08")
	f.StringVar(&m.r.Currency, "currency", "EUR", "currency of the price")
	f.StringVar(&m.notice, "notice", "", "day on which notice was given to the old host, 2006-01-02; today if absent (Data Act, Art. 25)")
}

func (m *moveFlags) references(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&m.studies, "reference", nil, "PERMIT:ACCOUNT:study.yaml, a study whose results must be the same from both stores (repeat for more)")
}

// request completes the request of a step.
func (m *moveFlags) request(cmd *cobra.Command, act string) (app.MoveRequest, error) {
	r := m.r
	r.Act = act
	if err := needed(cmd, "hub"); err != nil {
		return r, err
	}
	if act != "status" {
		if err := needed(cmd, "as"); err != nil {
			return r, err
		}
	}
	var err error
	if r.Pace.Bandwidth, err = parseBytes(m.bandwidth); err != nil {
		return r, err
	}
	if m.notice != "" {
		if r.Notice, err = time.Parse(time.DateOnly, m.notice); err != nil {
			return r, havre.E("usage", havre.Usage, "--notice is a day such as 2026-11-24").Wrap(err)
		}
	}
	if m.host != "" {
		if r.Host, err = app.ReadHost(m.host); err != nil {
			return r, err
		}
	}
	for _, s := range m.studies {
		permit, rest, _ := strings.Cut(s, ":")
		account, path, ok := strings.Cut(rest, ":")
		if !ok || permit == "" || account == "" || path == "" {
			return r, havre.E("usage", havre.Usage, "--reference is PERMIT:ACCOUNT:study.yaml")
		}
		if path, err = filepath.Abs(path); err != nil {
			return r, havre.E("usage", havre.Usage, "the path of the study has no absolute form").Wrap(err)
		}
		r.Studies = append(r.Studies, app.ReferenceStudy{Path: path, Permit: permit, Account: account})
	}
	return r, nil
}

// parseBytes reads "50MB", "50MiB", "1GB" or a number of bytes; "" is 0.
func parseBytes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits, unit := strings.TrimRight(s, "kKMGiB"), int64(0)
	for suffix, n := range map[string]int64{"": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if s[len(digits):] == suffix {
			unit = n
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 1 || unit == 0 {
		return 0, havre.E("usage", havre.Usage, fmt.Sprintf("%.20q is not an amount of data", s)).WithHint("write it as 50MB or 1GiB")
	}
	return n * unit, nil
}

// step makes the command of a step that ends with a status.
func (m *moveFlags) step(e *env, act string, args []string, cmd *cobra.Command) error {
	r, err := m.request(cmd, act)
	if err != nil {
		return err
	}
	if len(args) > 0 {
		r.ID = args[0]
	}
	res, err := app.Move(cmd.Context(), m.dir, r, e.progress())
	if err != nil {
		return err
	}
	switch {
	case res.Plan != nil:
		return e.result(res.Plan, func(w io.Writer) { printMovePlan(w, res.Plan) })
	case res.Moved != nil:
		return e.result(res.Moved, func(w io.Writer) { printMoved(w, res.Moved) })
	}
	return e.result(res.Status, func(w io.Writer) { printMoveStatus(w, res.Status) })
}

func newMovePlan(e *env) *cobra.Command {
	var m moveFlags
	cmd := &cobra.Command{
		Use:   "plan --hub FOLDER --to URL",
		Short: "Look at both stores: how much, how long, at what price, by when",
		Long: `Checks that the new store is empty, large enough, no part of the old one, and
keeps what it is given; that the policy allows its host; and that no key lies
beside it. Counts, carries a sample to measure the speed, and prices the way.
Leaves the new store empty. A plan that was not begun is replaced by the next.`,
		Example: `  havre move plan --hub hub --to 's3://health/hub?endpoint=https://s3.fr-par.scw.cloud&region=fr-par' \
      --host scaleway --egress-price 0.08 --notice 2026-09-01 --as operator@havre.example`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "to"); err != nil {
				return err
			}
			return m.step(e, "plan", args, cmd)
		},
	}
	m.base(cmd)
	m.place(cmd)
	cmd.Flags().StringVar(&m.r.To, "to", "", "the new store: file:FOLDER, s3://... or azblob://...; a relative file: counts from the hub's folder")
	return cmd
}

func newMoveRun(e *env) *cobra.Command {
	var m moveFlags
	cmd := &cobra.Command{
		Use:   "run --hub FOLDER",
		Short: "Copy, read everything back, catch up, and switch to the new store",
		Long: `Copies every object, reads every object back by its hash, carries what the hub
wrote meanwhile, and switches; writes wait for some seconds only then. The old
store stays whole. While the hub reads, the copy steps back.`,
		Example: "  havre move run --hub hub --bandwidth 50MB --as operator@havre.example",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return m.step(e, "run", args, cmd) },
	}
	m.base(cmd)
	m.pace(cmd)
	return cmd
}

func newMoveVerify(e *env) *cobra.Command {
	var m moveFlags
	cmd := &cobra.Command{
		Use:   "verify --hub FOLDER",
		Short: "After the switch: read everything back once more, and compare both stores",
		Long: `Reads every object back from the new store; opens the hub from each of the two
stores and compares snapshot, rows, the log rebuilt from its mirror, a count of
oddities over all rows, and the reference studies that are named.`,
		Example: "  havre move verify --hub hub --reference p-0001:ada@univ.example:study/study.yaml --as operator@havre.example",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return m.step(e, "verify", args, cmd) },
	}
	m.base(cmd)
	m.pace(cmd)
	m.references(cmd)
	return cmd
}

func newMoveFinish(e *env) *cobra.Command {
	var m moveFlags
	cmd := &cobra.Command{
		Use:   "finish --hub FOLDER MOVE",
		Short: "No way back: new keys, delete the old copy, show that it is gone, sign the report",
		Long: `Wraps the keys for the custodians named (those of now, renewed, if none is) and
destroys the old wraps; deletes every object of the old store and asks for each
once more; signs the report, which havre-verify checks offline. The move is named
by its id, so that nobody finishes by mistake.

Where the old bucket keeps versions or backups, end that there: no store tells.`,
		Example: "  havre move finish --hub hub --custodian file:/media/new/hub.key --as operator@havre.example m-0001",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return m.step(e, "finish", args, cmd) },
	}
	m.base(cmd)
	m.pace(cmd)
	cmd.Flags().StringArrayVar(&m.r.Custodians, "custodian", nil, "who opens the key ring from then on (repeat for more)")
	return cmd
}

func newMoveBack(e *env) *cobra.Command {
	var m moveFlags
	cmd := &cobra.Command{
		Use:   "back --hub FOLDER",
		Short: "Before finish: return to the old store and remove the new copy",
		Long: `Takes an open move, or a drill that was interrupted, back. After the switch, what
the hub wrote since goes to the old store first, so nothing is lost.`,
		Example: "  havre move back --hub hub --as operator@havre.example",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return m.step(e, "back", args, cmd) },
	}
	m.base(cmd)
	m.pace(cmd)
	cmd.Flags().BoolVar(&m.r.Leave, "leave-copy", false, "do not remove the new copy: its store does not answer any more")
	return cmd
}

func newMoveStatus(e *env) *cobra.Command {
	var m moveFlags
	cmd := &cobra.Command{
		Use:     "status --hub FOLDER",
		Short:   "How far the open move is, or how the last one ended",
		Example: "  havre move status --hub hub",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return m.step(e, "status", args, cmd) },
	}
	folderFlag(cmd, &m.dir, "hub", "hub")
	return cmd
}

func newMoveReport(e *env) *cobra.Command {
	var dir, out string
	cmd := &cobra.Command{
		Use:     "report --hub FOLDER [ID]",
		Short:   "Show a signed report of a move or drill, or write it to a file",
		Example: "  havre move report --hub hub --out m-0001.json m-0001",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			return withHub(cmd.Context(), dir, func(h *app.Hub) error {
				res, err := h.MoveReport(cmd.Context(), id)
				if err != nil {
					return err
				}
				if out != "" {
					if err := writeFile(out, res.Report); err != nil {
						return err
					}
				}
				return e.result(res.Moved, func(w io.Writer) { printMoved(w, res.Moved) })
			})
		},
	}
	folderFlag(cmd, &dir, "hub", "hub")
	cmd.Flags().StringVar(&out, "out", "", "file for the report as signed")
	return cmd
}

func newDrill(e *env) *cobra.Command {
	var m moveFlags
	cmd := &cobra.Command{
		Use:   "drill --hub FOLDER --at URL",
		Short: "Rehearse leaving: copy the hub to a second store, open it there, remove it again",
		Long: `Does all that a move does up to the switch, on a second store: copies, reads
everything back, opens the hub from there, compares snapshot, rows, log and
studies, removes the second copy, shows that it is gone, and signs a report with
durations, bytes and price. The hub stays where it is and works on.

A drill that was interrupted goes on when it is started again with the same
store; havre move back removes what it left.`,
		Example: "  havre drill --hub hub --at file:/mnt/second/hub --egress-price 0.08 --as operator@havre.example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needed(cmd, "at"); err != nil {
				return err
			}
			return m.step(e, "drill", args, cmd)
		},
	}
	m.base(cmd)
	m.place(cmd)
	m.pace(cmd)
	m.references(cmd)
	cmd.Flags().StringVar(&m.r.To, "at", "", "the second store: file:FOLDER, s3://... or azblob://...; a relative file: counts from the hub's folder")
	return cmd
}

func printMovePlan(w io.Writer, p *move.Plan) {
	fmt.Fprintf(w, "%s: from %s\n        to %s\n", p.ID, p.From.Where, p.To.Where)
	fmt.Fprintf(w, "%d objects, %s; the largest has %s\n", p.Objects, size(p.Bytes), size(p.Largest))
	if p.Free >= 0 {
		fmt.Fprintf(w, "room at the new store: %s\n", size(p.Free))
	} else {
		fmt.Fprintln(w, "room at the new store: it does not say")
	}
	fmt.Fprintf(w, "about %s at the speed of a sample\n", (time.Duration(p.Seconds*10) * time.Second / 10).Round(time.Second))
	printTerms(w, p.Cost, p.Clock)
	for _, s := range p.Warnings {
		fmt.Fprintf(w, "note: %s\n", s)
	}
	fmt.Fprintln(w, "next: havre move run")
}

func printTerms(w io.Writer, c record.Cost, k record.Clock) {
	if c.PerGB != "0" {
		fmt.Fprintf(w, "reading out: %s %s at %s a GB\n", c.Total, c.Currency, c.PerGB)
	}
	fmt.Fprintf(w, "Data Act: notice %s, ends %s; transition until %s\n", k.Notice, k.NoticeEnds, k.TransitionEnd)
}

func printMoveStatus(w io.Writer, s *move.Status) {
	fmt.Fprintf(w, "%s is %s: from %s\n        to %s\n", s.ID, s.State, s.From.Where, s.To.Where)
	if s.Objects > 0 {
		fmt.Fprintf(w, "%d objects, %s", s.Objects, size(s.Bytes))
		if s.Next != "" && (s.Copied < s.Objects || s.ReadBack < s.Objects) { // an ended one keeps no list
			fmt.Fprintf(w, "; %d copied, %d read back", s.Copied, s.ReadBack)
		}
		fmt.Fprintln(w)
	}
	if s.FreezeMS > 0 {
		fmt.Fprintf(w, "writes waited %.1f s for the switch\n", float64(s.FreezeMS)/1000)
	}
	if s.Root != "" {
		fmt.Fprintf(w, "root %s\n", s.Root)
	}
	if s.Next != "" {
		fmt.Fprintf(w, "next: %s\n", s.Next)
	}
}

func printMoved(w io.Writer, m *record.Move) {
	fmt.Fprintf(w, "%s is finished, %s: from %s\n        to %s\n", m.ID, m.Times.Finished.Format("2006-01-02 15:04:05Z"), m.From.Where, m.To.Where)
	fmt.Fprintf(w, "%d objects, %s, one root on both sides: %s\n", m.Objects, size(m.Bytes), m.Root)
	fmt.Fprintf(w, "snapshot %d, %d rows, %d reference studies: the same from both stores\n", m.After.Number, m.After.Rows, len(m.After.Studies))
	what := "old copy"
	if m.Kind == record.KindDrill {
		what = "second copy"
	}
	fmt.Fprintf(w, "%s: %d objects deleted, %d names asked for afterwards, %d still there\n", what, m.Removed.Objects, m.Removed.Probed, m.Removed.Readable)
	if m.Keys.Changed {
		fmt.Fprintf(w, "keys: wrapped for %s; the wraps for %s are destroyed\n", strings.Join(m.Keys.After, ", "), strings.Join(m.Keys.Before, ", "))
	}
	for _, step := range []struct{ key, name string }{{"copy", "copied in"}, {"read_back", "read back in"}, {"freeze", "writes waited"}, {"verify", "compared in"}, {"finish", "removed in"}} {
		if ms, ok := m.Milliseconds[step.key]; ok {
			fmt.Fprintf(w, "%-13s %8.1f s\n", step.name, float64(ms)/1000)
		}
	}
	printTerms(w, m.Cost, m.Clock)
	fmt.Fprintf(w, "signed; stands in the log as entry %d\n", m.LogIndex)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
