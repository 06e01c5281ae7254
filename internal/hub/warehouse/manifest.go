package warehouse

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

// Format is the version of the snapshot manifest; it only rises.
const Format = "havre-snapshot/2"

// Manifest says what one snapshot is made of. The byte-exact description is
// docs/formats/snapshot.md.
type Manifest struct {
	Format     string           `json:"format"`
	Number     int64            `json:"number"` // from 0, without gaps
	Parent     *Parent          `json:"parent,omitempty"`
	Created    time.Time        `json:"created"` // UTC, whole seconds
	CDMVersion string           `json:"cdm_version"`
	Buckets    int              `json:"buckets"`    // a power of two, the same in every snapshot
	Deliveries []ingest.Account `json:"deliveries"` // in the order of ingestion
	Segments   []Segment        `json:"segments"`   // sorted by table, bucket, object
	Rejected   []Rejected       `json:"rejected"`   // sorted by object
	Keys       []FileKeys       `json:"keys"`       // of each delivery that has segments, in the order of ingestion
}

// Parent is the snapshot that this one grew from.
type Parent struct {
	Number int64  `json:"number"`
	Root   string `json:"root"` // hex
}

// Segment is one sealed Parquet file: one table in one bucket, or a part of it.
type Segment struct {
	Table    string           `json:"table"`
	Bucket   int              `json:"bucket"` // -1 for tables that are not about persons
	Object   string           `json:"object"` // its name in the store; ends with SHA-256 of the ciphertext
	Size     int64            `json:"size"`   // of the ciphertext
	Head     int64            `json:"head"`   // bytes before the payload: age header and nonce
	HeadSHA  string           `json:"head_sha256"`
	Plain    int64            `json:"plain"` // bytes of Parquet
	PlainSHA string           `json:"plain_sha256"`
	Rows     int64            `json:"rows"`
	First    string           `json:"first,omitempty"` // event dates lie within these, "2006-01-02"
	Last     string           `json:"last,omitempty"`
	Delivery havre.DeliveryID `json:"delivery"`
	HolderID int              `json:"holder_id"`
}

// Rejected is one sealed object of rejected rows.
type Rejected struct {
	Object   string           `json:"object"`
	Size     int64            `json:"size"`
	Rows     int64            `json:"rows"`
	Delivery havre.DeliveryID `json:"delivery"`
}

// head is the first leaf of the tree: all that is not in a list.
type head struct {
	Format     string    `json:"format"`
	Number     int64     `json:"number"`
	Parent     *Parent   `json:"parent,omitempty"`
	Created    time.Time `json:"created"`
	CDMVersion string    `json:"cdm_version"`
	Buckets    int       `json:"buckets"`
}

// leaves are the leaves of a manifest's tree: the canonical JSON of the head, of
// each delivery, of each segment, of each rejected object and of each delivery's
// file keys, in its order.
type leaves struct {
	head                                 []byte
	deliveries, segments, rejected, keys [][]byte
}

func (m *Manifest) leaves() (l leaves, err error) {
	if l.head, err = sign.Canonical(head{m.Format, m.Number, m.Parent, m.Created, m.CDMVersion, m.Buckets}); err != nil {
		return l, err
	}
	if l.deliveries, err = canonical(m.Deliveries); err != nil {
		return l, err
	}
	if l.segments, err = canonical(m.Segments); err != nil {
		return l, err
	}
	if l.rejected, err = canonical(m.Rejected); err != nil {
		return l, err
	}
	l.keys, err = canonical(m.Keys)
	return l, err
}

func canonical[T any](list []T) ([][]byte, error) {
	if list == nil {
		return nil, nil
	}
	out := make([][]byte, len(list))
	var g errgroup.Group
	per := max(len(list)/runtime.GOMAXPROCS(0)+1, 100)
	for lo := 0; lo < len(list); lo += per {
		g.Go(func() (err error) {
			for i := lo; i < min(lo+per, len(list)) && err == nil; i++ {
				out[i], err = sign.Canonical(list[i])
			}
			return err
		})
	}
	return out, g.Wait()
}

// root is the Merkle tree hash (RFC 6962, section 2.1, SHA-256), hex.
func (l leaves) root() (string, error) {
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for _, list := range [][][]byte{{l.head}, l.deliveries, l.segments, l.rejected, l.keys} {
		for _, leaf := range list {
			if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(leaf), nil); err != nil {
				return "", havre.E("snapshot.root", havre.Internal, "the Merkle tree could not be built").Wrap(err)
			}
		}
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		return "", havre.E("snapshot.root", havre.Internal, "the Merkle tree could not be built").Wrap(err)
	}
	return hex.EncodeToString(root), nil
}

// sorted puts the lists in their one order.
func (m *Manifest) sorted() {
	slices.SortFunc(m.Segments, compareSegments)
	slices.SortFunc(m.Rejected, func(a, b Rejected) int { return strings.Compare(a.Object, b.Object) })
}

func compareSegments(a, b Segment) int {
	if c := strings.Compare(a.Table, b.Table); c != 0 {
		return c
	}
	if a.Bucket != b.Bucket {
		return a.Bucket - b.Bucket
	}
	return strings.Compare(a.Object, b.Object)
}

// document is the plaintext of a snapshot object. The MAC is made with a key
// that only the hub has: a seal alone can be made by anyone who learns the
// recipient, so the seal says who may read and the MAC says who wrote.
type document struct {
	MAC      string    `json:"mac"` // hex
	Manifest *Manifest `json:"manifest"`
}

func mac(bucketKey havre.Secret, root string) string {
	h := hmac.New(sha256.New, bucketKey.Reveal())
	h.Write([]byte("havre:snapshot:" + root))
	return hex.EncodeToString(h.Sum(nil))
}

// encode gives the plaintext of the snapshot object: the canonical JSON of a
// document, put together from that of the leaves, since a manifest can have
// hundreds of thousands of them.
func encode(m *Manifest, bucketKey havre.Secret) (plain []byte, root string, err error) {
	l, err := m.leaves()
	if err != nil {
		return nil, "", err
	}
	if root, err = l.root(); err != nil {
		return nil, "", err
	}
	var manifest map[string]json.RawMessage
	if err := json.Unmarshal(l.head, &manifest); err != nil {
		return nil, "", havre.E("snapshot.write", havre.Internal, "the head of the manifest has no JSON form").Wrap(err)
	}
	manifest["deliveries"], manifest["segments"] = jsonArray(l.deliveries), jsonArray(l.segments)
	manifest["rejected"], manifest["keys"] = jsonArray(l.rejected), jsonArray(l.keys)
	out := append(append([]byte(`{"mac":"`), mac(bucketKey, root)...), `","manifest":`...)
	for i, name := range slices.Sorted(maps.Keys(manifest)) {
		out = append(append(append(out, "{,"[min(i, 1)], '"'), name...), `":`...)
		out = append(out, manifest[name]...)
	}
	return append(out, "}}"...), root, nil
}

// jsonArray puts elements together; no list is null.
func jsonArray(elements [][]byte) []byte {
	if elements == nil {
		return []byte("null")
	}
	out := append([]byte("["), bytes.Join(elements, []byte(","))...)
	return append(out, ']')
}

// decode reads what encode gave, and nothing else: the spelling must be
// canonical and the MAC must hold.
func decode(name string, plain []byte, bucketKey havre.Secret) (*Manifest, string, error) {
	bad := func(what string) (*Manifest, string, error) {
		return nil, "", havre.E("snapshot.open", havre.Tampered, name+" "+what)
	}
	var d document
	if err := jsonv2.Unmarshal(plain, &d, jsonv2.RejectUnknownMembers(true)); err != nil || d.Manifest == nil {
		return bad("is not a snapshot manifest")
	}
	m := d.Manifest
	if m.Format != Format {
		return nil, "", havre.E("snapshot.open", havre.Invalid, name+" has the format "+strconv.Quote(m.Format)+"; this program knows "+Format).
			WithHint("use the version of havre that wrote it")
	}
	again, root, err := encode(m, bucketKey)
	if err != nil {
		return bad("has no canonical form")
	}
	if !hmac.Equal([]byte(d.MAC), []byte(mac(bucketKey, root))) {
		return nil, "", havre.E("snapshot.open", havre.Tampered, name+" was not written by this hub").
			WithHint("either the object was forged, or the bucket key in the key ring is another hub's")
	}
	if string(again) != string(plain) {
		return bad("is not in its one spelling")
	}
	if name != snapshotName(m.Number) {
		return bad("holds snapshot " + strconv.FormatInt(m.Number, 10))
	}
	return m, root, nil
}

const snapshotPrefix = "snapshot/"

func snapshotName(n int64) string { return fmt.Sprintf("%s%012d", snapshotPrefix, n) }

// numberOf reads a snapshot's number from its object's name.
func numberOf(name string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimPrefix(name, snapshotPrefix), 10, 64)
	return n, err == nil && name == snapshotName(n)
}

// objectName is the name of a sealed object by its content.
func objectName(kind string, ciphertext []byte) string {
	x := sum(ciphertext)
	return kind + "/" + x[:2] + "/" + x
}

func openManifest(name string, ciphertext []byte, k Keys) (*Manifest, string, error) {
	plain, err := seal.Open(ciphertext, k.Open...)
	if err != nil {
		return nil, "", havre.E("snapshot.open", havre.KindOf(err), name+" could not be opened").Wrap(err)
	}
	return decode(name, plain, k.Bucket)
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
