package havre

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
)

func TestPrivateTypesNeverPrint(t *testing.T) {
	const word = "DURAND-MARKER"
	s, p := NewSecret([]byte(word)), NewPersonal(word)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "p", p, "err", fmt.Errorf("bad %v %v", s, p))
	j, err := json.Marshal(struct {
		S Secret
		P Personal[string]
		M map[string]Personal[string]
	}{s, p, map[string]Personal[string]{"k": p}})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(j)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		all += fmt.Sprintf(verb+verb, s, p) + fmt.Sprintf(verb, struct{ A any }{p}) + fmt.Sprintf(verb, &s)
	}
	if strings.Contains(all, word) || strings.Contains(all, fmt.Sprintf("%x", word)) {
		t.Errorf("a private value was printed: %s", all)
	}
}

func TestErrorKinds(t *testing.T) {
	cause := errors.New("disk on fire")
	err := fmt.Errorf("outer: %w", E("op", NoSpace, "the store is full").WithHint("free some space").Wrap(cause))
	if KindOf(err) != NoSpace || HintOf(err) != "free some space" || !errors.Is(err, cause) || !errors.Is(err, &Error{Kind: NoSpace}) {
		t.Errorf("kind %q, hint %q of %v", KindOf(err), HintOf(err), err)
	}
	if errors.Is(err, &Error{Kind: Locked}) {
		t.Error("an error is of one kind only")
	}
	if got := KindOf(fmt.Errorf("x: %w", context.Canceled)); got != Cancelled {
		t.Errorf("cancelled context gives %q", got)
	}
	seen := map[int]Kind{}
	for _, k := range Kinds() {
		if other, dup := seen[k.ExitCode()]; dup {
			t.Errorf("%s and %s share exit code %d", k, other, k.ExitCode())
		}
		seen[k.ExitCode()] = k
	}
}

func TestExitCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds() {
		if !strings.Contains(string(page), fmt.Sprintf("| `%s` | %d |", k, k.ExitCode())) {
			t.Errorf("kind %s with exit code %d is not in docs/reference/exit-codes.md", k, k.ExitCode())
		}
	}
}
