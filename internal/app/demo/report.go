package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

//go:embed report.html
var reportHTML string

// reportData is what the page needs beyond the summary.
type reportData struct {
	*Summary
	Charts []template.HTML // SVG of the released charts, made by this program, no script
}

// writeReport makes report.html: one file that opens without a network or a
// script, and prints.
func writeReport(s *Summary, path string) error {
	charts, err := releasedCharts(s)
	if err != nil {
		return err
	}
	t, err := template.New("report").Funcs(template.FuncMap{
		"n": thousands, "reasons": reasons, "pct": func(f float64) string { return fmt.Sprintf("%.2f %%", 100*f) },
		"f2": func(f float64) string { return fmt.Sprintf("%.2f", f) }, "f1": func(f float64) string { return fmt.Sprintf("%.1f", f) },
		"mib":   func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) },
		"steps": func(s *Summary) []string { return s.steps },
		"sum":   total,
		"x":     position,
		"ticks": func() []float64 { return []float64{0.5, 1, 2, 4, 8} },
	}).Parse(reportHTML)
	if err != nil {
		return havre.E("report", havre.Internal, "the report's page is broken").Wrap(err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, reportData{s, charts}); err != nil {
		return havre.E("report", havre.Internal, "the report cannot be made").Wrap(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return havre.E("report", havre.NoSpace, "the report cannot be written").Wrap(err)
	}
	return nil
}

func releasedCharts(s *Summary) (charts []template.HTML, err error) {
	for _, r := range s.Releases {
		for _, f := range r.Files {
			if filepath.Ext(f) != ".svg" {
				continue
			}
			b, err := os.ReadFile(filepath.Join(s.Folder, "released", r.ID, f))
			if err != nil {
				return nil, havre.E("report", havre.NotFound, "a released chart is not there").Wrap(err)
			}
			svg := string(b)
			if i := strings.Index(svg, "<svg"); i >= 0 {
				svg = svg[i:] // an XML declaration has no place inside a page
			}
			charts = append(charts, template.HTML(svg)) //nolint:gosec // made by package chart, which escapes its labels
		}
	}
	return charts, nil
}

// position places a ratio on a log scale from 0.5 to 8 that is 480 units wide.
func position(ratio float64) string { return fmt.Sprintf("%.1f", 60+480*(math.Log2(ratio)+1)/4) }

// reasons prints counts by reason, largest first.
func reasons(m map[string]int64) string {
	type kv struct {
		k string
		n int64
	}
	var all []kv
	for k, n := range m {
		all = append(all, kv{k, n})
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].n != all[j].n {
			return all[i].n > all[j].n
		}
		return all[i].k < all[j].k
	})
	var parts []string
	for _, e := range all {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(e.n), e.k))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func total(m map[string]int64) (n int64) {
	for _, c := range m {
		n += c
	}
	return n
}

// thousands prints 1234567 as "1 234 567" with thin spaces.
func thousands(v any) string {
	s := fmt.Sprint(v)
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteRune('\u202f')
		}
		b.WriteRune(r)
	}
	return b.String()
}
