// Command havre-verify checks offline what a hub gives to outsiders: its log,
// receipts, permits and releases. It needs no network, no database and no C
// compiler; what it trusts is the keys it is given.
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
