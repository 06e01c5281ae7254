// Package words holds sentences in English and French side by side, so that
// neither can be changed without seeing the other.
package words

import "fmt"

// Lang is a language that reports are written in.
type Lang string

// The languages.
const (
	EN Lang = "en"
	FR Lang = "fr"
)

// Phrase is one sentence in both languages.
type Phrase struct {
	EN string `json:"en"`
	FR string `json:"fr"`
}

// Say makes a phrase; both formats take the same arguments, in the same order.
// An argument that is itself a Phrase is put in in the right language.
func Say(en, fr string, args ...any) Phrase {
	return Phrase{fmt.Sprintf(en, in(EN, args)...), fmt.Sprintf(fr, in(FR, args)...)}
}

// In gives the phrase in one language; English where there is no such one.
func (p Phrase) In(l Lang) string {
	if l == FR {
		return p.FR
	}
	return p.EN
}

func in(l Lang, args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		if p, ok := a.(Phrase); ok {
			a = p.In(l)
		}
		out[i] = a
	}
	return out
}
