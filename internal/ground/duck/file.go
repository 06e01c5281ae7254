package duck

import (
	"io"
	"os"
	"strconv"

	"github.com/havre-hub/havre/internal/havre"
)

// File is one memory file of a Session, readable by its SQL at Path until
// Release. It has no name in any folder and is gone with the process.
type File struct {
	s    *Session
	mem  *os.File
	size int64 // written by this process; what DuckDB copies out is not counted
}

func newFile(s *Session) (*File, error) {
	mem, err := memoryFile()
	if err != nil {
		return nil, havre.E("duck.file", havre.Internal, "anonymous memory files cannot be made").Wrap(err)
	}
	return &File{s: s, mem: mem}, nil
}

// Load copies data into a free memory file.
func (s *Session) Load(data []byte) (*File, error) {
	f, err := s.Create()
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

// Create takes a free memory file, empty, to be written and then read by SQL.
func (s *Session) Create() (*File, error) {
	f, err := s.take()
	if err != nil {
		return nil, err
	}
	f.size = 0
	return f, nil
}

// Write appends to the file. Only one goroutine may write, and none may read
// by SQL meanwhile.
func (f *File) Write(data []byte) (int, error) {
	n, err := f.mem.WriteAt(data, f.size)
	f.size += int64(n)
	if err != nil {
		return n, havre.E("duck.file", havre.NoSpace, "there is not enough memory to open "+strconv.FormatInt(f.size+int64(len(data)-n), 10)+" bytes").
			WithHint("open fewer buckets at once, or give the process more memory").Wrap(err)
	}
	return n, nil
}

// Size is how many bytes were written since Create or Load.
func (f *File) Size() int64 { return f.size }

// Path is what SQL calls the file, e.g. read_parquet('/proc/self/fd/7').
func (f *File) Path() string { return "/proc/self/fd/" + strconv.Itoa(int(f.mem.Fd())) }

// Release frees the memory and lets the file be used again. SQL that still
// reads it fails or sees nothing.
func (f *File) Release() {
	_ = f.mem.Truncate(0)
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.free = append(f.s.free, f)
}

func (f *File) bytes() ([]byte, error) {
	info, err := f.mem.Stat()
	if err == nil {
		data := make([]byte, info.Size())
		if _, err = f.mem.ReadAt(data, 0); err == nil || err == io.EOF {
			return data, nil
		}
	}
	return nil, havre.E("duck.file", havre.Internal, "a memory file could not be read back").Wrap(err)
}

func (s *Session) take() (*File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		return nil, errNoFile
	}
	f := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return f, nil
}
