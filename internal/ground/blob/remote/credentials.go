package remote

import (
	"fmt"
	"os"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// Credentials finds the values of the given variables: in the file, if one is
// named, else in the environment. There is no other source: no profile of
// another program, no metadata service of a host. The file has one NAME=value
// a line; empty lines and lines that start with "#" do not count. Variables
// that end with "?" may be absent.
func Credentials(getenv func(string) string, file string, names ...string) (map[string]havre.Secret, error) {
	source := "the environment"
	if file != "" {
		source = "file " + file
		lines, err := readVariables(file)
		if err != nil {
			return nil, err
		}
		getenv = func(name string) string { return lines[name] }
	}
	found := make(map[string]havre.Secret, len(names))
	for _, name := range names {
		name, optional := strings.CutSuffix(name, "?")
		value := ""
		if getenv != nil {
			value = getenv(name)
		}
		if value == "" {
			if optional {
				continue
			}
			return nil, havre.E(opOpen, havre.KeyUnavailable, fmt.Sprintf("%s does not give %s, which the store's account needs", source, name)).
				WithHint("set it in the environment, or in a file named by credentials=FILE in the store's URL")
		}
		found[name] = havre.NewSecret([]byte(value))
	}
	return found, nil
}

func readVariables(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, havre.E(opOpen, havre.KeyUnavailable, "the file of the setting credentials cannot be read").Wrap(err)
	}
	values := make(map[string]string)
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, havre.E(opOpen, havre.Invalid, fmt.Sprintf("line %d of file %s is not NAME=value", n, file))
		}
		values[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return values, nil
}
