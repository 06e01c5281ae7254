package demo

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/placement"
	"github.com/havre-hub/havre/internal/host/strict"
	"github.com/havre-hub/havre/internal/host/words"
)

// Stores say on which stores the hub of the demo stands, before and after it
// leaves.
type Stores string

// Servers are Azurite and versitygw on loopback, real servers of the Azure Blob
// and S3 protocols; Auto takes them where make test-servers has installed them
// and two folders elsewhere. The servers' credentials are in the process's
// environment while the demo runs, so two demos on servers need two processes.
const (
	Auto    Stores = "auto"
	Servers Stores = "servers"
	Folders Stores = "folders"
)

// The hosts whose part the stores play: the first by a derogation of three
// years, the second by its own merits.
const (
	firstHost  = "azure-france"
	secondHost = "example-sovereign"
	ownHost    = "own-machines"
)

// hosts are the stores of the demo.
type hosts struct {
	first, second, drill string // URLs
	names                [2]string
	stop                 func()
}

// standUp makes the stores ready.
func (j *journey) standUp(ctx context.Context) (hosts, error) {
	none := hosts{stop: func() {}}
	switch j.Stores {
	case Auto:
		if !serve.Ready() {
			return j.folders(none)
		}
	case "", Folders:
		return j.folders(none)
	case Servers:
	default:
		return none, havre.E("demo", havre.Usage, "--stores is auto, servers or folders")
	}
	work, err := os.MkdirTemp("", "havre-azurite-")
	if err != nil {
		return none, havre.E("demo", havre.NoSpace, "there is no temporary folder").Wrap(err)
	}
	azure, err := serve.Azure(ctx, work)
	if err != nil {
		_ = os.RemoveAll(work)
		return none, havre.E("demo", havre.StoreUnavailable, "the Azure Blob server of the demo does not start").
			WithHint("make test-servers installs it; --stores folders does without").Wrap(err)
	}
	s3, err := serve.S3(ctx, j.at("s3"))
	if err != nil {
		azure.Stop()
		_ = os.RemoveAll(work)
		return none, havre.E("demo", havre.StoreUnavailable, "the S3 server of the demo does not start").
			WithHint("make test-servers installs it; --stores folders does without").Wrap(err)
	}
	forget := lend(azure, s3)
	return hosts{first: azure.URL("havre"), second: s3.URL("havre"), drill: s3.URL("drill"), names: [2]string{"Azure Blob (Azurite)", "S3 (versitygw)"}, stop: func() {
		forget()
		azure.Stop()
		s3.Stop()
		_ = os.RemoveAll(work)
	}}, nil
}

// folders are the stores where no servers can be had.
func (j *journey) folders(h hosts) (hosts, error) {
	for _, dir := range []string{"former-store", "store"} {
		if err := os.MkdirAll(j.at(dir), 0o700); err != nil {
			return h, havre.E("demo", havre.NoSpace, "a store's folder cannot be made").Wrap(err)
		}
	}
	h.first, h.second, h.drill, h.names = "file:../former-store", "file:../store", "file:../drill-store", [2]string{"a folder", "another folder"}
	return h, nil
}

// lend puts the servers' credentials where the hub looks for them, and gives the
// way back.
func lend(servers ...*serve.Server) (forget func()) {
	before := map[string]string{}
	for _, s := range servers {
		for name, value := range s.Credentials() {
			before[name] = os.Getenv(name)
			_ = os.Setenv(name, value) // names and values have no zero byte
		}
	}
	return func() {
		for _, name := range slices.Sorted(maps.Keys(before)) {
			if before[name] == "" {
				_ = os.Unsetenv(name)
			} else {
				_ = os.Setenv(name, before[name])
			}
		}
	}
}

// place records where the hub stands: its store on the foreign cloud by a
// derogation, its memory on machines of its own.
func (j *journey) place(ctx context.Context) error {
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		return err
	}
	defer hub.Close()
	by := havre.NewPersonal(operator)
	for account, role := range map[string]havre.Role{operator: havre.RoleOperator, officer: havre.RoleOfficer} {
		if err := hub.Permits.AddAccount(ctx, account, role, by); err != nil {
			return err
		}
	}
	if _, err := hub.Host.Derogate(ctx, host.Derogation{Host: firstHost, Data: placement.NationalBase, Authority: "An authority of the demo", Reference: "2026-001",
		Reasons: "The demo tells of a hub that found no other host in time.", Until: strict.DateOf(havre.SystemNow().AddDate(3, 0, 0))}, by); err != nil {
		return err
	}
	for _, p := range []struct {
		role host.Role
		name string
	}{{host.Compute, ownHost}, {host.Store, firstHost}} {
		described, err := app.ReadHost(p.name)
		if err != nil {
			return err
		}
		if _, err := hub.Host.Place(ctx, p.role, described, placement.NationalBase, by); err != nil {
			return err
		}
	}
	return nil
}

// leave rehearses leaving the first host, and leaves it.
func (j *journey) leave(ctx context.Context) error {
	if err := j.posture(ctx, "posture-before"); err != nil {
		return err
	}
	described, err := app.ReadHost(secondHost)
	if err != nil {
		return err
	}
	r := app.MoveRequest{To: j.hosts.second, Host: described, By: operator, PerGB: "0.08", Currency: "EUR"}
	if j.From == "" && j.Study == "" {
		r.Studies = []app.ReferenceStudy{{Path: j.at("study", "study.yaml"), Permit: j.permitID, Account: researcher}}
	}
	moved, err := app.Relocate(ctx, j.at("hub"), j.hosts.drill, r, j.Progress)
	if err != nil {
		return err
	}
	j.s.Move = &Move{Relocation: moved, Stores: j.hosts.names, Drilled: moved.Drill != nil}
	_ = os.Remove(j.at("drill-store")) // there and empty only where folders play the hosts
	return j.posture(ctx, "posture-after")
}

// posture writes the page that says who could read what, in both languages.
func (j *journey) posture(ctx context.Context, name string) error {
	b, err := app.OpenBeside(ctx, j.at("hub"))
	if err != nil {
		return err
	}
	defer b.Close()
	r, err := b.Posture(ctx, true)
	if err != nil {
		return err
	}
	for _, lang := range []words.Lang{words.EN, words.FR} {
		file := j.at(name + "." + string(lang) + ".html")
		f, err := os.Create(file)
		if err == nil {
			err = errors.Join(r.HTML(f, lang), f.Close())
		}
		if err != nil {
			return havre.E("demo.posture", havre.NoSpace, "the page "+file+" cannot be written").Wrap(err)
		}
	}
	return nil
}

// settle keeps the second server's objects in the folder store, and points the
// hub there, because the servers end with the demo. A store is moved by copying
// its objects, and versitygw keeps each as a plain file.
func (j *journey) settle(ctx context.Context) error {
	j.hosts.stop()
	j.hosts.stop = func() {}
	bucket, isServer := strings.CutPrefix(j.hosts.second, "s3://")
	if !isServer {
		return nil
	}
	bucket, _, _ = strings.Cut(bucket, "?")
	if err := errors.Join(os.Rename(j.at("s3", "buckets", filepath.FromSlash(bucket)), j.at("store")), os.RemoveAll(j.at("s3"))); err != nil {
		return havre.E("demo.settle", havre.NoSpace, "the store's objects cannot be kept").Wrap(err)
	}
	conf := config.DefaultHub()
	if err := config.Read(j.at("hub"), &conf); err != nil {
		return err
	}
	conf.Store = "file:../store"
	if err := config.Replace(j.at("hub"), &conf); err != nil {
		return err
	}
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		return err
	}
	return hub.Close()
}
