// Package runner is the contract between a study and what carries it out:
// a task is a number of buckets and a function that turns one bucket into an
// encoded partial result. pool, one level below, runs it in this process;
// runnertest is the suite that every runner passes.
package runner

import "context"

// Task is what a runner works through.
type Task struct {
	// ID names the run, for checkpoints and logs.
	ID string
	// Round counts the passes of a study over its buckets, from 0. A runner is
	// given the rounds of one study one after the other.
	Round int
	// Last says that no round of the study follows: what runs it may be let go.
	Last bool
	// Input is what all buckets of a later round begin with, in the study's own
	// encoding; nil in round 0. It is made of partial results: whoever carries it
	// out of this process seals it.
	Input []byte
	// Buckets are the buckets that are left to do, each once.
	Buckets []int
	// Map turns a bucket into its partial result. It is a pure function of the
	// bucket, so it may be called again, here or on another machine. It stops
	// soon after its context ends. Safe for concurrent use.
	Map func(ctx context.Context, bucket int) ([]byte, error)
	// Done takes a finished bucket. The runner calls it at least once for every
	// bucket and in any order; taking a bucket twice is harmless. An error from
	// it ends the run. Safe for concurrent use.
	Done func(bucket int, partial []byte) error
}

// Runner carries out a task. It returns nil when Done has accepted every
// bucket. After the first error of Map or Done, or when ctx ends, it starts no
// other bucket, waits for what it has started, and returns that error as it
// is; buckets that Done has accepted stay done. Nothing of the task runs in this
// process once Run has returned; on other machines no bucket is begun any more.
type Runner interface {
	Run(ctx context.Context, t Task) error
}

// Checkpoints keep finished buckets, so that a run that was killed goes on
// where it stopped. A partial result is an aggregate over few persons: whoever
// keeps it seals it.
type Checkpoints interface {
	// Put keeps the partial result of a bucket; it is durable on return. It
	// takes the place of an earlier one.
	Put(ctx context.Context, run string, bucket int, partial []byte) error
	// Get gives what was put, ok=false if nothing was.
	Get(ctx context.Context, run string, bucket int) (partial []byte, ok bool, err error)
}
