// Package strict reads the YAML documents that people write about hosts and
// requirements: one document, no unknown key, no key twice, no anchor or
// alias. What is wrong is told with its line, and an unknown key with the
// nearest right one.
package strict

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/havre-hub/havre/internal/havre"
)

// MaxBytes bounds a document: a long catalogue has some hundred kilobytes.
const MaxBytes = 4 << 20

// maxDepth bounds nesting; the documents here have five levels.
const maxDepth = 40

// YAML decodes b into the struct that into points to. what names the document
// in errors ("the host azure.yaml"). Errors are of kind Invalid.
func YAML(what string, b []byte, into any) (err error) {
	defer func() {
		if recover() != nil { // the parser is not ours; a hostile file must not stop the hub
			err = bad(what, "it is not sound YAML")
		}
	}()
	if len(b) > MaxBytes {
		return bad(what, fmt.Sprintf("it has more than %d bytes", MaxBytes))
	}
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		return tell(what, err, into)
	}
	docs := 0
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		docs++
		c := &checker{}
		ast.Walk(c, d.Body)
		if c.bad != "" {
			return bad(what, c.bad)
		}
	}
	if docs != 1 {
		return bad(what, fmt.Sprintf("it must be one YAML document and has %d", docs))
	}
	if err := yaml.UnmarshalWithOptions(b, into, yaml.Strict()); err != nil {
		return tell(what, err, into)
	}
	return nil
}

// checker refuses what makes one document mean more than its text shows.
type checker struct {
	depth int
	bad   string
}

func (c *checker) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		c.bad = fmt.Sprintf("line %d: anchors, aliases and tags are not allowed here", n.GetToken().Position.Line)
	}
	if c.depth > maxDepth {
		c.bad = "it is nested too deeply"
	}
	if c.bad != "" {
		return nil
	}
	return &deeper{c, c.depth + 1}
}

// deeper is the checker one level down.
type deeper struct {
	*checker
	level int
}

func (d *deeper) Visit(n ast.Node) ast.Visitor {
	d.depth = d.level
	return d.checker.Visit(n)
}

// tell turns an error of the library into one line.
func tell(what string, err error, into any) error {
	y, ok := errors.AsType[yaml.Error](err)
	if !ok {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return bad(what, line)
	}
	message := y.GetMessage()
	if at := y.GetToken(); at != nil && at.Position != nil {
		message = fmt.Sprintf("line %d: %s", at.Position.Line, message)
	}
	if u, ok := errors.AsType[*yaml.UnknownFieldError](err); ok && u.Token != nil {
		message += havre.Nearest(strings.ToLower(u.Token.Value), keys(reflect.TypeOf(into), map[reflect.Type]bool{}))
	}
	return bad(what, message)
}

// keys lists the keys of a struct and of what it holds.
func keys(t reflect.Type, seen map[reflect.Type]bool) (names []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return nil
	}
	seen[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
		names = append(names, keys(f.Type, seen)...)
	}
	return names
}

func bad(what, why string) error {
	return havre.E("read", havre.Invalid, what+" cannot be read: "+why).
		WithHint("docs/reference/host.md lists every key")
}
