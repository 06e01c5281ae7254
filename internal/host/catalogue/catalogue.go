// Package catalogue keeps lists of requirements as data. A list that is
// opened for answers is frozen: it has a version number and a hash, and
// nothing in it changes again. Changing the list makes another version, whose
// difference is computed and shown; what was answered to the earlier one stays
// as it was. So nobody can move the goalposts unseen.
package catalogue

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/host/strict"
)

// Hub is the layer of requirements that are about Havre itself; the others are
// the layers of a host.
const Hub = "hub"

// Weights of an item.
const (
	Mandatory   = "mandatory"
	Recommended = "recommended"
	Optional    = "optional"
)

// Catalogue is a list of requirements and, where there are, of use cases.
type Catalogue struct {
	Name         string   `yaml:"name" json:"name"`
	Title        string   `yaml:"title" json:"title"`
	Edition      string   `yaml:"edition" json:"edition"` // of the source, as it names itself
	Source       Source   `yaml:"source" json:"source"`
	Coverage     string   `yaml:"coverage" json:"coverage"` // how much of the source is here
	Layers       []string `yaml:"layers" json:"layers"`     // of the items that name none
	Requirements []Item   `yaml:"requirements" json:"requirements"`
	UseCases     []Item   `yaml:"use_cases,omitempty" json:"use_cases,omitempty"`
}

// Source is where the requirements come from.
type Source struct {
	Title string      `yaml:"title" json:"title"`
	URL   string      `yaml:"url" json:"url"`
	Date  strict.Date `yaml:"date" json:"date"` // of the source
	Read  strict.Date `yaml:"read" json:"read"` // when it was read
}

// Item is one requirement or use case: the source's id, our words.
type Item struct {
	ID     string   `yaml:"id" json:"id"`
	Text   string   `yaml:"text" json:"text"`
	Layers []string `yaml:"layers,omitempty" json:"layers,omitempty"` // where it must be met; the catalogue's if empty
	Weight string   `yaml:"weight,omitempty" json:"weight,omitempty"` // mandatory if empty
	Probe  string   `yaml:"probe,omitempty" json:"probe,omitempty"`   // the probe that answers it for Havre
}

// Parse reads a catalogue strictly. Errors are of kind Invalid.
func Parse(what string, b []byte) (*Catalogue, error) {
	c := new(Catalogue)
	if err := strict.YAML(what, b, c); err != nil {
		return nil, err
	}
	return c, c.check()
}

func (c *Catalogue) check() error {
	if !havre.ValidName(c.Name) || c.Title == "" || c.Edition == "" {
		return invalid(fmt.Sprintf("a catalogue needs a name of lower-case letters, digits and hyphens (here %.40q), a title and an edition", c.Name))
	}
	if len(c.Requirements) == 0 || len(c.Layers) == 0 {
		return invalid("the catalogue " + c.Name + " needs requirements and the layers they are about")
	}
	if err := c.checkLayers(c.Layers, "itself"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, i := range c.Items() {
		switch {
		case i.ID == "" || i.Text == "" || len(i.ID) > 100:
			return invalid(fmt.Sprintf("the catalogue %s has an item %.60q without an id or a text", c.Name, i.ID))
		case seen[i.ID]:
			return invalid(fmt.Sprintf("the catalogue %s has the id %q twice", c.Name, i.ID))
		case !slices.Contains([]string{"", Mandatory, Recommended, Optional}, i.Weight):
			return invalid(fmt.Sprintf("%s %s: the weight is mandatory, recommended or optional, not %.30q", c.Name, i.ID, i.Weight))
		}
		seen[i.ID] = true
		if err := c.checkLayers(i.Layers, i.ID); err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalogue) checkLayers(layers []string, where string) error {
	known := []string{Hub}
	for _, l := range descriptor.Layers {
		known = append(known, string(l))
	}
	for n, l := range layers {
		if !slices.Contains(known, l) {
			return invalid(fmt.Sprintf("the catalogue %s, %s: there is no layer %.30q%s", c.Name, where, l, havre.Nearest(l, known)))
		}
		if slices.Contains(layers[:n], l) {
			return invalid(fmt.Sprintf("the catalogue %s, %s: the layer %s stands twice", c.Name, where, l))
		}
	}
	return nil
}

// Items gives requirements and use cases.
func (c *Catalogue) Items() []Item { return append(slices.Clone(c.Requirements), c.UseCases...) }

// Find gives an item by its id.
func (c *Catalogue) Find(id string) (Item, bool) {
	for _, i := range c.Items() {
		if i.ID == id {
			return i, true
		}
	}
	return Item{}, false
}

// LayersOf gives the layers where an item must be met.
func (c *Catalogue) LayersOf(i Item) []string {
	if len(i.Layers) > 0 {
		return i.Layers
	}
	return c.Layers
}

// Digest is the SHA-256, hex, of the catalogue's canonical JSON (RFC 8785).
func (c *Catalogue) Digest() string { return sign.Digest(c) }

//go:embed catalogues/*.yaml
var shipped embed.FS

// Shipped gives the catalogues that come with Havre.
func Shipped() ([]*Catalogue, error) {
	var all []*Catalogue
	for _, name := range names() {
		c, err := ShippedOne(name)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// ShippedOne gives one of them, or fails with NotFound.
func ShippedOne(name string) (*Catalogue, error) {
	b, err := shipped.ReadFile(path.Join("catalogues", name+".yaml"))
	if err != nil {
		return nil, havre.E("catalogue", havre.NotFound, fmt.Sprintf("no catalogue %.60q is shipped with Havre%s", name, havre.Nearest(name, names()))).
			WithHint("havre catalogue list shows them; one of your own is named by its file")
	}
	return Parse("the shipped catalogue "+name, b)
}

func names() (all []string) {
	files, _ := fs.ReadDir(shipped, "catalogues")
	for _, f := range files {
		all = append(all, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return all
}

func invalid(message string) *havre.Error {
	return havre.E("catalogue", havre.Invalid, message).WithHint("docs/reference/host.md shows the form of a catalogue")
}
