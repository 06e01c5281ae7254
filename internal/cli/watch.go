package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// watchFlag names the output checker who watches a run.
type watchFlag struct{ account string }

func (f *watchFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.account, "watched-by", "", "an output checker of the permit's results, who sits here and is shown the sizes of cohorts as buckets finish")
}

// watcher is nil if nobody watches.
func (f *watchFlag) watcher(e *env) (*app.Watcher, error) {
	if f.account == "" {
		return nil, nil
	}
	if e.quiet {
		return nil, havre.E("usage", havre.Usage, "--watched-by shows numbers, and --quiet none")
	}
	return &app.Watcher{Account: f.account, Show: func(s study.Size) {
		name := s.Title
		if name == "" {
			name = s.Name
		}
		e.estimate(map[string]any{"estimate": s}, name, s.Estimate)
	}}, nil
}

// estimate shows what the first buckets say, before the full answer.
func (e *env) estimate(v any, name string, x study.Estimate) {
	if e.json {
		_ = json.NewEncoder(e.Err).Encode(v)
		return
	}
	fmt.Fprintf(e.Err, "after %d of %d buckets: about %.0f persons (95 %% interval %.0f to %.0f)  %s\n", x.Done, x.Buckets, x.Persons, x.Low, x.High, name)
}
