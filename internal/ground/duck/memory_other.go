//go:build !linux

package duck

import (
	"errors"
	"os"
)

// memoryFile fails: anonymous memory files with a path are a Linux ability,
// and a file on disk is no substitute for plaintext.
func memoryFile() (*os.File, error) {
	return nil, errors.New("a hub runs on Linux only (memfd_create)")
}
