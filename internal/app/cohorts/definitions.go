package cohorts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/cohort/short"
)

// Definition is one definition with the number that its rows get.
type Definition struct {
	ID         int64
	Name       string
	File       string
	Data       []byte // the file as it is
	Expression []byte // as Circe writes it; nil for a short definition that does not expand
	Definition *cohort.Definition
}

// found is a definition with what is wrong with it.
type found struct {
	Definition
	wrong []circe.Problem
}

// Read reads files, and folders of files: .json in the form that ATLAS keeps or
// exports, .yaml and .yml as package short reads them. A definition's number is
// that of the export, else the digits at the start of its file's name, else the
// next that is free. All mistakes of all files are in one error.
func Read(places []string) ([]Definition, error) {
	all, err := readAll(places)
	if err != nil {
		return nil, err
	}
	var out []Definition
	var wrong []string
	for _, d := range all {
		if err := circe.Refuse("cohort", havre.Invalid, d.wrong, ""); err != nil {
			wrong = append(wrong, d.File+": "+err.Error())
		}
		out = append(out, d.Definition)
	}
	if len(wrong) > 0 {
		return nil, havre.E("cohort", havre.Invalid, strings.Join(wrong, "\n")).
			WithHint("havre cohort check FILE says more about one file")
	}
	return out, nil
}

// ReadOne reads the one definition of a file.
func ReadOne(file string) (Definition, error) {
	all, err := Read([]string{file})
	if err == nil && len(all) != 1 {
		err = havre.E("cohort", havre.Usage, fmt.Sprintf("%s holds %d definitions", file, len(all))).WithHint("name one file")
	}
	if err != nil {
		return Definition{}, err
	}
	return all[0], nil
}

// Export gives the definition in the form that ATLAS imports: a short one
// expanded, any other as its file is.
func (d *Definition) Export() []byte {
	if isShort(d.File) {
		return append(d.Expression, '\n')
	}
	return d.Data
}

// WriteFile puts a file in its place whole, or not at all.
func WriteFile(name string, data []byte) error {
	return replaceFile(name, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// readAll reads definitions, sound or not, by number.
func readAll(places []string) ([]found, error) {
	files, err := definitionFiles(places)
	if err != nil {
		return nil, err
	}
	var out []found
	taken := map[int64]string{}
	for _, file := range files {
		d := readDefinition(file)
		if other, twice := taken[d.ID]; twice && d.ID != 0 {
			d.wrong = append(d.wrong, circe.Problem{Path: "$", Text: fmt.Sprintf("%s and this have the same number %d", other, d.ID)})
		}
		if d.ID != 0 {
			taken[d.ID] = file
		}
		out = append(out, d)
	}
	next := int64(1)
	for i := range out {
		if out[i].ID != 0 {
			continue
		}
		for taken[next] != "" {
			next++
		}
		out[i].ID, taken[next] = next, out[i].File
	}
	slices.SortStableFunc(out, func(a, b found) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// definitionFiles lists the files, those of a folder by name.
func definitionFiles(places []string) (files []string, err error) {
	for _, p := range places {
		st, err := os.Stat(p)
		if err != nil {
			return nil, havre.E("cohort", havre.NotFound, "there is nothing at "+p).Wrap(err)
		}
		if !st.IsDir() {
			files = append(files, p)
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return nil, havre.E("cohort", havre.NotFound, "the folder "+p+" cannot be read").Wrap(err)
		}
		before := len(files)
		for _, e := range entries {
			if !e.IsDir() && isDefinition(e.Name()) {
				files = append(files, filepath.Join(p, e.Name()))
			}
		}
		if len(files) == before {
			return nil, havre.E("cohort", havre.NotFound, "there is no file that ends in .json, .yaml or .yml in "+p).
				WithHint("export definitions from ATLAS, one JSON file each, or write short ones (docs/reference/cohort.md)")
		}
	}
	if len(files) == 0 {
		return nil, havre.E("cohort", havre.Usage, "no definition is named").WithHint("name files or folders of definitions")
	}
	return files, nil
}

// isDefinition says whether a file of a folder is taken for a definition. A
// study.yaml beside its cohorts is none.
func isDefinition(name string) bool {
	return !strings.HasPrefix(name, ".") && name != "study.yaml" && (isShort(name) || strings.EqualFold(filepath.Ext(name), ".json"))
}

var digitsRE = regexp.MustCompile(`^[0-9]{1,18}`)

// isShort says whether a file holds a short definition, by its name.
func isShort(file string) bool {
	ext := strings.ToLower(filepath.Ext(file))
	return ext == ".yaml" || ext == ".yml"
}

func readDefinition(file string) (out found) {
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	out.File, out.Name = file, base
	if n, err := strconv.ParseInt(digitsRE.FindString(base), 10, 64); err == nil {
		out.ID = n
	}
	var err error
	if out.Data, err = os.ReadFile(file); err != nil {
		out.Definition.Definition = &cohort.Definition{}
		out.wrong = []circe.Problem{{Path: "$", Text: "the file cannot be read"}}
		return out
	}
	name := ""
	if isShort(file) {
		if out.wrong = short.Problems(out.Data); len(out.wrong) > 0 {
			out.Definition.Definition = &cohort.Definition{}
			return out
		}
		out.Expression, err = short.Expand(out.Data)
		if err != nil {
			out.wrong = []circe.Problem{{Path: "$", Text: err.Error()}}
		}
	} else {
		var id int64
		out.Expression, id, name = Expression(out.Data)
		if id != 0 {
			out.ID = id
		}
	}
	var wrong []circe.Problem
	out.Definition.Definition, wrong = circe.Read(out.Expression)
	out.wrong = append(out.wrong, wrong...)
	out.Name = cmp.Or(name, out.Definition.Definition.Title, out.Name)
	return out
}

// Expression takes the Circe expression out of a cohort definition as ATLAS's
// WebAPI gives it, with number and name; what is an expression already is given
// back as it is, with number 0 and no name.
func Expression(data []byte) (expression []byte, id int64, name string) {
	var wrapped struct {
		ID         int64           `json:"id"`
		Name       string          `json:"name"`
		Expression json.RawMessage `json:"expression"`
		Primary    json.RawMessage `json:"PrimaryCriteria"`
	}
	if json.Unmarshal(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), &wrapped) != nil || wrapped.Expression == nil || wrapped.Primary != nil {
		return data, 0, ""
	}
	var text string // WebAPI keeps the expression as text within the JSON
	if json.Unmarshal(wrapped.Expression, &text) == nil {
		return []byte(text), wrapped.ID, wrapped.Name
	}
	return wrapped.Expression, wrapped.ID, wrapped.Name
}
