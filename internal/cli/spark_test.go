package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/hub/study/runner/spark/sparktest"
)

// TestSparkScript is the manual of studies on Spark, with a real one that runs
// on this machine alone (local[2]).
func TestSparkScript(t *testing.T) {
	home, err := sparktest.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := params(t.TempDir(), "file:../store")
	p.Dir = "testdata/spark"
	setup := p.Setup
	p.Setup = func(e *testscript.Env) error {
		for name, value := range map[string]string{"SPARK_HOME": home, "PYTHONPATH": filepath.Dir(home), "PYSPARK_PYTHON": "python3",
			"SPARK_LOCAL_IP": "127.0.0.1", "JAVA_HOME": os.Getenv("JAVA_HOME"),
			// The program as Spark must name it: by its full path.
			"HAVRE": filepath.Join(strings.Split(e.Getenv("PATH"), string(filepath.ListSeparator))[0], "havre")} {
			e.Setenv(name, value)
		}
		return setup(e)
	}
	p.Cmds["fingerprint"] = func(ts *testscript.TestScript, _ bool, args []string) {
		c, _, err := app.ReadCard(ts.MkAbs(args[1]))
		ts.Check(err)
		ts.Setenv(args[0], c.Fingerprint())
	}
	testscript.Run(t, p)
}
