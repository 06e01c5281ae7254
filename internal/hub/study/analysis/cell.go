package analysis

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// A cell of a tally is written
//
//	{"key":["female","60-69"],"max":[],"sum":[12]}
//
// in canonical JSON. It is written and read by hand: merging a library of
// definitions over ten thousand buckets reads tens of millions of cells, and
// encoding/json took four times as long (BenchmarkMerge of package study).

// appendCell writes a cell.
func appendCell(out []byte, key string, n *numbers) ([]byte, error) {
	out = append(out, `{"key":[`...)
	for i, part := range strings.Split(key, keySeparator) {
		if i > 0 {
			out = append(out, ',')
		}
		if !plain(part) {
			text, err := study.CanonicalJSON(part)
			if err != nil {
				return nil, err
			}
			out = append(out, text...)
			continue
		}
		out = append(append(append(out, '"'), part...), '"')
	}
	for _, list := range []struct {
		name   string
		values []int64
	}{{`],"max":[`, n.max}, {`],"sum":[`, n.sum}} {
		out = append(out, list.name...)
		for i, v := range list.values {
			if v < 0 || v > limit {
				return nil, havre.E("analysis.encode", havre.Internal, "a sum has grown beyond what can be written exactly")
			}
			if i > 0 {
				out = append(out, ',')
			}
			out = strconv.AppendInt(out, v, 10)
		}
	}
	return append(out, "]}"...), nil
}

// plain says whether text stands in JSON as it is.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// cellScanner reads cells. Once it has met what it does not expect, bad is set
// and nothing that it gives counts.
type cellScanner struct {
	left  []byte
	parts int // of a key
	bad   bool
}

func (s *cellScanner) skip(text string) bool {
	if len(s.left) < len(text) || string(s.left[:len(text)]) != text {
		return false
	}
	s.left = s.left[len(text):]
	return true
}

func (s *cellScanner) expect(text string) {
	if !s.skip(text) {
		s.bad = true
	}
}

func (s *cellScanner) cell(sums, maxima int) (string, *numbers) {
	s.expect(`{"key":[`)
	parts := make([]string, s.parts)
	for i := range parts {
		if i > 0 {
			s.expect(",")
		}
		parts[i] = s.text()
	}
	n := &numbers{}
	s.expect(`],"max":[`)
	n.max = s.numbers(maxima)
	s.expect(`],"sum":[`)
	n.sum = s.numbers(sums)
	s.expect("]}")
	return strings.Join(parts, keySeparator), n
}

// text reads a JSON string.
func (s *cellScanner) text() string {
	if !s.skip(`"`) {
		s.bad = true
		return ""
	}
	end := slices.Index(s.left, '"')
	if end >= 0 && plain(string(s.left[:end])) {
		out := string(s.left[:end])
		s.left = s.left[end+1:]
		return out
	}
	for end = 0; end < len(s.left) && s.left[end] != '"'; end++ {
		if s.left[end] == '\\' {
			end++
		}
	}
	var out string
	if end >= len(s.left) || json.Unmarshal(append([]byte{'"'}, s.left[:end+1]...), &out) != nil {
		s.bad = true
		return ""
	}
	s.left = s.left[end+1:]
	return out
}

// numbers reads so many whole numbers from 0.
func (s *cellScanner) numbers(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		if i > 0 {
			s.expect(",")
		}
		digits := 0
		for digits < len(s.left) && digits < 17 && s.left[digits] >= '0' && s.left[digits] <= '9' {
			out[i] = out[i]*10 + int64(s.left[digits]-'0')
			digits++
		}
		if digits == 0 {
			s.bad = true
		}
		s.left = s.left[digits:]
	}
	return out
}
