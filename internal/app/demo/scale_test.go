package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/realinput"
)

// memoryLimit is what the hub's processes may have resident, memory files
// included, at any number of persons.
const memoryLimit = 2 << 30

// BenchmarkScale makes the journey with the program itself, one process a
// command, over 10,000, 100,000 and 1,000,000 synthetic residents (some 100
// rows each), and reports for each step the seconds, the microseconds per
// person (the same at every size if time is linear) and the peak of resident
// memory. It fails if receive, ingest or study needs more than 2 GiB.
//
// HAVRE_BENCH_RESIDENTS ("10000 100000") chooses other sizes; a million needs
// 20 GB of disk for some ten minutes.
func BenchmarkScale(b *testing.B) {
	sizes := []string{"10000", "100000", "1000000"}
	if s := os.Getenv("HAVRE_BENCH_RESIDENTS"); s != "" {
		sizes = strings.Fields(s)
	}
	bin := filepath.Join(b.TempDir(), "havre")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "./cmd/havre")
	build.Dir = realinput.Root(b)
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, size := range sizes {
		residents, err := strconv.Atoi(size)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(size, func(b *testing.B) {
			for b.Loop() {
				s := &scale{b: b, bin: bin, dir: b.TempDir(), spent: map[string]time.Duration{}, peak: map[string]int64{}}
				s.journey(residents)
				s.report(residents)
				_ = os.RemoveAll(s.dir)
			}
		})
	}
}

// scale is one journey at one size.
type scale struct {
	b     *testing.B
	bin   string
	dir   string
	rows  float64
	steps []string // in the order of the journey
	spent map[string]time.Duration
	peak  map[string]int64 // bytes
}

// hubSteps are the steps whose memory is limited.
var hubSteps = []string{"receive", "ingest", "study"}

func (s *scale) journey(residents int) {
	s.run("synth", "synth", "--residents", strconv.Itoa(residents), "--seed", "1", "--out", "pop")
	s.run("", "keeper", "init", "--keeper", "keeper", "--name", "keeper", "--custodian", "file:../safe/keeper.key")
	s.run("", "init", "--hub", "hub", "--name", "le-havre", "--store", "file:../store", "--key-beside-store", "--custodian", "file:../safe/hub.key", "--as", operator)
	s.run("", "trust", "--at", "hub", "keeper/card.json")
	s.run("", "trust", "--at", "keeper", "hub/card.json")
	entries, err := os.ReadDir(filepath.Join(s.dir, "pop", "holders"))
	if err != nil {
		s.b.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		s.run("", "holder", "init", "--holder", name, "--name", name, "--hub-card", "hub/card.json", "--keeper-card", "keeper/card.json")
		s.run("", "trust", "--at", "hub", name+"/card.json")
		s.run("", "trust", "--at", "keeper", name+"/card.json")
		data := filepath.Join("pop", "holders", name)
		sent := s.run("deliver", "deliver", "--holder", name, "--cdm", filepath.Join(data, "omop"), "--identity", filepath.Join(data, "identity.csv"),
			"--to-hub", "way/hub", "--to-keeper", "way/keeper")
		id := sent["delivery"].(string)
		s.clear(data) // room on the disk; it is not looked at again
		s.run("receive", "receive", "--hub", "hub", "--holder-name", name, "way/hub/"+id)
		s.clear("way/hub")
		s.run("link", "keeper", "link", "--keeper", "keeper", "--from", "way/keeper/"+id, "--to", "way/linked")
		taken := s.run("ingest", "ingest", "--hub", "hub", "--linkage", "way/linked/"+id, id)
		s.rows += taken["rows_in"].(float64)
	}
	s.study()
}

// study runs the demo's own study under a permit of its own.
func (s *scale) study() {
	if err := os.CopyFS(s.dir, builtIn); err != nil {
		s.b.Fatal(err)
	}
	for account, role := range map[string]string{researcher: "researcher", officer: "permit_officer", checkerOne: "output_checker", checkerTwo: "output_checker"} {
		s.run("", "account", "add", "--hub", "hub", "--as", operator, "--role", role, account)
	}
	needs := s.run("", "study", "needs", "study/study.yaml")
	var tables []map[string]any
	for _, n := range needs["needs"].([]any) {
		table := map[string]any{}
		for k, v := range n.(map[string]any) {
			if k = strings.ToLower(k); k == "table" {
				k = "name"
			}
			table[k] = v
		}
		tables = append(tables, table)
	}
	application, err := json.Marshal(map[string]any{"title": "Scale", "purpose": "scientific_research", "benefit": "Measures the hub.",
		"people": []string{researcher}, "checkers": 2, "end": time.Now().AddDate(1, 0, 0).UTC().Truncate(time.Second), "tables": tables})
	if err != nil {
		s.b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "application.yaml"), application, 0o600); err != nil {
		s.b.Fatal(err)
	}
	s.run("", "permit", "apply", "--hub", "hub", "--as", researcher, "application.yaml")
	s.run("", "permit", "decide", "--hub", "hub", "--as", officer, "--grant", "--reason", "to measure", "p-0001")
	s.run("study", "study", "run", "--hub", "hub", "--permit", "p-0001", "--as", researcher, "study/study.yaml")
}

// run makes one command a process of its own, books it under the step, and gives
// its JSON result.
func (s *scale) run(step string, args ...string) map[string]any {
	s.b.Helper()
	cmd := exec.Command(s.bin, append([]string{"-q", "--json"}, args...)...)
	cmd.Dir = s.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		s.b.Fatal(err)
	}
	watched := watch(cmd.Process.Pid)
	err := cmd.Wait()
	took := time.Since(start)
	peak := max(watched(), cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10)
	if err != nil {
		s.b.Fatalf("havre %s: %v\n%s%s", strings.Join(args, " "), err, stderr.String(), stdout.String())
	}
	if step != "" {
		if !slices.Contains(s.steps, step) {
			s.steps = append(s.steps, step)
		}
		s.spent[step] += took
		s.peak[step] = max(s.peak[step], peak)
		s.b.Logf("%-8s %8.2f s %6d MiB  %s", step, took.Seconds(), peak>>20, args[len(args)-1])
	}
	var result map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		s.b.Fatalf("havre %s: %v\n%s", strings.Join(args, " "), err, stdout.String())
	}
	return result
}

// watch looks at a process every 20 ms and, when called back, gives the most
// memory that it held: resident pages and those of its memory files, which
// belong to it alone and are not resident while nothing maps them.
func watch(pid int) func() int64 {
	var most atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				most.Store(max(most.Load(), held(pid)))
			}
		}
	}()
	return func() int64 {
		close(stop)
		<-done
		return most.Load()
	}
}

func held(pid int) (bytes int64) {
	proc := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "RssAnon:", "RssFile:": // shared pages are those of memory files, counted below
			bytes += kib << 10
		}
	}
	files, _ := os.ReadDir(proc + "fd")
	for _, f := range files {
		path := proc + "fd/" + f.Name()
		if target, err := os.Readlink(path); err != nil || !strings.HasPrefix(target, "/memfd:") {
			continue
		}
		var st syscall.Stat_t
		if syscall.Stat(path, &st) == nil {
			bytes += st.Blocks * 512
		}
	}
	return bytes
}

func (s *scale) clear(path string) {
	if err := os.RemoveAll(filepath.Join(s.dir, path)); err != nil {
		s.b.Fatal(err)
	}
}

func (s *scale) report(residents int) {
	for _, step := range s.steps {
		s.b.ReportMetric(s.spent[step].Seconds(), step+"_s")
		s.b.ReportMetric(float64(s.spent[step].Microseconds())/float64(residents), step+"_us/person")
		s.b.ReportMetric(float64(s.peak[step])/(1<<20), step+"_MiB")
	}
	s.b.ReportMetric(s.rows, "rows")
	for _, step := range hubSteps {
		if s.peak[step] > memoryLimit {
			s.b.Errorf("%s held %d MiB; the limit is %d", step, s.peak[step]>>20, memoryLimit>>20)
		}
	}
}
