package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"k8s.io/klog/v2"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Options say whose log it is. All but Now are needed.
type Options struct {
	Origin   string       // the log's name in its checkpoints, e.g. "hub.example/log"
	Signer   *sign.Signer // signs checkpoints
	Openings Openings     // keeps what opens the commitments
	Now      havre.Now    // the clock; nil is the machine's
}

func (o Options) trust() tlog.Trust {
	return tlog.Trust{Origin: o.Origin, Keys: []sign.PublicKey{o.Signer.Public()}}
}

func (o Options) check() error {
	if o.Signer == nil {
		return havre.E("audit.open", havre.KeyUnavailable, "there is no key to sign the log with")
	}
	if o.Openings == nil {
		return havre.E("audit.open", havre.Internal, "the log was given no place for openings")
	}
	return tlog.CheckOrigin(o.Origin)
}

// How entries become durable. tessera publishes a checkpoint at most every
// 100 ms, its least interval; entries that arrive while a batch is written form
// the next batch, so waiting longer to fill a batch gains nothing under load
// and costs a lone entry time.
const (
	maxBatch           = 4096
	batchWait          = 2 * time.Millisecond
	checkpointInterval = 100 * time.Millisecond
	pollInterval       = 2 * time.Millisecond
	publishLimit       = 15 * time.Second // without a checkpoint for so long, something is wrong
)

const (
	lockName  = "lock"
	stateName = ".state/treeState" // tessera's: what is integrated, published or not
)

// Log is the hub's log, open for appending by one process. Safe for concurrent use.
type Log struct {
	*tlog.Reader
	dir      string
	opts     Options
	lock     *flock.Flock
	history  *os.File
	appender *tessera.Appender
	shutdown func(context.Context) error
	stop     context.CancelFunc

	mu     sync.RWMutex // guards closed and sends on queue
	closed bool
	queue  chan *pending
	work   sync.WaitGroup // writer and publisher

	// Of the writer goroutine: the time of the newest entry.
	last time.Time
	// Of the publisher goroutine, once open: entries under a checkpoint in the
	// history, and the length of the history.
	kept, historyEnd int64
}

var _ Recorder = (*Log)(nil)

// Create makes an empty log at dir and closes it again. It fails with Exists
// if dir is there. Only init calls it. A crash leaves dir whole or absent.
func Create(ctx context.Context, dir string, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); err == nil {
		return havre.E("audit.create", havre.Exists, "there is a log at "+dir+" already; a log is never begun twice")
	}
	half := dir + ".new"
	if err := os.RemoveAll(half); err != nil {
		return diskError("audit.create", "an unfinished log at "+half+" cannot be removed", err)
	}
	if err := os.MkdirAll(half, 0o700); err != nil {
		return diskError("audit.create", "the folder of the log cannot be made", err)
	}
	if err := begin(ctx, half, o); err != nil {
		return err
	}
	return putInPlace(half, dir)
}

// begin starts tessera on an empty folder, so that it signs the checkpoint of
// the empty log, and opens the history with it.
func begin(ctx context.Context, dir string, o Options) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if _, _, _, err := start(ctx, dir, o); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(dir, tlog.CheckpointName))
	if err != nil {
		return diskError("audit.create", "the first checkpoint cannot be read", err)
	}
	return writeFile(filepath.Join(dir, tlog.HistoryName), tlog.HistoryLine(raw))
}

// start opens tessera's appender on dir.
func start(ctx context.Context, dir string, o Options) (*tessera.Appender, func(context.Context) error, tessera.LogReader, error) {
	fail := func(err error) (*tessera.Appender, func(context.Context) error, tessera.LogReader, error) {
		return nil, nil, nil, diskError("audit.open", "the log at "+dir+" cannot be opened", err)
	}
	quiet()
	signer, err := tlog.NoteSigner(o.Origin, o.Signer)
	if err != nil {
		return nil, nil, nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return fail(err)
	}
	a, shutdown, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(checkpointInterval).
		WithCheckpointRepublishInterval(0).
		WithBatching(maxBatch, batchWait))
	if err != nil {
		return fail(err)
	}
	return a, shutdown, reader, nil
}

// quiet keeps tessera's own log lines, which go through a global, off stderr:
// what goes wrong reaches the caller of Record as an error.
var quiet = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(slog.DiscardHandler)) })

// Open opens the log at dir for appending. It fails with NotFound when the log
// is not there, Locked when another process has it open, and Tampered when its
// checkpoint, history, tree or last entry do not fit together; it never begins
// a log. It does not read every entry: Verify does.
func Open(ctx context.Context, dir string, o Options) (_ *Log, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = havre.SystemNow
	}
	l := &Log{dir: dir, opts: o, queue: make(chan *pending, maxBatch)}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	if l.Reader, err = tlog.Open(dir, o.trust()); err != nil {
		return nil, err
	}
	if _, err := l.Checkpoint(); err != nil { // before the lock, which would make a file
		return nil, err
	}
	l.lock = flock.New(filepath.Join(dir, lockName))
	if ok, err := l.lock.TryLock(); err != nil {
		return nil, diskError("audit.open", "the lock of the log at "+dir+" cannot be taken", err)
	} else if !ok {
		return nil, havre.E("audit.open", havre.Locked, "another process has the log at "+dir+" open").
			WithHint("stop the other process, or let it do the work")
	}
	newest, err := l.openHistory()
	if err != nil {
		return nil, err
	}
	integrated, err := l.inspect(newest)
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	if l.appender, l.shutdown, _, err = start(running, dir, o); err != nil {
		return nil, err
	}
	// Entries that were written but not yet published when the last process
	// died belong to the log; their checkpoint comes now.
	if err := l.awaitPublished(ctx, integrated); err != nil {
		return nil, err
	}
	if integrated > 0 {
		newest, err := l.Entry(integrated - 1)
		if err != nil {
			return nil, err
		}
		l.last = newest.Time
	}
	batches := make(chan []*pending, 16)
	l.work.Go(func() { l.write(running, batches) })
	l.work.Go(func() { l.publish(running, batches) })
	return l, nil
}

// inspect checks that the checkpoint, the newest of the history, the tiles and
// tessera's state tell one story, and gives the number of integrated entries.
func (l *Log) inspect(newest tlog.Checkpoint) (integrated int64, err error) {
	c, err := l.Checkpoint()
	if err != nil {
		return 0, err
	}
	if c.Size < newest.Size {
		return 0, damaged("the published checkpoint is older than the last one that was kept: the log was rolled back", nil)
	}
	if _, err := l.Consistency(newest, c); err != nil {
		return 0, err
	}
	var state struct {
		Size uint64 `json:"size"`
		Root []byte `json:"root"`
	}
	b, err := os.ReadFile(filepath.Join(l.dir, stateName))
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err != nil {
		return 0, damaged("the state of the log's tree ("+stateName+") is missing or damaged", err)
	}
	if len(state.Root) != 32 || state.Size > 1<<62 {
		return 0, damaged("the state of the log's tree ("+stateName+") is damaged", nil)
	}
	tree := tlog.Checkpoint{Origin: c.Origin, Size: int64(state.Size), Root: [32]byte(state.Root)}
	for _, t := range []tlog.Checkpoint{c, tree} {
		root, err := l.RootFromTiles(t.Size)
		if err != nil {
			return 0, err
		}
		if [32]byte(root) != t.Root {
			return 0, damaged("the tiles do not give the root of the log's tree", nil)
		}
	}
	if _, err := l.Consistency(c, tree); err != nil {
		return 0, err
	}
	return tree.Size, nil
}

func damaged(msg string, err error) error {
	return havre.E("audit.open", havre.Tampered, msg).
		WithHint("keep the folder as evidence, verify it, and restore the log from its mirror in the store").Wrap(err)
}

// openHistory opens the history for appending, cuts off what a crash left
// unfinished at its end, and gives the newest checkpoint in it. It reads the
// end only: a history grows by some hundred bytes with each act of the hub.
func (l *Log) openHistory() (newest tlog.Checkpoint, err error) {
	const tail = 64 << 10
	fail := func(err error) (tlog.Checkpoint, error) {
		return newest, diskError("audit.open", "the history of checkpoints cannot be opened", err)
	}
	if l.history, err = os.OpenFile(filepath.Join(l.dir, tlog.HistoryName), os.O_RDWR, 0); errors.Is(err, fs.ErrNotExist) {
		return newest, damaged("the history of checkpoints is missing", err)
	} else if err != nil {
		return fail(err)
	}
	st, err := l.history.Stat()
	if err != nil {
		return fail(err)
	}
	b := make([]byte, min(st.Size(), tail))
	if _, err := l.history.ReadAt(b, st.Size()-int64(len(b))); err != nil {
		return fail(err)
	}
	whole := bytes.LastIndexByte(b, '\n') + 1
	l.historyEnd = st.Size() - int64(len(b)-whole)
	if whole < len(b) {
		if err := l.history.Truncate(l.historyEnd); err != nil {
			return fail(err)
		}
	}
	b = b[:whole]
	kept, _, err := tlog.ParseHistory(b[bytes.LastIndexByte(bytes.TrimSuffix(b, []byte("\n")), '\n')+1:], l.Trust())
	if err != nil {
		return newest, err
	}
	if len(kept) == 0 {
		return newest, damaged("the history of checkpoints is empty", nil)
	}
	newest = kept[0]
	l.kept = newest.Size
	return newest, nil
}

// Close waits for entries under way, so that each Record gets its answer, and
// lets go of the log.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.queue)
	l.mu.Unlock()
	l.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), publishLimit)
	defer cancel()
	err := l.shutdown(ctx)
	if cerr := l.release(); err == nil {
		err = cerr
	}
	if err != nil {
		return diskError("audit.close", "the log was not closed cleanly", err)
	}
	return nil
}

// release lets go of everything that is open.
func (l *Log) release() (err error) {
	if l.stop != nil {
		l.stop()
	}
	if l.history != nil {
		err = l.history.Close()
	}
	if l.Reader != nil {
		err = errors.Join(err, l.Reader.Close())
	}
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	return err
}

// writeFile makes a new durable file; its folder is synced by putInPlace.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return diskError("audit.write", filepath.Dir(path)+" cannot be made", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return havre.E("audit.write", havre.Exists, path+" exists and is never overwritten")
	}
	if err != nil {
		return diskError("audit.write", path+" cannot be written", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return diskError("audit.write", path+" cannot be written", err)
	}
	return nil
}

// putInPlace makes the finished folder half known as dir, durably.
func putInPlace(half, dir string) error {
	err := filepath.WalkDir(half, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncDir(path)
	})
	if err == nil {
		err = os.Rename(half, dir)
	}
	if err == nil {
		err = syncDir(filepath.Dir(dir))
	}
	if err != nil {
		return diskError("audit.create", "the log cannot be put in place at "+dir, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
