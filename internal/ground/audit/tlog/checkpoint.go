package tlog

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Trust is what a reader must know beforehand: which log is meant and whose
// signature stands for it. Several keys are the same log's over time.
type Trust struct {
	Origin string
	Keys   []sign.PublicKey
}

// Checkpoint says that the log of that origin had Size entries with that root.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   [32]byte
	Raw    []byte // the signed note, as published
}

// RootHex is the root in hex.
func (c Checkpoint) RootHex() string { return hex.EncodeToString(c.Root[:]) }

// CheckOrigin says whether the name can be a log's origin: it is not empty and
// holds no space and no plus sign (C2SP signed-note).
func CheckOrigin(origin string) error {
	if origin == "" || !utf8.ValidString(origin) || strings.ContainsFunc(origin, unicode.IsSpace) || strings.Contains(origin, "+") {
		return havre.E("audit.origin", havre.Invalid, "the name "+strconv.QuoteToASCII(origin)+" cannot be a log's origin").
			WithHint("a host name and a path do well, for example hub.example/log")
	}
	return nil
}

// ParseCheckpoint reads a checkpoint and demands the signature of one of the
// trusted keys; other signatures (witnesses) are allowed and not judged.
func ParseCheckpoint(raw []byte, t Trust) (Checkpoint, error) {
	var last error
	for _, k := range t.Keys {
		v, err := noteVerifier(t.Origin, k)
		if err != nil {
			return Checkpoint{}, err
		}
		c, rest, n, err := log.ParseCheckpoint(raw, t.Origin, v)
		if err != nil {
			last = err
			continue
		}
		// One spelling: no leading zeros, no lines that this version does not know.
		if len(rest) > 0 || n.Text != string(c.Marshal()) || len(c.Hash) != 32 || c.Size > math.MaxInt64 {
			return Checkpoint{}, badCheckpoint("the checkpoint is signed but not in the form of this version", nil)
		}
		return Checkpoint{c.Origin, int64(c.Size), [32]byte(c.Hash), bytes.Clone(raw)}, nil
	}
	return Checkpoint{}, badCheckpoint("the checkpoint is not signed by the trusted key of the log "+t.Origin, last)
}

func badCheckpoint(msg string, err error) error {
	return havre.E("audit.checkpoint", havre.Tampered, msg).Wrap(err)
}

// VerifierKey is the key in the form of C2SP signed notes, for other tools.
func VerifierKey(origin string, k sign.PublicKey) (string, error) {
	if err := CheckOrigin(origin); err != nil {
		return "", err
	}
	if len(k.Ed25519()) != ed25519.PublicKeySize {
		return "", havre.E("audit.key", havre.KeyUnavailable, "there is no key to check the log with")
	}
	s, err := note.NewEd25519VerifierKey(origin, k.Ed25519())
	if err != nil {
		return "", havre.E("audit.key", havre.Invalid, "the key cannot check the log").Wrap(err)
	}
	return s, nil
}

func noteVerifier(origin string, k sign.PublicKey) (note.Verifier, error) {
	s, err := VerifierKey(origin, k)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(s)
	if err != nil {
		return nil, havre.E("audit.key", havre.Invalid, "the key cannot check the log").Wrap(err)
	}
	return v, nil
}

// NoteSigner signs checkpoints of the origin with s.
func NoteSigner(origin string, s *sign.Signer) (note.Signer, error) {
	if s == nil {
		return nil, havre.E("audit.key", havre.KeyUnavailable, "there is no key to sign the log with")
	}
	v, err := noteVerifier(origin, s.Public())
	if err != nil {
		return nil, err
	}
	return noteSigner{v, s}, nil
}

type noteSigner struct {
	v note.Verifier
	s *sign.Signer
}

func (n noteSigner) Name() string                    { return n.v.Name() }
func (n noteSigner) KeyHash() uint32                 { return n.v.KeyHash() }
func (n noteSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(n.s.Private(), msg), nil }

// HistoryLine is the line of checkpoints.jsonl for a checkpoint: the signed
// note as one JSON string.
func HistoryLine(raw []byte) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(string(raw)) // a string always has a JSON form
	return b.Bytes()
}

// ParseHistory reads checkpoints.jsonl. Sizes rise from line to line. A last
// line without its newline is what a crash leaves of a checkpoint that nobody
// rests on: it is left out, and whole is the length of what comes before it.
func ParseHistory(b []byte, t Trust) (kept []Checkpoint, whole int, err error) {
	for n := 1; len(b) > 0; n++ {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		line := b[:i+1]
		var raw string
		if err := json.Unmarshal(line, &raw); err != nil || !bytes.Equal(HistoryLine([]byte(raw)), line) {
			return kept, whole, badCheckpoint("line "+strconv.Itoa(n)+" of "+HistoryName+" holds no checkpoint", err)
		}
		c, err := ParseCheckpoint([]byte(raw), t)
		if err != nil {
			return kept, whole, havre.E("audit.checkpoint", havre.KindOf(err), "line "+strconv.Itoa(n)+" of "+HistoryName+" does not hold").Wrap(err)
		}
		if len(kept) > 0 && c.Size <= kept[len(kept)-1].Size {
			return kept, whole, badCheckpoint("line "+strconv.Itoa(n)+" of "+HistoryName+" covers fewer entries than the line before it, or the same", nil)
		}
		kept = append(kept, c)
		whole += len(line)
		b = b[i+1:]
	}
	return kept, whole, nil
}
