package receive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/audittest"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// hub is a desk with two holders and a keeper, on a real store and database.
type hub struct {
	t       testing.TB
	dir     string
	desk    *Desk
	log     *audittest.Diary
	keeper  *sign.Signer
	holders map[havre.HolderID]*sign.Signer
	now     time.Time
}

func newHub(t testing.TB) *hub {
	t.Helper()
	h := &hub{t: t, dir: t.TempDir(), log: &audittest.Diary{}, keeper: sign.NewSigner(), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		holders: map[havre.HolderID]*sign.Signer{"payer": sign.NewSigner(), "chu-nord": sign.NewSigner()}}
	store, err := file.Create(filepath.Join(h.dir, "store"))
	must(t, err)
	db, err := meta.Create(t.Context(), filepath.Join(h.dir, "control.db"))
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	key, err := seal.NewKey()
	must(t, err)
	level2, err := NewLevel2(1, havre.NewSecret(bytes.Repeat([]byte{9}, 32)))
	must(t, err)
	dataset, err := seal.NewKey()
	must(t, err)
	h.desk = New(Config{Hub: "hub", Store: store, DB: db, Key: key, Dataset: func(havre.DeliveryID, bool) (*seal.Key, error) { return dataset, nil }, Signer: sign.NewSigner(), Keeper: h.keeper.Public(),
		Level2: level2, Log: h.log, Now: func() time.Time { return h.now }})
	for _, id := range []havre.HolderID{"payer", "chu-nord"} {
		_, err := h.desk.AddHolder(t.Context(), id, h.holders[id].Public(), havre.NewPersonal("op"))
		must(t, err)
	}
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, what string, err error, kind havre.Kind) {
	t.Helper()
	if havre.KindOf(err) != kind {
		t.Errorf("%s: kind %q of %v, want %q", what, havre.KindOf(err), err, kind)
	}
}

func tidOf(n int) string { return fmt.Sprintf("%032x", 0xabcdef0000+n) }

var conditions = "tid,condition_occurrence_id,condition_concept_id,condition_start_date\n" +
	tidOf(1) + ",1,192671,2020-01-02\n" + tidOf(2) + ",-9,0,2021-03-04\n"

// part seals a text as a part.
func (h *hub) part(name string, purpose envelope.Purpose, table, text string, to seal.Recipient) (envelope.Part, []byte) {
	sealed, err := seal.Seal(envelope.Pack([]byte(text)), to)
	must(h.t, err)
	sum := sha256.Sum256(sealed)
	header, _, _ := strings.Cut(text, "\n")
	return envelope.Part{Name: name, Purpose: purpose, Table: table, Columns: strings.Split(header, ","),
		Rows: int64(strings.Count(text, "\n") - 1), Size: int64(len(sealed)), SHA256: hex.EncodeToString(sum[:]), PlainSize: int64(len(text))}, sealed
}

// deliver writes a delivery folder with the texts as condition parts, and one
// identity part that went to the keeper.
func (h *hub) deliver(holder havre.HolderID, change func(*envelope.Manifest), texts ...string) envelope.Folder {
	h.t.Helper()
	dir := h.t.TempDir()
	m := &envelope.Manifest{Delivery: havre.NewDeliveryID(), Holder: holder, Hub: "hub", Created: h.now, CDMVersion: "5.4", Persons: 2}
	other, err := seal.NewKey()
	must(h.t, err)
	id, _ := h.part("identity-0001.age", envelope.Identity, "person_identity", "tid,nir\n"+tidOf(1)+",x\n", other.Recipient())
	m.Parts = append(m.Parts, id)
	for i, text := range texts {
		p, sealed := h.part(fmt.Sprintf("health-%04d.age", i+1), envelope.Health, "condition_occurrence", text, h.desk.Key.Recipient())
		m.Parts = append(m.Parts, p)
		must(h.t, os.WriteFile(filepath.Join(dir, p.Name), sealed, 0o600))
	}
	if change != nil {
		change(m)
	}
	signed, err := envelope.SignManifest(m, h.holders[holder])
	must(h.t, err)
	must(h.t, os.WriteFile(filepath.Join(dir, envelope.ManifestName), signed, 0o600))
	return envelope.Folder(dir)
}

func (h *hub) receive(f envelope.Parcel) ([]byte, error) {
	return h.desk.Receive(h.t.Context(), f, "", havre.NoProgress)
}

func (h *hub) idOf(f envelope.Folder) havre.DeliveryID { return h.manifest(f).Delivery }

func (h *hub) manifest(f envelope.Folder) *envelope.Manifest {
	b, err := os.ReadFile(filepath.Join(string(f), envelope.ManifestName))
	must(h.t, err)
	var keys []sign.PublicKey
	for _, s := range h.holders {
		keys = append(keys, s.Public())
	}
	m, err := envelope.VerifyManifest(b, keys...)
	must(h.t, err)
	return m
}

// linkage makes the keeper's table for a received delivery.
func (h *hub) linkage(id havre.DeliveryID, change func(*envelope.Linkage), rows ...string) envelope.Folder {
	h.t.Helper()
	m, err := h.desk.Manifest(h.t.Context(), id)
	must(h.t, err)
	return h.linkageOf(m, change, rows...)
}

func (h *hub) linkageOf(m *envelope.Manifest, change func(*envelope.Linkage), rows ...string) envelope.Folder {
	h.t.Helper()
	dir := h.t.TempDir()
	signed, err := envelope.SignManifest(m, h.holders[m.Holder])
	must(h.t, err)
	sum := sha256.Sum256(signed)
	text := "tid,pseudonym\n" + strings.Join(rows, "")
	p, sealed := h.part(envelope.LinkagePartName(1), envelope.LinkagePurpose, "linkage", text, h.desk.Key.Recipient())
	must(h.t, os.WriteFile(filepath.Join(dir, p.Name), sealed, 0o600))
	l := &envelope.Linkage{Delivery: m.Delivery, Holder: m.Holder, Hub: "hub", Keeper: "keeper", Created: h.now, Manifest: hex.EncodeToString(sum[:]),
		KeyVersion: 1, Rows: int64(len(rows)), Persons: int64(len(rows)), Parts: []envelope.Part{p}}
	if change != nil {
		change(l)
	}
	head, err := envelope.SignLinkage(l, h.keeper)
	must(h.t, err)
	must(h.t, os.WriteFile(filepath.Join(dir, envelope.LinkageName), head, 0o600))
	return envelope.Folder(dir)
}

func level1(n int) string {
	return "p1.1." + strings.Repeat("a", 50) + string(rune('a'+n/26)) + string(rune('a'+n%26))
}

func row(t, p int) string { return tidOf(t) + "," + level1(p) + "\n" }
