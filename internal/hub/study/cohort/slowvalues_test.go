package cohort

import (
	"encoding/json"
	"math"
	"time"

	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

func slowDay(s string) int64 {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t.Unix() / (24 * 60 * 60)
}

// between is a range clause: null is never in a range.
func between(r any, v cell) bool {
	if v == nil {
		return false
	}
	value := 0.0
	switch v := v.(type) {
	case int64:
		value = float64(v)
	case float64:
		value = v
	}
	bound := func(name string) float64 {
		switch b := r.(obj)[name].(type) {
		case string:
			return float64(slowDay(b))
		case float64:
			return b
		}
		return math.NaN()
	}
	lo, hi := bound("Value"), bound("Extent")
	switch word(r.(obj), "Op") {
	case "lt":
		return value < lo
	case "lte":
		return value <= lo
	case "eq":
		return value == lo
	case "!eq":
		return value != lo
	case "gt":
		return value > lo
	case "gte":
		return value >= lo
	case "bt":
		return lo <= value && value <= hi
	default:
		return value < lo || value > hi
	}
}

func readSlow(w map[string]studytest.Table, document string) *slowWorld {
	s := &slowWorld{tables: w}
	if err := json.Unmarshal([]byte(document), &s.d); err != nil {
		panic(err)
	}
	return s
}
