package havre

import (
	"context"
	"errors"
	"strings"
)

// Kind says what sort of failure an error is. The same word appears in the
// CLI, in JSON and in the HTTP API, and each kind has one exit code
// (docs/reference/exit-codes.md).
type Kind string

// The kinds, with their exit codes in exitCodes.
const (
	Internal          Kind = "internal"           // a fault of Havre itself
	Usage             Kind = "usage"              // the command line is wrong
	Invalid           Kind = "invalid_input"      // a file, row, document or value is not acceptable
	NotFound          Kind = "not_found"          // it does not exist, or you may not know whether it does
	Exists            Kind = "already_exists"     // it is there already and is never overwritten
	PermitDenied      Kind = "permit_denied"      // no permit, or not within it, or suspended, or past its end
	KeyUnavailable    Kind = "key_unavailable"    // the key that opens or signs this is not here
	Tampered          Kind = "tampered"           // a signature, hash or proof does not hold
	Locked            Kind = "locked"             // another process works on it
	StoreUnavailable  Kind = "store_unavailable"  // the object store or a peer does not answer
	DisclosureRefused Kind = "disclosure_refused" // a result may not leave
	Refused           Kind = "refused"            // a rule of procedure forbids it (two people, wrong state)
	NoSpace           Kind = "no_space"           // a disk or quota is full
	Clock             Kind = "clock"              // the clock stands before a time already on record
	Cancelled         Kind = "cancelled"          // stopped by the user
)

var exitCodes = map[Kind]int{
	Internal: 1, Usage: 2,
	Invalid: 10, NotFound: 11, Exists: 12, PermitDenied: 13, KeyUnavailable: 14,
	Tampered: 15, Locked: 16, StoreUnavailable: 17, DisclosureRefused: 18,
	Refused: 19, NoSpace: 20, Clock: 21, Cancelled: 130,
}

// ExitCode is the process exit code of the kind; unknown kinds give 1.
func (k Kind) ExitCode() int {
	if c, ok := exitCodes[k]; ok {
		return c
	}
	return 1
}

// Kinds lists every kind, for the reference page and its test.
func Kinds() []Kind {
	return []Kind{Internal, Usage, Invalid, NotFound, Exists, PermitDenied, KeyUnavailable, Tampered,
		Locked, StoreUnavailable, DisclosureRefused, Refused, NoSpace, Clock, Cancelled}
}

// Error is the one error type of Havre. Message says what happened, to which
// file, row or permit, and why, in a sentence fit for anyone who may see the
// operation at all: it never holds a personal value or a secret. Hint says
// what to do next. Err is the cause, for the operator.
type Error struct {
	Op      string // the operation, e.g. "deliver" or "blob.put"
	Kind    Kind
	Message string
	Hint    string
	Err     error
}

// E makes an Error; add a hint or a cause with WithHint and Wrap.
func E(op string, kind Kind, message string) *Error {
	return &Error{Op: op, Kind: kind, Message: message}
}

// WithHint returns a copy of e that tells the user what to do next.
func (e *Error) WithHint(hint string) *Error {
	c := *e
	c.Hint = hint
	return &c
}

// Wrap returns a copy of e with its cause.
func (e *Error) Wrap(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Error gives the message and the chain of causes, without hints.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Kind: K}) true for every error of kind K.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Op == "" && t.Message == "" && t.Kind == e.Kind
}

// KindOf is the kind of the outermost Error in err's chain; a cancelled
// context is Cancelled; any other error is Internal; nil is "".
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if errors.Is(err, context.Canceled) {
		return Cancelled
	}
	return Internal
}

// HintOf is the first hint in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
