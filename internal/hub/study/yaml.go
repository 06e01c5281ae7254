package study

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/havre-hub/havre/internal/hub/study/strictyaml"
)

// problems collects everything that is wrong with a study.
type problems struct{ strictyaml.Problems }

func (p *problems) err() error {
	return p.Err("study.check", "the study cannot be run", "docs/reference/study.md lists every key of a study")
}

func parseYAML(data []byte) (ast.Node, error) { return strictyaml.Parse(data, "study.parse", "study") }

func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) { return strictyaml.Pairs(n) }

func (p *problems) at(n ast.Node, format string, args ...any) { p.At(n, format, args...) }
func (p *problems) text(n ast.Node) string                    { return p.Text(n) }
func (p *problems) flag(n ast.Node) bool                      { return p.Flag(n) }
func (p *problems) whole(n ast.Node, most int64) int64        { return p.Whole(n, most) }
func (p *problems) items(n ast.Node, visit func(ast.Node))    { p.Items(n, visit) }
func (p *problems) texts(n ast.Node) []string                 { return p.Texts(n) }
func (p *problems) toJSON(n ast.Node, out *strings.Builder)   { p.ToJSON(n, out) }
func (p *problems) fields(n ast.Node, what string, known []string, visit func(key string, at, value ast.Node)) {
	p.Fields(n, what, known, visit)
}
