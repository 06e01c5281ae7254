// Package tlog reads and proves the log without the hub: entries, commitments,
// checkpoints, proofs, and the check of a whole log from its files alone. It
// has no network, no cgo and few dependencies, so that outsiders build it into
// havre-verify; package audit writes what it reads.
//
// A log is a folder in the layout of C2SP tlog-tiles, plus the history of its
// checkpoints (byte-exact description: docs/formats/log.md):
//
//	checkpoint              the newest signed checkpoint (C2SP tlog-checkpoint)
//	checkpoints.jsonl       every checkpoint that an acknowledged entry rests on
//	tile/entries/...        entry bundles of 256
//	tile/LEVEL/...          hash tiles of 256
//
// Proof nodes are read from tiles here rather than with tessera's client
// package, because that one brings a telemetry stack into the verifier.
package tlog
