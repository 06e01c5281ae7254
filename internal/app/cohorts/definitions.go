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
)

// Definition is one definition with the number that its rows get.
type Definition struct {
	ID         int64
	Name       string
	File       string
	Definition *cohort.Definition
}

// Read reads files, and folders of files that end in .json, in
// the form that ATLAS keeps or exports. A definition's number is that of the
// export, else the digits at the start of its file's name, else the next that is
// free. All mistakes of all files are in one error.
func Read(places []string) ([]Definition, error) {
	files, err := definitionFiles(places)
	if err != nil {
		return nil, err
	}
	var out []Definition
	var wrong []string
	taken := map[int64]string{}
	for _, file := range files {
		d, err := readDefinition(file)
		if err != nil {
			wrong = append(wrong, file+": "+err.Error())
			continue
		}
		if other, twice := taken[d.ID]; twice && d.ID != 0 {
			wrong = append(wrong, fmt.Sprintf("%s and %s have the same number %d", other, file, d.ID))
		}
		if d.ID != 0 {
			taken[d.ID] = file
		}
		out = append(out, d)
	}
	if len(wrong) > 0 {
		return nil, havre.E("cohort", havre.Invalid, strings.Join(wrong, "\n")).
			WithHint("havre cohort check FILE says more about one file")
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
	slices.SortFunc(out, func(a, b Definition) int { return cmp.Compare(a.ID, b.ID) })
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
			if !e.IsDir() && strings.EqualFold(filepath.Ext(e.Name()), ".json") && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, filepath.Join(p, e.Name()))
			}
		}
		if len(files) == before {
			return nil, havre.E("cohort", havre.NotFound, "there is no file that ends in .json in "+p).
				WithHint("export definitions from ATLAS, one JSON file each")
		}
	}
	if len(files) == 0 {
		return nil, havre.E("cohort", havre.Usage, "no definition is named").WithHint("name files or folders with --definitions")
	}
	return files, nil
}

var digitsRE = regexp.MustCompile(`^[0-9]{1,18}`)

func readDefinition(file string) (Definition, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Definition{}, havre.E("cohort", havre.NotFound, "the file cannot be read").Wrap(err)
	}
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	out := Definition{File: file, Name: base}
	expression, id, name := Expression(data)
	if out.ID = id; out.ID == 0 {
		if n, err := strconv.ParseInt(digitsRE.FindString(base), 10, 64); err == nil {
			out.ID = n
		}
	}
	if out.Definition, err = cohort.Parse(expression); err != nil {
		return Definition{}, err
	}
	if t := out.Definition.Title; t != "" {
		out.Name = t
	}
	if name != "" {
		out.Name = name
	}
	return out, nil
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
