package tlog

import (
	"bytes"
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/havre-hub/havre/internal/havre"
)

var emptyRoot = hex.EncodeToString(rfc6962.DefaultHasher.EmptyRoot())

// maxFindings bounds a report: a log that was replaced whole differs everywhere.
const maxFindings = 50

// Finding is one thing that does not hold.
type Finding struct {
	Index int64  `json:"index"` // the entry it is about, or -1
	What  string `json:"what"`
}

// Report says what Verify saw.
type Report struct {
	Origin      string           `json:"origin"`
	Size        int64            `json:"size"` // entries under the newest checkpoint
	Root        string           `json:"root"`
	Checkpoints int              `json:"checkpoints"` // checkpoints that were checked, all on one history
	First       time.Time        `json:"first,omitzero"`
	Last        time.Time        `json:"last,omitzero"`
	Actions     map[string]int64 `json:"actions"` // entries by action
	Findings    []Finding        `json:"findings"`
	more        int
}

// OK says that everything holds.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// Err is nil, or an error of kind Tampered that tells the first finding.
func (r *Report) Err() error {
	if r.OK() {
		return nil
	}
	msg := r.Findings[0].What
	if n := len(r.Findings) + r.more - 1; n > 0 {
		msg += " (and " + plural(int64(n), "more finding", "more findings") + ")"
	}
	return havre.E("audit.verify", havre.Tampered, msg).
		WithHint("keep this folder as evidence; compare it with the mirror in the store and with the receipts that holders have")
}

func (r *Report) find(index int64, what string) {
	if len(r.Findings) >= maxFindings {
		r.more++
		return
	}
	r.Findings = append(r.Findings, Finding{index, what})
}

// Verify checks the whole log from its files: every entry is hashed again,
// tiles and root are recomputed from the entries, every kept checkpoint must
// be signed and lie on the same history, entries must be canonical and in order
// of time. The report names what is wrong; the error is the report's Err, or
// says why the check could not be made. Memory does not grow with the entries
// (two hashes for each 256).
func (r *Reader) Verify(ctx context.Context, p havre.Progress) (*Report, error) {
	if len(r.trust.Keys) == 0 {
		return nil, havre.E("audit.verify", havre.KeyUnavailable, "there is no key to check the log with")
	}
	v := &verification{Reader: r, rep: &Report{Origin: r.trust.Origin, Root: emptyRoot, Actions: map[string]int64{}, Findings: []Finding{}}}
	v.checkpoints()
	if len(v.kept) == 0 {
		if v.rep.OK() {
			return nil, havre.E("audit.verify", havre.NotFound, "there is no checkpoint, so there is no log to check")
		}
		return v.rep, v.rep.Err()
	}
	last := v.kept[len(v.kept)-1]
	v.rep.Size, v.rep.Root, v.rep.Checkpoints = last.Size, last.RootHex(), len(v.kept)

	count := p.Step("check the log", last.Size, "entries")
	defer count.Done()
	v.leaves, v.tiles = newTree(), newTree()
	v.markRoots(0)
	for n := int64(0); n*Width < last.Size; n++ {
		if err := ctx.Err(); err != nil {
			return v.rep, err
		}
		v.bundleAndTile(n, last.Size)
		count.Add(min(Width, last.Size-n*Width))
	}
	v.judge(last)
	return v.rep, v.rep.Err()
}

// verification is the state of one Verify.
type verification struct {
	*Reader
	rep  *Report
	kept []Checkpoint // those that are signed, by rising size

	leaves, tiles *tree     // built from the entries, and from the tiles of level 0
	diffs         []Finding // where entries and tiles of level 0 disagree
	moreDiffs     int
	next          int // the first of kept whose root is not yet marked
	before        time.Time
}

// checkpoints gathers the signed ones and finds forged ones and a rollback.
func (v *verification) checkpoints() {
	b, err := readFile(v.fsys, HistoryName, maxHistory)
	if err == nil {
		v.kept, _, err = ParseHistory(b, v.trust)
	}
	if err != nil {
		v.rep.find(-1, err.Error())
	}
	c, err := v.Checkpoint()
	if err != nil {
		v.rep.find(-1, err.Error())
		return
	}
	if len(v.kept) == 0 {
		v.kept = []Checkpoint{c}
		return
	}
	switch last := v.kept[len(v.kept)-1]; {
	case c.Size > last.Size:
		v.kept = append(v.kept, c)
	case c.Size < last.Size:
		v.rep.find(-1, "the published checkpoint covers "+plural(c.Size, "entry", "entries")+", but an older one that was kept covers "+itoa(last.Size)+": the log was rolled back")
	case c.Root != last.Root:
		v.rep.find(-1, "two checkpoints of "+plural(c.Size, "entry", "entries")+" are signed with different roots: the log was forked")
	}
}

// bundleAndTile takes in entries n*Width and following, and their tile.
func (v *verification) bundleAndTile(n, size int64) {
	base := n * Width
	want := int(min(Width, size-base))
	entries, bundleErr := v.bundle(n, size)
	hashes := make([][]byte, len(entries))
	for i, e := range entries {
		hashes[i] = LeafHash(e)
	}
	tile, err := v.tile(0, n, size)
	if err != nil {
		v.rep.find(-1, err.Error())
	}
	diffs := compare(base, want, hashes, tile)
	if len(entries) == 0 {
		diffs = []Finding{{base, bundleErr.Error()}}
	} else if bundleErr != nil && len(diffs) == 0 {
		v.rep.find(base, bundleErr.Error())
	}
	for _, d := range diffs {
		v.differ(d)
	}
	for i := range want {
		v.leaves.add(hashes, i)
		v.tiles.add(tile, i)
		v.markRoots(base + int64(i) + 1)
		if i < len(entries) {
			v.entry(base+int64(i), entries[i], tile == nil || i < len(tile) && bytes.Equal(hashes[i], tile[i]))
		}
	}
}

// entry reads one entry; sound says that its hash is the tile's, so that what
// is wrong with it was wrong when it was logged.
func (v *verification) entry(i int64, raw []byte, sound bool) {
	e, err := ParseEntry(raw)
	if err != nil {
		if sound {
			v.rep.find(i, "entry "+itoa(i)+" is not a proper entry: "+err.Error())
		}
		return
	}
	if sound && e.Time.Before(v.before) {
		v.rep.find(i, "entry "+itoa(i)+" is dated before entry "+itoa(i-1))
	}
	v.before = e.Time
	if i == 0 {
		v.rep.First = e.Time
	}
	v.rep.Last = e.Time
	v.rep.Actions[e.Action]++
}

func (v *verification) differ(d Finding) {
	if len(v.diffs) >= maxFindings {
		v.moreDiffs++
		return
	}
	v.diffs = append(v.diffs, d)
}

// markRoots notes both trees' roots when they reach the size of a kept checkpoint.
func (v *verification) markRoots(size int64) {
	for v.next < len(v.kept) && v.kept[v.next].Size == size {
		v.leaves.mark()
		v.tiles.mark()
		v.next++
	}
}

// judge compares both trees with the signed roots. What the newest checkpoint
// signs is the truth; it tells whether entries or tiles were altered.
func (v *verification) judge(last Checkpoint) {
	final := len(v.kept) - 1
	leavesHold := bytes.Equal(v.leaves.marks[final], last.Root[:])
	tilesHold := bytes.Equal(v.tiles.marks[final], last.Root[:])
	switch {
	case leavesHold && tilesHold:
	case leavesHold:
		for _, d := range v.diffs {
			v.rep.find(-1, "the tile of entry "+itoa(d.Index)+" (tile 0/"+itoa(d.Index/Width)+") was altered; the entries hold")
		}
	default:
		for _, d := range v.diffs {
			v.rep.find(d.Index, d.What)
		}
		v.rep.more += v.moreDiffs
		if !tilesHold {
			v.rep.find(-1, v.between(last))
		}
	}
	good := v.leaves
	if !leavesHold {
		good = v.tiles
	}
	if !leavesHold && !tilesHold {
		return
	}
	for i, c := range v.kept[:final] {
		if !bytes.Equal(good.marks[i], c.Root[:]) {
			v.rep.find(-1, "the kept checkpoint of "+plural(c.Size, "entry", "entries")+" is signed over other entries than the log now holds: the log was forked, or rewritten before entry "+itoa(c.Size))
		}
	}
	v.upperTiles(good, last.Size)
}

// between narrows down, by the kept checkpoints, where the log differs from
// what was signed.
func (v *verification) between(last Checkpoint) string {
	from, to := int64(0), last.Size
	for i, c := range v.kept {
		if bytes.Equal(v.leaves.marks[i], c.Root[:]) {
			from = c.Size
			continue
		}
		to = c.Size
		break
	}
	return "the entries do not give the root that is signed for " + plural(last.Size, "entry", "entries") +
		": one of the entries " + itoa(from) + " to " + itoa(to-1) + " was changed, removed or re-ordered, or the checkpoint covers others"
}

// upperTiles compares the tiles above level 0 with the hashes of the good tree.
func (v *verification) upperTiles(good *tree, size int64) {
	for level, hashes := range good.upper {
		for n := int64(0); n*Width < int64(len(hashes)); n++ {
			want := hashes[n*Width : min((n+1)*Width, int64(len(hashes)))]
			name := "tile " + strconv.Itoa(level+1) + "/" + itoa(n)
			tile, err := v.tile(int64(level+1), n, size)
			if err != nil {
				v.rep.find(-1, err.Error())
				continue
			}
			for i := range want {
				if !bytes.Equal(tile[i], want[i]) {
					v.rep.find(-1, name+" was altered; the entries hold")
					break
				}
			}
		}
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return itoa(n) + " " + many
}
