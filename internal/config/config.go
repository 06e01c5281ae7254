// Package config is what people may set: one commented struct for each zone,
// read strictly from YAML. A misspelt key is an error that names the nearest
// right one; secrets never stand in a file, only references to them.
package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/google/renameio/v2"

	"github.com/havre-hub/havre/internal/havre"
)

// FileName is the configuration file in a zone's folder.
const FileName = "havre.yaml"

// Hub is the configuration of a hub. Relative paths count from the folder that
// holds the file.
type Hub struct {
	Name      string `yaml:"name" doc:"name of the hub; deliveries, permits and the log carry it"`
	Store     string `yaml:"store" doc:"where the sealed objects are: file:FOLDER, s3://BUCKET/PREFIX?endpoint=URL or azblob://CONTAINER/PREFIX?account=NAME; credentials come from the environment"`
	Custodian string `yaml:"custodian" doc:"who opens the key ring first: file:PATH of a key on another medium than the store, passphrase:PATH, pkcs11:..., plugin:PATH, shares:FOLDER, or two joined by \" + \" (docs/howto/custodians.md); the ring itself knows all its custodians"`

	KeyBesideStore bool `yaml:"key_beside_store" doc:"true accepts that the store's host can read the custodian's key; the posture shows it in red"`

	Listen string `yaml:"listen" doc:"address of the HTTPS endpoint for deliveries (havre serve)"`
	Memory string `yaml:"memory" doc:"how much memory ingest and studies may plan with, e.g. 1GiB"`
}

// Keeper is the configuration of a keeper.
type Keeper struct {
	Name      string `yaml:"name" doc:"name of the keeper"`
	Custodian string `yaml:"custodian" doc:"who opens the key ring: file:PATH of a key kept apart from this folder"`
}

// Holder is the configuration of a data holder.
type Holder struct {
	Name      string `yaml:"name" doc:"name of the holder, as the hub registered it"`
	Custodian string `yaml:"custodian" doc:"who opens the key ring: file:PATH of a key kept apart from this folder"`
}

// DefaultHub holds the defaults of a hub.
func DefaultHub() Hub { return Hub{Listen: "127.0.0.1:8443", Memory: "1GiB"} }

// MemoryBytes is Memory as a number.
func (h Hub) MemoryBytes() (int64, error) {
	for suffix, unit := range map[string]int64{"GiB": 1 << 30, "MiB": 1 << 20} {
		if digits, ok := strings.CutSuffix(h.Memory, suffix); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 32); err == nil && n > 0 {
				return n * unit, nil
			}
		}
	}
	return 0, havre.E("config", havre.Invalid, fmt.Sprintf("memory: %q is not an amount of memory", h.Memory)).WithHint("write it as 512MiB or 2GiB")
}

// Read reads dir/havre.yaml into c, a pointer to one of the structs above that
// holds its defaults.
func Read(dir string, c any) error {
	path := filepath.Join(dir, FileName)
	b, err := os.ReadFile(path)
	if err != nil {
		return havre.E("config", havre.NotFound, "there is no configuration at "+path).
			WithHint("name the right folder, or make one with the init command of the zone").Wrap(err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(c); err != nil {
		e := havre.E("config", havre.Invalid, path+" is not a valid configuration").Wrap(err)
		return e.WithHint("the keys are: " + strings.Join(keys(c), ", ") + nearest(err.Error(), c))
	}
	return nil
}

// Write makes dir/havre.yaml with a comment above each key; it never overwrites.
func Write(dir string, c any) error {
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return havre.E("config", havre.Exists, path+" cannot be made").Wrap(err)
	}
	_, err = f.WriteString(Text(c))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return havre.E("config", havre.NoSpace, path+" cannot be written").Wrap(err)
	}
	return nil
}

// Replace writes dir/havre.yaml anew, in one step; comments that people added
// are lost.
func Replace(dir string, c any) error {
	path := filepath.Join(dir, FileName)
	if err := renameio.WriteFile(path, []byte(Text(c)), 0o600); err != nil {
		return havre.E("config", havre.NoSpace, path+" cannot be written").Wrap(err)
	}
	return nil
}

// Text is c as commented YAML.
func Text(c any) string {
	var b strings.Builder
	v := reflect.Indirect(reflect.ValueOf(c))
	for i := range v.NumField() {
		f := v.Type().Field(i)
		value, _ := yaml.Marshal(v.Field(i).Interface())
		fmt.Fprintf(&b, "# %s\n%s: %s\n", f.Tag.Get("doc"), f.Tag.Get("yaml"), strings.TrimSpace(string(value)))
	}
	return b.String()
}

func keys(c any) (names []string) {
	t := reflect.Indirect(reflect.ValueOf(c)).Type()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("yaml"))
	}
	return names
}

// nearest says which key a decoding error's unknown field was meant to be.
func nearest(message string, c any) string {
	_, rest, ok := strings.Cut(message, `unknown field "`)
	if !ok {
		return ""
	}
	word, _, _ := strings.Cut(rest, `"`)
	return havre.Nearest(strings.ToLower(word), keys(c))
}
