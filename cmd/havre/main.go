// Command havre is the sovereign health data hub: one binary for the data
// holder, the keeper of identities, the hub and the auditor. See README.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/havre-hub/havre/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
