// Package strictyaml reads YAML documents strictly: unknown keys, keys that stand
// twice, anchors, aliases and tags are mistakes, and all mistakes of a document
// are told at once, each with line and column.
package strictyaml

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

// Problems collects everything that is wrong with a document, so that all of it
// can be told at once.
type Problems struct {
	list []Problem
}

// Problem is one mistake.
type Problem struct {
	Line, Column int // 0 if the document did not come from a file
	Text         string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Text)
}

// At adds a mistake at a node, which may be nil.
func (p *Problems) At(n ast.Node, format string, args ...any) {
	pr := Problem{Text: fmt.Sprintf(format, args...)}
	if n != nil {
		if t := n.GetToken(); t != nil && t.Position != nil {
			pr.Line, pr.Column = t.Position.Line, t.Position.Column
		}
	}
	p.list = append(p.list, pr)
}

// List gives the mistakes in the order of the document, each once.
func (p *Problems) List() []Problem {
	sort.SliceStable(p.list, func(i, j int) bool {
		a, b := p.list[i], p.list[j]
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	return slices.Compact(p.list)
}

// Err makes one error of all mistakes, of kind Invalid; nil if there are none.
func (p *Problems) Err(op, sentence, hint string) error {
	if len(p.list) == 0 {
		return nil
	}
	var lines []string
	for _, pr := range p.List() {
		lines = append(lines, pr.String())
	}
	return havre.E(op, havre.Invalid, sentence+": "+strings.Join(lines, "; ")).WithHint(hint)
}

// mostBytes bounds a document: those people write are pages long, not books.
const mostBytes = 4 << 20

// Parse gives the one document of a YAML file; what is the word for it in errors,
// "study", and op the operation.
func Parse(data []byte, op, what string) (root ast.Node, err error) {
	wrong := func(format string, args ...any) error {
		return havre.E(op, havre.Invalid, "the "+what+" "+fmt.Sprintf(format, args...))
	}
	defer func() {
		if recover() != nil { // the parser is not ours; a hostile file must not stop the hub
			err = wrong("is not sound YAML")
		}
	}()
	if len(data) > mostBytes {
		return nil, wrong("has %d bytes and may have %d", len(data), mostBytes)
	}
	if tooDeep(data) {
		return nil, wrong("is nested too deeply")
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n") // what follows quotes the file
		return nil, wrong("is not sound YAML: %s", line)
	}
	var docs []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			docs = append(docs, d.Body)
		}
	}
	if len(docs) != 1 {
		return nil, wrong("is one YAML document, and the file has %d", len(docs))
	}
	return docs[0], nil
}

// mostDepth is how many brackets may be open at once, mostIndent how far a line
// may begin from its margin, dashes and blanks counted, and mostDashes how many
// dashes that stand alone a line may have.
const (
	mostDepth  = 100
	mostIndent = 400
	mostDashes = 1000
)

// tooDeep says whether a document is nested deeper than any that people write.
// The parser's memory grows with the square of the depth: a megabyte of brackets
// would take all that a machine has. So does its time with dashes on one line.
func tooDeep(data []byte) bool {
	depth, indent, dashes, margin := 0, 0, 0, true
	for i, b := range data {
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		switch {
		case b == '\n' || b == '\r':
			indent, dashes, margin = 0, 0, true
		case margin && strings.IndexByte(" \t-?:", b) >= 0:
			indent++
		default:
			margin = false
		}
		if b == '-' && i > 0 && data[i-1] == ' ' {
			dashes++
		}
		if depth > mostDepth || indent > mostIndent || dashes > mostDashes {
			return true
		}
	}
	return false
}

// Fields calls visit for each key of a mapping, in order. A key that is not
// known or stands twice is a problem.
func (p *Problems) Fields(n ast.Node, what string, known []string, visit func(key string, at, value ast.Node)) {
	values, ok := Pairs(n)
	if !ok {
		p.At(n, "%s must be keys and values", what)
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
			p.At(v.Key, "%s has a key that is no plain word", what)
		case seen[name]:
			p.At(key, "%q stands twice", name)
		case known != nil && !slices.Contains(known, name):
			p.At(key, "%s has no key %q%s", what, name, havre.Nearest(name, known))
		default:
			seen[name] = true
			visit(name, key, v.Value)
		}
	}
}

// Pairs gives the keys and values of a mapping, and whether it is one.
func Pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// Text reads text; a number or a flag is taken as it is written.
func (p *Problems) Text(n ast.Node) string {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value
	case *ast.LiteralNode:
		return v.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value
	}
	p.At(n, "this must be text")
	return ""
}

// Flag reads true or false.
func (p *Problems) Flag(n ast.Node) bool {
	if v, ok := n.(*ast.BoolNode); ok {
		return v.Value
	}
	p.At(n, "this must be true or false")
	return false
}

// Whole reads a whole number within [0, most].
func (p *Problems) Whole(n ast.Node, most int64) int64 {
	if v, ok := n.(*ast.IntegerNode); ok {
		if i, err := strconv.ParseInt(v.GetToken().Value, 10, 64); err == nil && i >= 0 && i <= most {
			return i
		}
	}
	p.At(n, "this must be a whole number from 0 to %d", most)
	return 0
}

// Items calls visit for each item of a list.
func (p *Problems) Items(n ast.Node, visit func(ast.Node)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		p.At(n, "this must be a list")
		return
	}
	for _, v := range s.Values {
		visit(v)
	}
}

// Texts reads a list of texts.
func (p *Problems) Texts(n ast.Node) []string {
	out := []string{}
	p.Items(n, func(n ast.Node) { out = append(out, p.Text(n)) })
	return out
}

// ToJSON writes a YAML value as JSON. Anchors, aliases and tags have no
// counterpart and are problems.
func (p *Problems) ToJSON(n ast.Node, out *strings.Builder) {
	switch v := n.(type) {
	case *ast.NullNode:
		out.WriteString("null")
	case *ast.BoolNode:
		out.WriteString(strconv.FormatBool(v.Value))
	case *ast.IntegerNode, *ast.FloatNode:
		number := json.Number(n.GetToken().Value)
		if _, err := json.Marshal(number); err != nil {
			p.At(n, "this number is not written as JSON writes numbers")
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
			p.ToJSON(item, out)
		}
		out.WriteByte(']')
	case *ast.MappingNode, *ast.MappingValueNode:
		out.WriteByte('{')
		first := true
		p.Fields(n, "this", nil, func(key string, _, value ast.Node) {
			if !first {
				out.WriteByte(',')
			}
			first = false
			writeString(out, key)
			out.WriteByte(':')
			p.ToJSON(value, out)
		})
		out.WriteByte('}')
	default:
		p.At(n, "anchors, aliases and tags are not allowed here")
		out.WriteString("null")
	}
}

func writeString(out *strings.Builder, s string) {
	b, _ := json.Marshal(s) // Text can always be written
	out.Write(b)
}
