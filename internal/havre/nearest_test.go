package havre

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"prior_days", "post_days", "start"}
	for word, want := range map[string]string{
		"prior_day": `; did you mean "prior_days"?`, "posts_days": `; did you mean "post_days"?`,
		"strat": `; did you mean "start"?`, "x": "", "": "", "completely": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
