package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Keys are the public keys of one hub, by what they may sign. Several keys of
// one use are the hub's over time. The outsider gets them, or their
// fingerprint, by another way than the folder that is checked.
type Keys struct {
	Version  int              `json:"version"` // 1
	Hub      string           `json:"hub"`     // as it stands in receipts, permits and releases
	Origin   string           `json:"origin"`  // of the log
	Log      []sign.PublicKey `json:"log"`
	Receipts []sign.PublicKey `json:"receipts"`
	Permits  []sign.PublicKey `json:"permits"`
	Releases []sign.PublicKey `json:"releases"`
	Moves    []sign.PublicKey `json:"moves,omitempty"` // absent in files of before there were moves
}

// OneKey gives the keys of a hub that signs everything with one key.
func OneKey(hub, origin string, k sign.PublicKey) Keys {
	one := []sign.PublicKey{k}
	return Keys{Version: 1, Hub: hub, Origin: origin, Log: one, Receipts: one, Permits: one, Releases: one, Moves: one}
}

// ParseKeys reads keys.json: canonical JSON and a newline.
func ParseKeys(b []byte) (Keys, error) {
	var k Keys
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return k, havre.E("verify.keys", havre.Invalid, "this is not a file of a hub's public keys").Wrap(err)
	}
	if k.Version != 1 || k.Hub == "" || len(k.Log) == 0 {
		return k, havre.E("verify.keys", havre.Invalid, "the file of public keys has another version, or names no hub or no key of its log")
	}
	if err := tlog.CheckOrigin(k.Origin); err != nil {
		return k, err
	}
	if again, err := k.Encode(); err != nil || !bytes.Equal(again, b) {
		return k, havre.E("verify.keys", havre.Invalid, "the file of public keys is not in canonical form (RFC 8785 and a newline)").Wrap(err)
	}
	return k, nil
}

// Encode gives the bytes of keys.json.
func (k Keys) Encode() ([]byte, error) {
	b, err := sign.Canonical(k)
	return append(b, '\n'), err
}

// Fingerprint is SHA-256 of keys.json in groups of eight hex digits, to be
// read out and compared.
func (k Keys) Fingerprint() string {
	b, err := k.Encode()
	if err != nil {
		return ""
	}
	h := sha256.Sum256(b)
	s := hex.EncodeToString(h[:])
	groups := make([]string, 0, 8)
	for i := 0; i < len(s); i += 8 {
		groups = append(groups, s[i:i+8])
	}
	return strings.Join(groups, " ")
}

// Trust is what the log is checked against.
func (k Keys) Trust() tlog.Trust { return tlog.Trust{Origin: k.Origin, Keys: k.Log} }
