package study

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/havre-hub/havre/internal/havre"
)

// problems collects everything that is wrong with a study, so that all of it
// can be told at once.
type problems struct {
	list []problem
}

type problem struct {
	line, column int // 0 if the study did not come from a file
	text         string
}

func (p *problems) at(n ast.Node, format string, args ...any) {
	pr := problem{text: fmt.Sprintf(format, args...)}
	if n != nil {
		if t := n.GetToken(); t != nil && t.Position != nil {
			pr.line, pr.column = t.Position.Line, t.Position.Column
		}
	}
	p.list = append(p.list, pr)
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	sort.SliceStable(p.list, func(i, j int) bool {
		a, b := p.list[i], p.list[j]
		return a.line < b.line || a.line == b.line && a.column < b.column
	})
	var lines []string
	for _, pr := range p.list {
		text := pr.text
		if pr.line > 0 {
			text = fmt.Sprintf("line %d, column %d: %s", pr.line, pr.column, text)
		}
		lines = append(lines, text)
	}
	return havre.E("study.check", havre.Invalid, "the study cannot be run: "+strings.Join(slices.Compact(lines), "; ")).
		WithHint("docs/reference/study.md lists every key of a study")
}

// maxYAML bounds a study file. Studies are pages long, not books.
const maxYAML = 4 << 20

// parseYAML gives the one document of a YAML file.
func parseYAML(data []byte) (root ast.Node, err error) {
	defer func() {
		if recover() != nil { // the parser is not ours; a hostile file must not stop the hub
			err = havre.E("study.parse", havre.Invalid, "the study is not sound YAML")
		}
	}()
	if len(data) > maxYAML {
		return nil, havre.E("study.parse", havre.Invalid, fmt.Sprintf("a study has at most %d bytes", maxYAML))
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n") // what follows quotes the file
		return nil, havre.E("study.parse", havre.Invalid, "the study is not sound YAML: "+line)
	}
	var docs []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			docs = append(docs, d.Body)
		}
	}
	if len(docs) != 1 {
		return nil, havre.E("study.parse", havre.Invalid, fmt.Sprintf("a study is one YAML document, the file has %d", len(docs)))
	}
	return docs[0], nil
}

// fields calls visit for each key of a mapping, in order. A key that is not
// known or stands twice is a problem.
func (p *problems) fields(n ast.Node, what string, known []string, visit func(key string, at, value ast.Node)) {
	values, ok := pairs(n)
	if !ok {
		p.at(n, "%s must be keys and values", what)
		return
	}
	seen := map[string]bool{}
	for _, v := range values {
		key, ok := v.Key.(ast.ScalarNode)
		name := ""
		if ok {
			name = v.Key.GetToken().Value
		}
		switch {
		case !ok:
			p.at(v.Key, "%s has a key that is no plain word", what)
		case seen[name]:
			p.at(key, "%q stands twice", name)
		case known != nil && !slices.Contains(known, name):
			p.at(key, "%s has no key %q%s", what, name, havre.Nearest(name, known))
		default:
			seen[name] = true
			visit(name, key, v.Value)
		}
	}
}

func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

func (p *problems) text(n ast.Node) string {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value
	case *ast.LiteralNode:
		return v.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value
	}
	p.at(n, "this must be text")
	return ""
}

func (p *problems) flag(n ast.Node) bool {
	if v, ok := n.(*ast.BoolNode); ok {
		return v.Value
	}
	p.at(n, "this must be true or false")
	return false
}

// whole reads a whole number within [0, most].
func (p *problems) whole(n ast.Node, most int64) int64 {
	if v, ok := n.(*ast.IntegerNode); ok {
		if i, err := strconv.ParseInt(v.GetToken().Value, 10, 64); err == nil && i >= 0 && i <= most {
			return i
		}
	}
	p.at(n, "this must be a whole number from 0 to %d", most)
	return 0
}

func (p *problems) items(n ast.Node, visit func(ast.Node)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		p.at(n, "this must be a list")
		return
	}
	for _, v := range s.Values {
		visit(v)
	}
}

func (p *problems) texts(n ast.Node) []string {
	out := []string{}
	p.items(n, func(n ast.Node) { out = append(out, p.text(n)) })
	return out
}

// toJSON writes a YAML value as JSON. Anchors, aliases and tags have no
// counterpart and are problems.
func (p *problems) toJSON(n ast.Node, out *strings.Builder) {
	switch v := n.(type) {
	case *ast.NullNode:
		out.WriteString("null")
	case *ast.BoolNode:
		out.WriteString(strconv.FormatBool(v.Value))
	case *ast.IntegerNode, *ast.FloatNode:
		number := json.Number(n.GetToken().Value)
		if _, err := json.Marshal(number); err != nil {
			p.at(n, "this number is not written as JSON writes numbers")
			number = "0"
		}
		out.WriteString(number.String())
	case *ast.StringNode:
		if t := v.GetToken(); t.Type == token.StringType && t.Value == "" {
			out.WriteString("null")
			return
		}
		writeString(out, v.Value)
	case *ast.LiteralNode:
		writeString(out, v.Value.Value)
	case *ast.SequenceNode:
		out.WriteByte('[')
		for i, item := range v.Values {
			if i > 0 {
				out.WriteByte(',')
			}
			p.toJSON(item, out)
		}
		out.WriteByte(']')
	case *ast.MappingNode, *ast.MappingValueNode:
		out.WriteByte('{')
		first := true
		p.fields(n, "this", nil, func(key string, _, value ast.Node) {
			if !first {
				out.WriteByte(',')
			}
			first = false
			writeString(out, key)
			out.WriteByte(':')
			p.toJSON(value, out)
		})
		out.WriteByte('}')
	default:
		p.at(n, "anchors, aliases and tags are not allowed here")
		out.WriteString("null")
	}
}

func writeString(out *strings.Builder, s string) {
	b, _ := json.Marshal(s) // text can always be written
	out.Write(b)
}
