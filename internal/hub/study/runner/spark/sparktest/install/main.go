// Command install installs the Apache Spark that the tests run on this machine,
// so that the first test need not.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/havre-hub/havre/internal/hub/study/runner/spark/sparktest"
)

func main() {
	if _, err := sparktest.Install(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
