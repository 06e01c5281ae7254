// Package serve runs real object stores on this machine for tests and demos:
// versitygw (S3) and Azurite (Azure Blob). It installs the pinned versions
// from the Go module proxy and from npm into a folder of the user's cache,
// where all tests share them, and runs them on a loopback port.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// The servers' versions.
const (
	VersitygwVersion = "v1.8.0"
	AzuriteVersion   = "3.37.0"
)

// InstallCommand is the line that installs both servers.
const InstallCommand = "go run ./internal/ground/blob/blobtest/install"

// Install installs what is not there yet of both servers.
func Install(ctx context.Context) error {
	_, s3 := versitygw(ctx)
	_, azure := azurite(ctx)
	return errors.Join(s3, azure)
}

// Ready says whether both servers are installed, so that starting them needs
// no network.
func Ready() bool {
	cache, err := os.UserCacheDir()
	if err != nil {
		return false
	}
	for _, name := range []string{versitygwName, azuriteName} {
		if _, err := os.Stat(filepath.Join(cache, "havre-test", name)); err != nil {
			return false
		}
	}
	_, err = exec.LookPath("node")
	return err == nil
}

// The servers' folders in the cache.
const (
	versitygwName = "versitygw-" + VersitygwVersion
	azuriteName   = "azurite-" + AzuriteVersion
)

// versitygw gives the path of its program.
func versitygw(ctx context.Context) (string, error) {
	folder, err := installed(ctx, versitygwName, func(ctx context.Context, folder string) error {
		cmd := exec.CommandContext(ctx, "go", "install", "github.com/versity/versitygw/cmd/versitygw@"+VersitygwVersion)
		cmd.Dir = folder
		// The test's own build settings must not reach this build.
		cmd.Env = append(os.Environ(), "GOBIN="+folder, "GOFLAGS=", "GOOS=", "GOARCH=", "GOWORK=off", "CGO_ENABLED=0")
		return build(cmd)
	})
	return filepath.Join(folder, "versitygw"), err
}

// azurite gives the path of the script of its blob service, for node.
func azurite(ctx context.Context) (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("the Azure test server needs %s: apt-get install nodejs npm: %w", program, err)
		}
	}
	folder, err := installed(ctx, azuriteName, func(ctx context.Context, folder string) error {
		cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--no-save",
			"--ignore-scripts", "azurite@"+AzuriteVersion)
		cmd.Dir = folder
		return build(cmd)
	})
	return filepath.Join(folder, "node_modules", "azurite", "dist", "src", "blob", "main.js"), err
}

// Installed gives the cache folder of that name to other packages' tests, as
// the servers here are installed.
func Installed(ctx context.Context, name string, install func(ctx context.Context, folder string) error) (string, error) {
	return installed(ctx, name, install)
}

// installed gives the cache folder of that name. If it is absent, install
// fills a new folder, which gets its name only when all is in it. Processes
// that want the same at once wait for the first.
func installed(ctx context.Context, name string, install func(ctx context.Context, folder string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for test servers: %w", err)
	}
	cache = filepath.Join(cache, "havre-test")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("no folder for test servers: %w", err)
	}
	folder := filepath.Join(cache, name)
	lock := flock.New(folder + ".lock")
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return "", fmt.Errorf("lock the folder for test servers: %w", err)
	}
	defer lock.Unlock()
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return folder, err
	}
	temp, err := os.MkdirTemp(cache, name+".part-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := install(ctx, temp); err != nil {
		return "", fmt.Errorf("%s is not installed and cannot be (make test-servers does it): %w", name, err)
	}
	return folder, os.Rename(temp, folder)
}

func build(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
