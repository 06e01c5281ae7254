package host

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/catalogue"
)

// Frozen is one version of a catalogue, as it was opened for answers.
type Frozen struct {
	Head
	Version   int                  `json:"version"` // of this catalogue at this hub, from 1
	Catalogue *catalogue.Catalogue `json:"catalogue"`
	SHA256    string               `json:"catalogue_sha256"` // of its canonical JSON
	Reason    string               `json:"reason,omitempty"` // why it was changed; from version 2 on
	Previous  string               `json:"previous_sha256,omitempty"`
	Change    *catalogue.Diff      `json:"change,omitempty"` // since the version before
}

// Label is "secnumcloud@2".
func (f Frozen) Label() string { return catalogue.Label(f.Catalogue.Name, f.Version) }

// Given is what a provider answered, and when.
type Given struct {
	Head
	Answers *catalogue.Answers `json:"answers"`
}

// OpenCatalogue freezes a catalogue and opens it for answers. The same content
// again gives the version that is there. Changed content makes the next
// version and needs a reason: without one it fails with Refused and tells the
// difference. Nothing of an earlier version changes, its answers least of all.
func (o *Office) OpenCatalogue(ctx context.Context, c *catalogue.Catalogue, reason string, by havre.Personal[string]) (Frozen, error) {
	o.deciding.Lock()
	defer o.deciding.Unlock()
	versions, err := o.versions(ctx, c.Name)
	if err != nil {
		return Frozen{}, err
	}
	head, err := o.next(ctx, kindCatalogue)
	if err != nil {
		return Frozen{}, err
	}
	f := Frozen{Head: head, Version: len(versions) + 1, Catalogue: c, SHA256: c.Digest(), Reason: strings.TrimSpace(reason)}
	facts := map[string]string{"catalogue_sha256": f.SHA256, "requirements": strconv.Itoa(len(c.Requirements)), "use_cases": strconv.Itoa(len(c.UseCases))}
	if n := len(versions); n > 0 {
		last := versions[n-1].Doc
		if last.SHA256 == f.SHA256 {
			return last, nil
		}
		diff := catalogue.Compare(last.Catalogue, c)
		f.Previous, f.Change = last.SHA256, &diff
		if f.Reason == "" {
			return Frozen{}, havre.E("catalogue.open", havre.Refused, "this is not "+last.Label()+", which is frozen: "+diff.String()).
				WithHint("to open it as " + f.Label() + ", for everybody to see, say why with --reason; answers to " + last.Label() + " stay as they are")
		}
		facts["previous_sha256"], facts["change"] = last.SHA256, diff.String()
	} else {
		f.Reason = ""
	}
	_, err = o.keep(ctx, f, decision{"catalogue.frozen", f.Label(), facts, by})
	return f, err
}

func (o *Office) versions(ctx context.Context, name string) ([]Kept[Frozen], error) {
	all, err := load[Frozen](ctx, o, kindCatalogue)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(k Kept[Frozen]) bool { return k.Doc.Catalogue == nil || name != "" && k.Doc.Catalogue.Name != name })
	for _, k := range all {
		if k.Doc.Catalogue.Digest() != k.Doc.SHA256 {
			return nil, tampered(kindCatalogue, "holds a catalogue that is not what it was frozen as")
		}
	}
	return all, nil
}

// Catalogues lists every version that was ever opened, oldest first; name ""
// stands for all catalogues.
func (o *Office) Catalogues(ctx context.Context, name string) ([]Kept[Frozen], error) {
	return o.versions(ctx, name)
}

// FrozenCatalogue gives one version; version 0 is the newest.
func (o *Office) FrozenCatalogue(ctx context.Context, name string, version int) (Frozen, error) {
	all, err := o.versions(ctx, name)
	if err != nil {
		return Frozen{}, err
	}
	if version == 0 {
		version = len(all)
	}
	if version < 1 || version > len(all) {
		return Frozen{}, havre.E("catalogue", havre.NotFound, fmt.Sprintf("no version of the catalogue %.60q with that number was opened at this hub", name)).
			WithHint("havre catalogue list shows what was opened; havre catalogue open opens one")
	}
	return all[version-1].Doc, nil
}

// Answer keeps a provider's answers to the newest version of a catalogue.
// Answering again adds to what was said and takes nothing away; a version that
// was followed by another takes no answers any more.
func (o *Office) Answer(ctx context.Context, a *catalogue.Answers, by havre.Personal[string]) (Given, error) {
	o.deciding.Lock()
	defer o.deciding.Unlock()
	versions, err := o.versions(ctx, a.Catalogue)
	if err != nil {
		return Given{}, err
	}
	newest := len(versions)
	switch {
	case newest == 0 || a.Version > newest || a.Version < 1:
		return Given{}, havre.E("catalogue.answer", havre.NotFound, fmt.Sprintf("version %d of the catalogue %.60q was not opened at this hub", a.Version, a.Catalogue)).
			WithHint("havre catalogue list shows what was opened")
	case a.Version < newest:
		return Given{}, havre.E("catalogue.answer", havre.Refused, fmt.Sprintf("%s was followed by version %d; its answers are final", catalogue.Label(a.Catalogue, a.Version), newest)).
			WithHint("answer the newest version; havre catalogue diff shows what changed")
	}
	a, err = a.Check(versions[newest-1].Doc.Catalogue)
	if err != nil {
		return Given{}, err
	}
	head, err := o.next(ctx, kindAnswers)
	if err != nil {
		return Given{}, err
	}
	g := Given{head, a}
	_, err = o.keep(ctx, g, decision{"catalogue.answered", catalogue.Label(a.Catalogue, a.Version),
		map[string]string{"provider": a.Provider, "answers": strconv.Itoa(len(a.Answers))}, by})
	return g, err
}

// Given lists what was answered to a version, oldest first.
func (o *Office) Given(ctx context.Context, name string, version int) ([]Kept[Given], error) {
	all, err := load[Given](ctx, o, kindAnswers)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(k Kept[Given]) bool {
		return k.Doc.Answers == nil || k.Doc.Answers.Catalogue != name || k.Doc.Answers.Version != version
	}), nil
}

// Row is one provider against one version.
type Row struct {
	catalogue.Score
	Given   int `json:"given"`   // answers given to this very version
	Carried int `json:"carried"` // answers to earlier versions that still stand, their items being the same
}

// Scores compares every provider with every version of a catalogue at one
// horizon, version by version, providers by name. An answer to an earlier
// version counts for a later one as long as its item did not change.
func (o *Office) Scores(ctx context.Context, name string, h catalogue.Horizon) ([]Row, error) {
	versions, err := o.versions(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(versions) == 0 {
		_, err := o.FrozenCatalogue(ctx, name, 0)
		return nil, err
	}
	books := map[string]catalogue.Book{}
	rows := []Row{}
	for i, v := range versions {
		given, err := o.Given(ctx, name, v.Doc.Version)
		if err != nil {
			return nil, err
		}
		count, carried := map[string]int{}, map[string]int{}
		for p, b := range books {
			books[p] = b.Carry(versions[i-1].Doc.Catalogue, v.Doc.Catalogue)
			carried[p] = len(books[p])
		}
		for _, g := range given {
			p := g.Doc.Answers.Provider
			if books[p] == nil {
				books[p] = catalogue.Book{}
			}
			books[p].Take(g.Doc.Answers)
			count[p] += len(g.Doc.Answers.Answers)
		}
		for p, b := range books {
			rows = append(rows, Row{catalogue.ScoreOf(v.Doc.Catalogue, v.Doc.Version, p, b, h), count[p], carried[p]})
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		if a.Provider != b.Provider {
			return strings.Compare(a.Provider, b.Provider)
		}
		return a.Version - b.Version
	})
	return rows, nil
}
