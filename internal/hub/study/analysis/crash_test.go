package analysis_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/analysis"
	"github.com/havre-hub/havre/internal/hub/study/runner/pool"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// crashFolder, when set, makes this test binary a process that runs a study
// with its checkpoints in that folder, to be killed.
const crashFolder = "HAVRE_TEST_STUDY_CRASH"

func TestMain(m *testing.M) {
	if folder := os.Getenv(crashFolder); folder != "" {
		if err := crashChild(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// files are checkpoints in a folder: written whole, made durable, then named.
type files string

func (f files) name(run string, bucket int) string {
	return filepath.Join(string(f), fmt.Sprintf("%s-%d", run, bucket))
}

func (f files) Put(_ context.Context, run string, bucket int, partial []byte) error {
	tmp, err := os.CreateTemp(string(f), "new-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(partial)
	return errors.Join(err, tmp.Sync(), tmp.Close(), os.Rename(tmp.Name(), f.name(run, bucket)))
}

func (f files) Get(_ context.Context, run string, bucket int) ([]byte, bool, error) {
	b, err := os.ReadFile(f.name(run, bucket))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return b, err == nil, err
}

// slow are rows that take their time, so that a kill finds the study at work.
type slow struct{ study.Rows }

func (s slow) Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error) {
	time.Sleep(3 * time.Millisecond)
	return s.Rows.Read(ctx, bucket, w)
}

const crashBuckets = 40

func crashJob(d *study.Definition, folder string) study.Job {
	tables := drugWorld(400)
	j := study.Job{ID: "crash", Definition: d, Rows: studytest.New(crashBuckets, tables), Vocabulary: studytest.NewVocabulary(tables),
		Build: analysis.Build, Runner: pool.Pool{Workers: 2}}
	if folder != "" {
		j.Rows, j.Checkpoints = slow{j.Rows}, files(folder)
	}
	return j
}

func crashChild(folder string) error {
	d, err := study.Parse([]byte(bleeding), openFile)
	if err != nil {
		return err
	}
	_, err = study.Run(context.Background(), crashJob(d, folder))
	return err
}

// TestKilled kills a process that runs a study, again and again, with no
// chance to tidy up, until the study is done; the result is that of a run that
// nobody disturbed, and no bucket that was finished is computed twice.
func TestKilled(t *testing.T) {
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for try := 0; ; try++ {
		if try == 50 {
			t.Fatal("the study never ends")
		}
		child := exec.Command(self)
		child.Env = append(os.Environ(), crashFolder+"="+folder)
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		before := finished(t, folder)
		for end := time.Now().Add(20 * time.Second); finished(t, folder) < min(before+7, crashBuckets) && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		_ = child.Process.Signal(syscall.SIGKILL)
		if err := child.Wait(); err == nil {
			break // it had finished
		}
		killed++
		if finished(t, folder) == crashBuckets {
			break
		}
	}
	if killed == 0 {
		t.Fatal("the process was never killed at work")
	}
	d := parse(t, bleeding)
	rows := &permit{Rows: crashJob(d, "").Rows}
	rows.allowed.Store(1 << 40)
	resumed := crashJob(d, folder)
	resumed.Rows = rows
	if got, want := encode(t, run(t, resumed)), encode(t, run(t, crashJob(d, ""))); got != want {
		t.Errorf("after %d kills:\n%s\nwant\n%s", killed, got, want)
	}
	if n := rows.reads.Load(); n > 10 {
		t.Errorf("%d reads for a run that was done", n)
	}
}

func finished(t *testing.T, folder string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "crash-*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
