package receive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

func TestJourneyOfADelivery(t *testing.T) {
	h := newHub(t)
	ctx := t.Context()
	folder := h.deliver("payer", nil, conditions, conditions)
	receipt, err := h.receive(folder)
	must(t, err)
	r, err := envelope.VerifyReceipt(receipt, h.desk.Signer.Public())
	must(t, err)
	id := r.Delivery
	if r.Rows != 4 || r.Parts != 2 || r.Holder != "payer" || h.log.Events()[r.LogIndex].Action != envelope.ReceivedAction ||
		h.log.Events()[r.LogIndex].Facts["receipt_sha256"] != envelope.ReceiptDigest(r) {
		t.Errorf("receipt %+v", r)
	}
	again, err := h.receive(folder)
	must(t, err)
	if !bytes.Equal(receipt, again) || h.log.Count(envelope.ReceivedAction) != 1 {
		t.Error("delivering twice is not harmless")
	}
	m, err := h.desk.Manifest(ctx, id)
	must(t, err)
	csv, err := h.desk.OpenPart(ctx, id, m.For(envelope.Health)[0])
	must(t, err)
	if string(csv) != conditions {
		t.Errorf("part is %q", csv)
	}
	wantKind(t, "links before linking", errOf(h.desk.Links(ctx, id)), havre.Refused)
	wantKind(t, "ingested before linking", h.desk.Ingested(ctx, id, 1), havre.Refused)
	wantKind(t, "validated before ingest", h.desk.Validate(ctx, id), havre.Refused)

	table := h.linkage(id, nil, row(1, 1), row(2, 2), row(3, 1))
	for range 2 {
		_, err = h.desk.Link(ctx, id, table)
		must(t, err)
	}
	wantKind(t, "another table", errOf(h.desk.Link(ctx, id, h.linkage(id, nil, row(1, 2)))), havre.Refused)
	links, err := h.desk.Links(ctx, id)
	must(t, err)
	one, two, three := links[havre.TransportID(tidOf(1))], links[havre.TransportID(tidOf(2))], links[havre.TransportID(tidOf(3))]
	if len(links) != 3 || one != three || one == two || one < 0 || one != h.desk.Level2.Of(level1(1)).ID {
		t.Errorf("links %v", links)
	}
	if !found(t, h, tidOf(1)) {
		t.Fatal("the search below would not find a transport id")
	}
	for range 2 {
		must(t, h.desk.Ingested(ctx, id, 7))
	}
	for range 2 {
		must(t, h.desk.Validate(ctx, id))
	}
	if found(t, h, tidOf(1)) || found(t, h, string(mustHex(tidOf(1)))) {
		t.Error("a transport id is still in the store")
	}
	wantKind(t, "links after validation", errOf(h.desk.Links(ctx, id)), havre.Refused)
	if v, err := h.desk.Delivery(ctx, id); err != nil || v.State != Validated || v.Snapshot != 7 || v.KeyVersion != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	// Even now the same delivery gives the same receipt.
	if again, err := h.receive(folder); err != nil || !bytes.Equal(receipt, again) {
		t.Errorf("after validation: %v", err)
	}
}

func errOf[T any](_ T, err error) error { return err }

func mustHex(s string) []byte { b, _ := hex.DecodeString(s); return b }

// found searches every object of the store, also under seal and compression.
func found(t *testing.T, h *hub, word string) (yes bool) {
	must(t, filepath.WalkDir(h.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		must(t, err)
		if inner, err := h.desk.unlock("", b); err == nil {
			b = inner
		}
		if plain, err := seal.Open(b, h.desk.Key); err == nil {
			b = append(b, plain...)
			if z, err := zstd.NewReader(nil); err == nil {
				if unpacked, err := z.DecodeAll(plain, nil); err == nil {
					b = append(b, unpacked...)
				}
				z.Close()
			}
		}
		yes = yes || bytes.Contains(b, []byte(word))
		return nil
	}))
	return yes
}

func TestBadDeliveriesGoToQuarantine(t *testing.T) {
	edit := func(h *hub, f envelope.Folder, name string, change func([]byte) []byte) envelope.Folder {
		p := filepath.Join(string(f), name)
		b, err := os.ReadFile(p)
		must(h.t, err)
		must(h.t, os.WriteFile(p, change(b), 0o600))
		return f
	}
	for _, c := range []struct {
		name string
		kind havre.Kind
		make func(h *hub) envelope.Folder
	}{
		{"unknown holder", havre.Tampered, func(h *hub) envelope.Folder {
			h.holders["stranger"] = sign.NewSigner()
			return h.deliver("stranger", nil, conditions)
		}},
		{"another holder's name", havre.Tampered, func(h *hub) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Holder = "chu-nord" }, conditions)
		}},
		{"another hub", havre.Refused, func(h *hub) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Hub = "elsewhere" }, conditions)
		}},
		{"manifest altered", havre.Tampered, func(h *hub) envelope.Folder {
			return edit(h, h.deliver("payer", nil, conditions), envelope.ManifestName, func(b []byte) []byte { b[40] ^= 1; return b })
		}},
		{"no manifest", havre.NotFound, func(h *hub) envelope.Folder {
			f := h.deliver("payer", nil, conditions)
			must(h.t, os.Remove(filepath.Join(string(f), envelope.ManifestName)))
			return f
		}},
		{"missing part", havre.Invalid, func(h *hub) envelope.Folder {
			f := h.deliver("payer", nil, conditions, conditions)
			must(h.t, os.Remove(filepath.Join(string(f), "health-0002.age")))
			return f
		}},
		{"extra part", havre.Invalid, func(h *hub) envelope.Folder {
			f := h.deliver("payer", nil, conditions)
			must(h.t, os.WriteFile(filepath.Join(string(f), "health-0009.age"), []byte("?"), 0o600))
			return f
		}},
		{"plaintext laid beside", havre.Invalid, func(h *hub) envelope.Folder {
			f := h.deliver("payer", nil, conditions)
			must(h.t, os.WriteFile(filepath.Join(string(f), "Patients.csv"), []byte("DURAND-MARKER"), 0o600))
			return f
		}},
		{"identity part at the hub", havre.Refused, func(h *hub) envelope.Folder {
			f := h.deliver("payer", nil, conditions)
			must(h.t, os.WriteFile(filepath.Join(string(f), "identity-0001.age"), []byte("?"), 0o600))
			return f
		}},
		{"part cut", havre.Tampered, func(h *hub) envelope.Folder {
			return edit(h, h.deliver("payer", nil, conditions), "health-0001.age", func(b []byte) []byte { return b[:len(b)-5] })
		}},
		{"part longer", havre.Tampered, func(h *hub) envelope.Folder {
			return edit(h, h.deliver("payer", nil, conditions), "health-0001.age", func(b []byte) []byte { return append(b, 'x') })
		}},
		{"bit flipped", havre.Tampered, func(h *hub) envelope.Folder {
			return edit(h, h.deliver("payer", nil, conditions), "health-0001.age", func(b []byte) []byte { b[len(b)-9] ^= 4; return b })
		}},
		{"bit flipped, hash made to fit", havre.Tampered, func(h *hub) envelope.Folder {
			f := h.deliver("payer", func(m *envelope.Manifest) {}, conditions)
			edit(h, f, "health-0001.age", func(b []byte) []byte { b[len(b)-9] ^= 4; return b })
			return h.resign(f, "payer")
		}},
		{"sealed to somebody else", havre.Invalid, func(h *hub) envelope.Folder {
			f := h.deliver("payer", nil, conditions)
			other, err := seal.NewKey()
			must(h.t, err)
			_, sealed := h.part("health-0001.age", envelope.Health, "condition_occurrence", conditions, other.Recipient())
			must(h.t, os.WriteFile(filepath.Join(string(f), "health-0001.age"), sealed, 0o600))
			return h.resign(f, "payer")
		}},
		{"fewer rows than stated", havre.Invalid, func(h *hub) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Parts[1].Rows++ }, conditions)
		}},
		{"other columns than stated", havre.Invalid, func(h *hub) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Parts[1].Columns[1] = "note_id" }, conditions)
		}},
		{"zip bomb", havre.Invalid, func(h *hub) envelope.Folder {
			bomb := conditions + strings.Repeat(tidOf(1)+",1,1,2020-01-01\n", 400_000)
			return h.deliver("payer", func(m *envelope.Manifest) { m.Parts[1].PlainSize = 4096 }, bomb)
		}},
		{"bomb beyond every bound", havre.Invalid, func(h *hub) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Parts[1].PlainSize = 1 << 40 }, conditions)
		}},
		{"name that climbs", havre.Invalid, func(h *hub) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Parts[1].Name = "../health-0001.age" }, conditions)
		}},
	} {
		h := newHub(t)
		f := c.make(h)
		_, err := h.receive(f)
		wantKind(t, c.name, err, c.kind)
		before := h.log.Count("delivery.refused")
		if _, again := h.receive(f); havre.KindOf(again) != c.kind || h.log.Count("delivery.refused") != before || before != 1 {
			t.Errorf("%s: refused twice: %v, %d log entries", c.name, again, h.log.Count("delivery.refused"))
		}
		q, err := h.desk.Quarantine(t.Context())
		must(t, err)
		names, err := f.Names(t.Context())
		must(t, err)
		if len(q) != 1 || q[0].Kind != c.kind || q[0].Reason == "" || !slices.Equal(q[0].Objects, names) {
			t.Errorf("%s: quarantine %+v", c.name, q)
			continue
		}
		for i, n := range names {
			want, err := os.ReadFile(filepath.Join(string(f), n))
			must(t, err)
			sealed, err := blob.GetAll(t.Context(), h.desk.Store, fmt.Sprintf("quarantine/%s/%06d", q[0].ID, i))
			must(t, err)
			got, err := seal.Open(sealed, h.desk.Key)
			must(t, err)
			if !bytes.Equal(got, want) || bytes.Contains(sealed, []byte("DURAND-MARKER")) {
				t.Errorf("%s: %s is not kept sealed as it came", c.name, n)
			}
		}
		if all, err := h.desk.Deliveries(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%s: deliveries %v, %v", c.name, all, err)
		}
		for info, err := range h.desk.Store.List(t.Context(), "delivery/") {
			t.Errorf("%s: left %s, %v", c.name, info.Name, err)
		}
	}
}

// resign makes the manifest fit the parts in the folder, as a holder who errs.
func (h *hub) resign(f envelope.Folder, holder havre.HolderID) envelope.Folder {
	b, err := os.ReadFile(filepath.Join(string(f), envelope.ManifestName))
	must(h.t, err)
	m, err := envelope.VerifyManifest(b, h.holders[holder].Public())
	must(h.t, err)
	for i := range m.Parts {
		if sealed, err := os.ReadFile(filepath.Join(string(f), m.Parts[i].Name)); err == nil {
			sum := sha256.Sum256(sealed)
			m.Parts[i].Size, m.Parts[i].SHA256 = int64(len(sealed)), hex.EncodeToString(sum[:])
		}
	}
	b, err = envelope.SignManifest(m, h.holders[holder])
	must(h.t, err)
	must(h.t, os.WriteFile(filepath.Join(string(f), envelope.ManifestName), b, 0o600))
	return f
}

func TestSameIDWithOtherBytesIsRefused(t *testing.T) {
	h := newHub(t)
	first := h.deliver("payer", nil, conditions)
	receipt, err := h.receive(first)
	must(t, err)
	id := h.idOf(first)
	_, err = h.receive(h.deliver("payer", func(m *envelope.Manifest) { m.Delivery = id }, conditions, conditions))
	wantKind(t, "same id", err, havre.Refused)
	if again, err := h.receive(first); err != nil || !bytes.Equal(again, receipt) {
		t.Errorf("the first one was harmed: %v", err)
	}
	m, err := h.desk.Manifest(t.Context(), id)
	must(t, err)
	if _, err := h.desk.OpenPart(t.Context(), id, m.For(envelope.Health)[0]); err != nil {
		t.Error(err)
	}
}

func TestClockSetBackStopsReceiving(t *testing.T) {
	h := newHub(t)
	_, err := h.receive(h.deliver("payer", nil, conditions))
	must(t, err)
	h.now = h.now.Add(-time.Hour)
	_, err = h.receive(h.deliver("payer", nil, conditions))
	wantKind(t, "clock set back", err, havre.Clock)
	if q, err := h.desk.Quarantine(t.Context()); err != nil || len(q) != 0 {
		t.Errorf("a delivery is in quarantine for the hub's own clock: %v, %v", q, err)
	}
}

func TestBadLinkagesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		kind   havre.Kind
		rows   []string
		change func(h *hub, l *envelope.Linkage)
	}{
		"another delivery":      {havre.Refused, []string{row(1, 1)}, func(_ *hub, l *envelope.Linkage) { l.Delivery = havre.NewDeliveryID() }},
		"another manifest":      {havre.Refused, []string{row(1, 1)}, func(_ *hub, l *envelope.Linkage) { l.Manifest = strings.Repeat("0", 64) }},
		"another hub":           {havre.Refused, []string{row(1, 1)}, func(_ *hub, l *envelope.Linkage) { l.Hub = "elsewhere" }},
		"another holder":        {havre.Refused, []string{row(1, 1)}, func(_ *hub, l *envelope.Linkage) { l.Holder = "chu-nord" }},
		"signed by a holder":    {havre.Tampered, []string{row(1, 1)}, func(h *hub, _ *envelope.Linkage) { h.keeper = h.holders["payer"] }},
		"fewer rows":            {havre.Invalid, []string{row(1, 1)}, func(_ *hub, l *envelope.Linkage) { l.Rows = 2 }},
		"transport id twice":    {havre.Invalid, []string{row(1, 1), row(1, 2)}, nil},
		"key version in a row":  {havre.Invalid, []string{row(1, 1)}, func(_ *hub, l *envelope.Linkage) { l.KeyVersion = 2 }},
		"no pseudonym":          {havre.Invalid, []string{tidOf(1) + ",DURAND\n"}, nil},
		"level 2 in place of 1": {havre.Invalid, []string{tidOf(1) + "," + strings.Replace(level1(1), "p1", "p2", 1) + "\n"}, nil},
		"upper-case id":         {havre.Invalid, []string{strings.ToUpper(tidOf(1)) + "," + level1(1) + "\n"}, nil},
		"part name":             {havre.Invalid, []string{row(1, 1)}, func(_ *hub, l *envelope.Linkage) { l.Parts[0].Name = "../x" }},
	} {
		h := newHub(t)
		f := h.deliver("payer", nil, conditions)
		_, err := h.receive(f)
		must(t, err)
		id := h.idOf(f)
		_, err = h.desk.Link(t.Context(), id, h.linkage(id, func(l *envelope.Linkage) {
			if c.change != nil {
				c.change(h, l)
			}
		}, c.rows...))
		wantKind(t, name, err, c.kind)
		if v, err := h.desk.Delivery(t.Context(), id); err != nil || v.State != Received {
			t.Errorf("%s: state %s, %v", name, v.State, err)
		}
	}
}

func TestKeyVersionsDoNotMix(t *testing.T) {
	h := newHub(t)
	link := func(version int) error {
		f := h.deliver("payer", nil, conditions)
		_, err := h.receive(f)
		must(t, err)
		id := h.idOf(f)
		return errOf(h.desk.Link(t.Context(), id, h.linkage(id, func(l *envelope.Linkage) { l.KeyVersion = version },
			strings.Replace(row(1, 1), "p1.1.", "p1."+strconv.Itoa(version)+".", 1))))
	}
	must(t, link(1))
	must(t, link(1))
	wantKind(t, "version 2 beside version 1", link(2), havre.Refused)
}

func TestTwoPersonsOfOneIDAreFound(t *testing.T) {
	h := newHub(t)
	ctx := t.Context()
	a, b, c := Person{5, 1}, Person{9, 2}, Person{7, 3}
	must(t, h.desk.register(ctx, []Person{b, a, b}))
	must(t, h.desk.register(ctx, []Person{a, c}))
	n := 0
	for range h.desk.Store.List(ctx, personPrefix) {
		n++
	}
	if n != 2 {
		t.Errorf("%d lists of persons", n)
	}
	must(t, h.desk.register(ctx, []Person{a, b, c})) // nothing new
	for _, bad := range [][]Person{{{9, 3}}, {{7, 4}, {1, 1}}, {{20, 1}, {20, 2}}} {
		wantKind(t, fmt.Sprint(bad), h.desk.register(ctx, bad), havre.Refused)
	}
}

func TestHolders(t *testing.T) {
	h := newHub(t)
	ctx := t.Context()
	by := havre.NewPersonal("op")
	one, err := h.desk.AddHolder(ctx, "payer", h.holders["payer"].Public(), by)
	must(t, err)
	two, err := h.desk.Holder(ctx, "chu-nord")
	must(t, err)
	if one.Number != 1 || two.Number != 2 {
		t.Errorf("numbers %d, %d", one.Number, two.Number)
	}
	wantKind(t, "another key", errOf(h.desk.AddHolder(ctx, "payer", sign.NewSigner().Public(), by)), havre.Exists)
	wantKind(t, "another's key", errOf(h.desk.AddHolder(ctx, "chu-sud", h.holders["payer"].Public(), by)), havre.Exists)
	wantKind(t, "bad name", errOf(h.desk.AddHolder(ctx, "../x", sign.NewSigner().Public(), by)), havre.Invalid)
	wantKind(t, "no key", errOf(h.desk.AddHolder(ctx, "chu-sud", sign.PublicKey{}, by)), havre.Invalid)
}

func FuzzLinks(f *testing.F) {
	f.Add([]byte("tid,pseudonym\n" + row(1, 1)))
	f.Add([]byte("tid,pseudonym\n\n,"))
	f.Fuzz(func(t *testing.T, text []byte) {
		seen := map[[16]byte]struct{}{}
		n := 0
		err := readLinks("linkage-0001.age", text, 1, seen, func(havre.TransportID, string) { n++ })
		if n != len(seen) || err != nil && havre.KindOf(err) != havre.Invalid {
			t.Errorf("%d rows, %d ids, %v", n, len(seen), err)
		}
	})
}

func TestPublishedVectors(t *testing.T) {
	page, err := os.ReadFile("../../../docs/formats/pseudonym.md")
	must(t, err)
	n := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || strings.TrimSpace(cells[1]) != "2" {
			continue
		}
		n++
		version, _ := strconv.Atoi(strings.TrimSpace(cells[2]))
		l, err := NewLevel2(version, havre.NewSecret(bytes.Repeat([]byte{byte(100 + version)}, 32)))
		must(t, err)
		in := strings.Trim(cells[3], " `")
		if got := l.Text(in); got != strings.Trim(cells[4], " `") || fmt.Sprint(l.Of(in).ID) != strings.TrimSpace(cells[5]) {
			t.Errorf("%s: %s, %d", in, got, l.Of(in).ID)
		}
	}
	if n < 3 {
		t.Errorf("the page has %d vectors of level 2", n)
	}
}
