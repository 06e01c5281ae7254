package register

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

const (
	journalPrefix = "register/"
	journalFormat = "havre-register/1"
)

func objectName(n int) string { return fmt.Sprintf(journalPrefix+"%012d", n) }

// head is the first line of a journal object.
type head struct {
	Format   string `json:"format"`
	Number   int    `json:"number"`
	Previous string `json:"previous"` // SHA-256 of the plaintext of the object before; random in the first
}

// Kinds of entry.
const (
	kindSeen   = "seen"   // a record of a person
	kindReview = "review" // a person waits for a human
	kindDone   = "done"   // a delivery was entered to its end
)

type entry struct {
	kind       string
	person     int64
	holder     string
	rule       string
	at         time.Time
	row        Row              // kindSeen
	candidates []int64          // kindReview
	delivery   havre.DeliveryID // kindReview, kindDone
	counts     *Counts          // kindDone
}

// columns of a journal object, after its head. The last one holds candidates
// or counts.
var columns = []string{"kind", "person", "holder", "rule", "at", "source", "birth_name", "given_names", "used_name",
	"birth_date", "sex", "birth_place", "nir", "residence", "delivery", "detail"}

func nonce() string {
	b := make([]byte, sha256.Size)
	_, _ = rand.Read(b) // crypto/rand never fails since Go 1.24
	return hex.EncodeToString(b)
}

// encode gives a sealed journal object and the hash of its plaintext.
func encode(h head, entries []entry, key *seal.Key) (object []byte, chain string, err error) {
	h.Format = journalFormat
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, "", havre.E("register", havre.Internal, "the zstd writer does not start").Wrap(err)
	}
	hash := sha256.New()
	w := io.MultiWriter(z, hash)
	first, err := json.Marshal(h)
	if err == nil {
		_, err = w.Write(append(first, '\n'))
	}
	c := csv.NewWriter(w)
	for i := 0; err == nil && i < len(entries); i++ {
		var fields []string
		if fields, err = entries[i].fields(); err == nil {
			err = c.Write(fields)
		}
	}
	c.Flush()
	if err = errors.Join(err, c.Error(), z.Close()); err != nil {
		return nil, "", havre.E("register", havre.Internal, "the register's entries have no written form").Wrap(err)
	}
	object, err = seal.Seal(packed.Bytes(), key.Recipient())
	return object, hex.EncodeToString(hash.Sum(nil)), err
}

// decode opens a journal object.
func decode(object []byte, key *seal.Key) (h head, entries []entry, chain string, err error) {
	bad := func(msg string, err error) (head, []entry, string, error) {
		return head{}, nil, "", havre.E("register", havre.Tampered, msg).Wrap(err)
	}
	packed, err := seal.Open(object, key)
	if err != nil {
		return head{}, nil, "", err
	}
	z, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return bad("the zstd reader does not start", err)
	}
	defer z.Close()
	plain, err := io.ReadAll(z)
	if err != nil {
		return bad("it is not zstd", err)
	}
	first, rest, ok := bytes.Cut(plain, []byte("\n"))
	d := json.NewDecoder(bytes.NewReader(first))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); !ok || err != nil || h.Format != journalFormat {
		return bad("it does not begin as an object of "+journalFormat+" does", err)
	}
	c := csv.NewReader(bytes.NewReader(rest))
	c.FieldsPerRecord = len(columns)
	c.ReuseRecord = true
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return bad("an entry is no CSV", parseError(err))
		}
		e, err := parseEntry(fields)
		if err != nil {
			return bad(fmt.Sprintf("entry %d is not valid", len(entries)+1), err)
		}
		entries = append(entries, e)
	}
	sum := sha256.Sum256(plain)
	return h, entries, hex.EncodeToString(sum[:]), nil
}

func (e *entry) fields() ([]string, error) {
	detail := ""
	switch e.kind {
	case kindReview:
		parts := make([]string, len(e.candidates))
		for i, c := range e.candidates {
			parts[i] = strconv.FormatInt(c, 10)
		}
		detail = strings.Join(parts, " ")
	case kindDone:
		b, err := json.Marshal(e.counts)
		if err != nil {
			return nil, err
		}
		detail = string(b)
	}
	t := e.row.Traits
	return []string{e.kind, strconv.FormatInt(e.person, 10), e.holder, e.rule, e.at.UTC().Format(time.RFC3339), e.row.Source,
		t.BirthName, t.GivenNames, e.row.UsedName, t.BirthDate, t.Sex, t.BirthPlace, t.NIR, e.row.Residence,
		string(e.delivery), detail}, nil
}

// parseEntry reads the fields of one entry; it keeps none of the slice.
func parseEntry(f []string) (entry, error) {
	person, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return entry{}, errors.New("its person is no number")
	}
	at, err := time.Parse(time.RFC3339, f[4])
	if err != nil {
		return entry{}, errors.New("its time is not RFC 3339")
	}
	e := entry{kind: f[0], person: person, holder: f[2], rule: f[3], at: at, delivery: havre.DeliveryID(f[14])}
	switch e.kind {
	case kindSeen:
		e.row = Row{Source: f[5], UsedName: f[8], Residence: f[13]}
		e.row.BirthName, e.row.GivenNames, e.row.BirthDate = f[6], f[7], f[9]
		e.row.Sex, e.row.BirthPlace, e.row.NIR = f[10], f[11], f[12]
	case kindReview:
		for _, c := range strings.Fields(f[15]) {
			n, err := strconv.ParseInt(c, 10, 64)
			if err != nil {
				return entry{}, errors.New("a candidate is no number")
			}
			e.candidates = append(e.candidates, n)
		}
	case kindDone:
		e.counts = new(Counts)
		if err := json.Unmarshal([]byte(f[15]), e.counts); err != nil {
			return entry{}, errors.New("its counts are no JSON")
		}
	default:
		return entry{}, errors.New("its kind is not known")
	}
	return e, nil
}

// parseError keeps the place and drops anything of the content.
func parseError(err error) error {
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d: %w", p.Line, p.Err)
	}
	return err
}

func insert(sorted []int64, n int64) []int64 {
	i, found := slices.BinarySearch(sorted, n)
	if found {
		return sorted
	}
	return slices.Insert(sorted, i, n)
}
