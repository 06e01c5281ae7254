// Command install installs the object stores that the tests run on this
// machine, so that the first test need not.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
)

func main() {
	if err := serve.Install(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
