package release_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/havre-hub/havre/internal/chart"
	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

var filter = tlog.Filter{}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// drawer draws bars of the counts.
type drawer struct{}

func (drawer) Draw(o study.Output, _ record.Rules) ([]byte, error) {
	b := chart.Bars{Heading: chart.Heading{Title: o.Title, Axis: "persons", HiddenText: "suppressed"}, Series: []chart.Series{{Name: "all"}}}
	for _, c := range o.Cells {
		p := chart.Of(float64(c.Count))
		p.Hidden = c.Suppressed != ""
		b.Labels, b.Series[0].Points = append(b.Labels, strings.Join(c.Key, ", ")), append(b.Series[0].Points, p)
	}
	return b.SVG()
}
