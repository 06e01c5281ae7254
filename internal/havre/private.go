package havre

import (
	"fmt"
	"log/slog"
)

// Secret holds key material. It prints as "[secret]" under every verb, in JSON
// and in logs; only Reveal gives the bytes, and callers must not keep them
// longer than the call that needs them.
type Secret struct{ b []byte }

// NewSecret takes ownership of b.
func NewSecret(b []byte) Secret { return Secret{b} }

// Reveal gives the bytes themselves.
func (s Secret) Reveal() []byte { return s.b }

// IsZero says whether nothing is held.
func (s Secret) IsZero() bool { return len(s.b) == 0 }

const secretMark = "[secret]"

func (Secret) String() string               { return secretMark }
func (Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(secretMark)) }
func (Secret) MarshalText() ([]byte, error) { return []byte(secretMark), nil }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + secretMark + `"`), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue(secretMark) }

// Personal holds a value that identifies a person or speaks of one: a name, a
// NIR, an e-mail, the name of an officer. It prints as "[personal]" under
// every verb, in JSON and in logs; only Reveal gives the value.
type Personal[T any] struct{ v T }

// NewPersonal wraps v.
func NewPersonal[T any](v T) Personal[T] { return Personal[T]{v} }

// Reveal gives the value itself.
func (p Personal[T]) Reveal() T { return p.v }

const personalMark = "[personal]"

func (Personal[T]) String() string               { return personalMark }
func (Personal[T]) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(personalMark)) }
func (Personal[T]) MarshalText() ([]byte, error) { return []byte(personalMark), nil }
func (Personal[T]) MarshalJSON() ([]byte, error) { return []byte(`"` + personalMark + `"`), nil }
func (Personal[T]) LogValue() slog.Value         { return slog.StringValue(personalMark) }
