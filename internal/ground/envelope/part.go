package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// Limits of one part. A manifest beyond them is refused before any part is
// read, so nothing a sender writes makes a receiver reserve more memory.
const (
	MaxPartPlain  = 64 << 20 // bytes of CSV; senders cut at half of it
	MaxPartSealed = 80 << 20 // bytes of the sealed object
	MaxParts      = 100_000
	MaxManifest   = 64 << 20 // bytes of manifest.json
)

var partName = regexp.MustCompile(`^(identity|health|malformed)-[0-9]{4,9}\.age$`)

// Check says whether a verified manifest can describe a delivery at all: names,
// purposes, counts and sizes. Who signed it and whom it is for is not its matter.
func (m *Manifest) Check() error {
	bad := func(format string, args ...any) error {
		return havre.E("manifest", havre.Invalid, "the manifest is not valid: "+fmt.Sprintf(format, args...))
	}
	if !IsDeliveryID(string(m.Delivery)) {
		return bad("the delivery id is not 32 lower-case hex digits")
	}
	if !havre.ValidName(string(m.Holder)) || !havre.ValidName(m.Hub) {
		return bad("the holder or the hub has no valid name")
	}
	if m.Persons < 0 || len(m.Parts) > MaxParts {
		return bad("it counts %d persons in %d parts", m.Persons, len(m.Parts))
	}
	seen := make(map[string]bool, len(m.Parts))
	for i, p := range m.Parts {
		match := partName.FindStringSubmatch(p.Name)
		switch {
		case match == nil || match[1] != string(p.Purpose):
			return bad("part %d has a name that does not fit its purpose", i+1)
		case seen[p.Name]:
			return bad("the part %s is there twice", p.Name)
		case p.Size <= 0 || p.Size > MaxPartSealed || p.PlainSize <= 0 || p.PlainSize > MaxPartPlain || p.Rows < 0:
			return bad("the part %s has a size or row count out of bounds", p.Name)
		case len(p.SHA256) != 2*sha256.Size || len(p.Columns) == 0:
			return bad("the part %s has no hash or no columns", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// IsDeliveryID says whether s has the form of a delivery id. Ids become object
// names and parts of URLs, so receivers check them before anything else.
func IsDeliveryID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// For gives the parts of the purposes named, in the manifest's order.
func (m *Manifest) For(purposes ...Purpose) (parts []Part) {
	for _, p := range m.Parts {
		if slices.Contains(purposes, p.Purpose) {
			parts = append(parts, p)
		}
	}
	return parts
}

// CheckSealed compares a sealed object with what the manifest says of it.
func (p Part) CheckSealed(sealed []byte) error {
	if int64(len(sealed)) != p.Size {
		return havre.E("part", havre.Tampered, fmt.Sprintf("the part %s has %d bytes, but its manifest says %d: it is cut or was changed", p.Name, len(sealed), p.Size)).
			WithHint("send this part again")
	}
	if sum := sha256.Sum256(sealed); hex.EncodeToString(sum[:]) != p.SHA256 {
		return havre.E("part", havre.Tampered, "the part "+p.Name+" does not have the hash its manifest says: it was changed on its way").
			WithHint("send this part again")
	}
	return nil
}

// OpenPart checks a sealed part against the manifest, opens it and gives its
// CSV. It never unpacks more than the manifest's plain size, and refuses a part
// whose size, columns or number of rows differ from the manifest.
func OpenPart(p Part, sealed []byte, keys ...*seal.Key) ([]byte, error) {
	if err := p.CheckSealed(sealed); err != nil {
		return nil, err
	}
	packed, err := seal.Open(sealed, keys...)
	if err != nil {
		return nil, havre.E("part", havre.KindOf(err), "the part "+p.Name+" does not open").Wrap(err)
	}
	plain, err := Unpack(packed, p.PlainSize)
	if err != nil {
		return nil, havre.E("part", havre.KindOf(err), "the part "+p.Name+" is not what its manifest says").Wrap(err)
	}
	header, err := csv.NewReader(bytes.NewReader(plain)).Read()
	if err != nil || !slices.Equal(header, p.Columns) {
		return nil, havre.E("part", havre.Invalid, "the part "+p.Name+" does not begin with the columns that its manifest lists")
	}
	if n := countRecords(plain) - 1; n != p.Rows {
		return nil, havre.E("part", havre.Invalid, fmt.Sprintf("the part %s has %d rows, but its manifest says %d", p.Name, n, p.Rows))
	}
	return plain, nil
}

// Pack compresses the plaintext of a part or table, before it is sealed.
func Pack(plain []byte) []byte {
	e, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1)) // only bad options fail
	return e.EncodeAll(plain, make([]byte, 0, len(plain)/3+512))
}

// Unpack is the other way, for exactly size bytes of plaintext: one byte more
// or less is refused, and no more than that is ever unpacked.
func Unpack(packed []byte, size int64) ([]byte, error) {
	d, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(32<<20))
	if err != nil {
		return nil, havre.E("unpack", havre.Internal, "the zstd reader does not start").Wrap(err)
	}
	defer d.Close()
	plain := make([]byte, size)
	if _, err := io.ReadFull(d, plain); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, havre.E("unpack", havre.Invalid, fmt.Sprintf("it unpacks to less than the %d bytes stated", size))
		}
		return nil, havre.E("unpack", havre.Invalid, "it is not zstd").Wrap(err)
	}
	if _, err := io.ReadFull(d, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return nil, havre.E("unpack", havre.Invalid, fmt.Sprintf("it unpacks to more than the %d bytes stated", size))
	}
	return plain, nil
}

// countRecords counts the records of RFC 4180 text with LF line ends: line
// ends within quotes belong to a value.
func countRecords(text []byte) (n int64) {
	quoted := false
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\n' && !quoted:
			n++
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}
