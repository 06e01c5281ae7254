package duck

import (
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile makes a file that lives in memory only and is closed on exec, so
// that no child process inherits it.
func memoryFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("havre", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // kernels before 6.3 do not know NOEXEC_SEAL
		fd, err = unix.MemfdCreate("havre", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "havre"), nil
}
