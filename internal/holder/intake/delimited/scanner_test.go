package delimited

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/havre-hub/havre/internal/holder/intake"
)

// records reads a text with readers that give all at once and byte by byte.
func records(t *testing.T, text string, columns int) []string {
	t.Helper()
	var runs [2][]string
	for i, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		s := NewScanner(r, ',', columns)
		s.buf = make([]byte, 16) // small, so that records move and the buffer grows
		for {
			ok, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			runs[i] = append(runs[i], fmt.Sprintf("%d %s %q %q", s.Line, s.Fault, s.Fields, s.Raw))
		}
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Fatalf("reading byte by byte differs:\n%q\n%q", runs[0], runs[1])
	}
	return runs[0]
}

func TestBrokenRecordsCostTheirOwnLine(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"open to the end":       {"1,\"a\n2,b\n3,c\n", []string{`1 quote [] "1,\"a"`, `2  ["2" "b"] "2,b"`, `3  ["3" "c"] "3,c"`}},
		"open until a quote":    {"1,\"a\n2,\"b\"\n", []string{`1 quote [] "1,\"a"`, `2  ["2" "b"] "2,\"b\""`}},
		"swallowed and too few": {"1,\"a\n2,b\n3,c\",d\n4,e\n", []string{`1 quote [] "1,\"a"`, `2  ["2" "b"] "2,b"`, `3 column_count ["3" "c\"" "d"] "3,c\",d"`, `4  ["4" "e"] "4,e"`}},
		"lines within":          {"1,\"a\r\nb\"\"\"\r\n2,c", []string{`1  ["1" "a\r\nb\""] "1,\"a\r\nb\"\"\""`, `3  ["2" "c"] "2,c"`}},
		"quoted first of many":  {"\"x\ny\",\"z\"\n\n\"\",\n", []string{`1  ["x\ny" "z"] "\"x\ny\",\"z\""`, `4  ["" ""] "\"\","`}},
		"after the end":         {"\"a\"b,c\n1,2\n", []string{`1 quote [] "\"a\"b,c"`, `2  ["1" "2"] "1,2"`}},
		"nothing":               {"", nil},
		"only ends":             {"\n\r\n\n", nil},
	} {
		if got := records(t, tc.text, 2); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
}

func TestEndlessQuoteIsGivenUp(t *testing.T) {
	var b strings.Builder
	b.WriteString("1,\"open\n")
	for b.Len() < 2*maxQuoted {
		b.WriteString("2,some words of a line\n")
	}
	s := NewScanner(strings.NewReader(b.String()), ',', 2)
	var faults, rows int
	for {
		ok, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		rows++
		if s.Fault != intake.NoFault {
			faults++
		}
	}
	if want := strings.Count(b.String(), "\n"); rows != want || faults != 1 {
		t.Errorf("%d records of %d lines, %d broken", rows, want, faults)
	}
}

// reference writes and reads records with the standard library.
func TestAgainstTheStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"a", "b c", "\"", ",", "\n", "é", "", "\r", "x\"y", "1"}
	for range 3000 {
		var want [][]string
		for range 1 + r.IntN(5) {
			rec := make([]string, 3)
			for i := range rec {
				for range r.IntN(4) {
					rec[i] += pieces[r.IntN(len(pieces))]
				}
			}
			want = append(want, rec)
		}
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.UseCRLF = false
		if err := w.WriteAll(want); err != nil {
			t.Fatal(err)
		}
		s := NewScanner(&b, ',', 3)
		s.buf = make([]byte, 8)
		for _, rec := range want {
			ok, err := s.Next()
			if err != nil || !ok || s.Fault != intake.NoFault {
				t.Fatalf("%q: %v %v %s", want, ok, err, s.Fault)
			}
			for i, f := range s.Fields {
				if string(f) != rec[i] {
					t.Fatalf("%q: value %q, want %q", want, f, rec[i])
				}
			}
		}
		if ok, err := s.Next(); ok || err != nil {
			t.Fatalf("%q: more than was written (%v)", want, err)
		}
	}
}

// FuzzScanner demands that no byte is lost: the raw records and the line ends
// between them are the text, whatever it is.
func FuzzScanner(f *testing.F) {
	f.Add("a,b\n1,\"x\ny\"\n2,\"z\n3,c\r\n", byte(','))
	f.Add("\"\"\"\n\"", byte(';'))
	f.Add("a\t\"b\n\t", byte('\t'))
	f.Fuzz(func(t *testing.T, text string, delimiter byte) {
		if !bytes.ContainsRune(Delimiters, rune(delimiter)) {
			return
		}
		s := NewScanner(strings.NewReader(text), delimiter, 2)
		s.buf = make([]byte, 4)
		rest, line := text, int64(1)
		for {
			ok, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			at := strings.Index(rest, string(s.Raw))
			if at < 0 || strings.Trim(rest[:at], "\r\n") != "" {
				t.Fatalf("%q is lost before %q", rest[:max(at, 0)], s.Raw)
			}
			if line += int64(strings.Count(rest[:at], "\n")); s.Line != line {
				t.Fatalf("%q stands on line %d, not %d", s.Raw, line, s.Line)
			}
			line += int64(bytes.Count(s.Raw, []byte("\n")))
			rest = rest[at+len(s.Raw):]
			if s.Fault == intake.NoFault && len(s.Fields) != 2 {
				t.Fatalf("%q passes with %d values", s.Raw, len(s.Fields))
			}
		}
		if strings.Trim(rest, "\r\n") != "" {
			t.Fatalf("%q is lost at the end", rest)
		}
	})
}

func FuzzSniff(f *testing.F) {
	f.Add([]byte("a;b\n"))
	f.Add([]byte("\xff\xfea\x00"))
	f.Fuzz(func(t *testing.T, head []byte) {
		d, _, err := Sniff(head, func(h []string) int { return len(h) })
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, d.Decode(bytes.NewReader(head))); err != nil {
			t.Errorf("a text that was sniffed cannot be read: %v", err)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	text := strings.Repeat("9223372036854775807,12345,192671,2015-10-02,2015-10-02 10:00:00,,,32020,0,,,17479,0,K92.2,4112343,\n", 20000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s := NewScanner(strings.NewReader(text), ',', 16)
		for {
			ok, err := s.Next()
			if err != nil || s.Fault != intake.NoFault {
				b.Fatal(err, s.Fault)
			}
			if !ok {
				break
			}
		}
	}
}
