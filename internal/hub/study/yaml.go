package study

import "github.com/havre-hub/havre/internal/hub/study/strictyaml"

// problems collects everything that is wrong with a study.
type problems struct{ strictyaml.Problems }

func (p *problems) err() error {
	return p.Err("study.check", "the study cannot be run", "docs/reference/study.md lists every key of a study")
}
