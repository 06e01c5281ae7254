// Package sparktest runs a real Apache Spark on loopback for tests: a standalone
// master and workers, installed from PyPI's pyspark into a folder of the user's
// cache. Java (17 or newer) and Python must be on the machine.
package sparktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
)

// Version is the one of pyspark, and so of Spark.
const Version = "4.3.0"

// Install gives the folder that SPARK_HOME names, installing Spark if need be.
func Install(ctx context.Context) (string, error) {
	for program, from := range map[string]string{"java": "openjdk-17-jre-headless", "python3": "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("the tests of Spark need %s: apt-get install %s: %w", program, from, err)
		}
	}
	folder, err := serve.Installed(ctx, "pyspark-"+Version, func(ctx context.Context, folder string) error {
		cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"--no-cache-dir", "--no-compile", "--target", folder, "pyspark=="+Version)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("pip (apt-get install python3-pip): %w\n%s", err, out)
		}
		return nil
	})
	return filepath.Join(folder, "pyspark"), err
}

// Cluster is a running master with workers of one core each.
type Cluster struct {
	Home   string // SPARK_HOME
	Master string // spark://HOST:PORT
	Folder string // with all that Spark writes
	UI     []string
	env    []string
	all    []*daemon
}

// brief are options of Java for programs that live for seconds.
const brief = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"

// Start starts a master and workers in a folder and stops them with the test.
func Start(t testing.TB, workers int) *Cluster {
	t.Helper()
	home, err := Install(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Home: home, Folder: t.TempDir()}
	c.env = append(os.Environ(), "SPARK_HOME="+home, "PYTHONPATH="+filepath.Dir(home), "SPARK_LOCAL_IP=127.0.0.1", "SPARK_DAEMON_MEMORY=256m", "SPARK_DAEMON_JAVA_OPTS="+brief,
		"SPARK_LOCAL_DIRS="+c.dir(t, "local"), "SPARK_LOG_DIR="+c.dir(t, "log"), "PYSPARK_PYTHON=python3")
	t.Cleanup(c.stop)
	ports := make([]string, workers+2)
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			t.Fatal(err)
		}
	}
	c.Master = "spark://127.0.0.1:" + ports[0]
	c.daemon(t, "master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", ports[0], "--webui-port", ports[1])
	c.UI = append(c.UI, "http://127.0.0.1:"+ports[1])
	c.answers(t, "127.0.0.1:"+ports[0])
	for i := range workers {
		name := "worker" + strconv.Itoa(i)
		c.daemon(t, name, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", "700m",
			"--webui-port", ports[i+2], "--work-dir", c.dir(t, "work", name), c.Master)
		c.UI = append(c.UI, "http://127.0.0.1:"+ports[i+2])
	}
	for i := range workers {
		c.answers(t, "127.0.0.1:"+ports[i+2])
	}
	return c
}

// Setenv lets this process find the Spark of the cluster.
func (c *Cluster) Setenv(t testing.TB) {
	t.Setenv("SPARK_HOME", c.Home)
	t.Setenv("PYTHONPATH", filepath.Dir(c.Home))
	t.Setenv("SPARK_LOCAL_IP", "127.0.0.1")
	t.Setenv("PYSPARK_PYTHON", "python3")
	t.Setenv("SPARK_LOCAL_DIRS", filepath.Join(c.Folder, "local"))
}

// Conf are settings that fit a small machine, with an event log in Folder.
func (c *Cluster) Conf(t testing.TB) map[string]string {
	return map[string]string{"spark.driver.memory": "512m", "spark.executor.memory": "512m", "spark.eventLog.enabled": "true",
		"spark.eventLog.dir": "file:" + c.dir(t, "events"), "spark.driver.extraJavaOptions": brief, "spark.executor.extraJavaOptions": brief}
}

func (c *Cluster) dir(t testing.TB, parts ...string) string {
	p := filepath.Join(append([]string{c.Folder}, parts...)...)
	if err := os.MkdirAll(p, 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *Cluster) answers(t testing.TB, address string) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Spark does not answer at %s: %v", address, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// daemon is a child that dies with this process, however that ends. What it
// prints goes to the folder log.
type daemon struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func (c *Cluster) daemon(t testing.TB, name string, args ...string) {
	t.Helper()
	out, err := os.Create(filepath.Join(c.dir(t, "log"), name+".out"))
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{cmd: exec.Command(filepath.Join(c.Home, "bin", "spark-class"), args...), ended: make(chan struct{})}
	d.cmd.Env, d.cmd.Stdout, d.cmd.Stderr, d.cmd.Dir = c.env, out, out, c.Folder
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal is sent when the thread ends that started the child
		defer runtime.UnlockOSThread()
		err := d.cmd.Start()
		_ = out.Close()
		started <- err
		if err == nil {
			_ = d.cmd.Wait()
		}
		close(d.ended)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	c.all = append(c.all, d)
}

// stop ends the workers, which end their executors, then the master.
func (c *Cluster) stop() {
	var wg sync.WaitGroup
	for i := len(c.all) - 1; i >= 0; i-- {
		d := c.all[i]
		wg.Go(func() {
			_ = d.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-d.ended:
			case <-time.After(10 * time.Second):
				_ = d.cmd.Process.Kill()
				<-d.ended
			}
		})
	}
	wg.Wait()
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// Executors lists the processes of the cluster's executors.
func (c *Cluster) Executors() (pids []int) {
	for _, pid := range Processes("CoarseGrainedExecutorBackend") {
		cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
		if err == nil && strings.HasPrefix(cwd, c.Folder) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Processes lists the processes of this machine whose command line has all of
// the given words, and none of another test.
func Processes(words ...string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil {
			continue
		}
		all := true
		for _, w := range words {
			all = all && bytes.Contains(line, []byte(w))
		}
		if all {
			out = append(out, pid)
		}
	}
	return out
}
