package keeper

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/audittest"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper/link"
	"github.com/havre-hub/havre/internal/keeper/pseudonym"
)

// house is a keeper with two holders and one hub.
type house struct {
	t       testing.TB
	dir     string
	store   blob.Store
	config  Config
	holders map[havre.HolderID]*sign.Signer
	hub     *seal.Key
	log     *audittest.Diary
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "keeper"), log: &audittest.Diary{},
		holders: map[havre.HolderID]*sign.Signer{"payer": sign.NewSigner(), "chu-nord": sign.NewSigner()}}
	store, err := file.Create(h.dir)
	must(t, err)
	key, err := seal.NewKey()
	must(t, err)
	h.hub, err = seal.NewKey()
	must(t, err)
	level1, err := pseudonym.NewLevel1(1, havre.NewSecret(bytes.Repeat([]byte{7}, 32)))
	must(t, err)
	h.store = store
	h.config = Config{Name: "keeper", Store: store, Key: key, Signer: sign.NewSigner(), Level1: level1, Linker: link.Exact{},
		Log: h.log, Now: havre.SystemNow, Hubs: map[string]seal.Recipient{"hub": h.hub.Recipient()},
		Holders: map[havre.HolderID]sign.PublicKey{}}
	for id, s := range h.holders {
		h.config.Holders[id] = s.Public()
	}
	must(t, Create(t.Context(), store, key))
	return h
}

func (h *house) open() *Keeper {
	h.t.Helper()
	k, err := Open(h.t.Context(), h.config)
	must(h.t, err)
	return k
}

// deliver writes a delivery folder of one or more identity parts.
func (h *house) deliver(holder havre.HolderID, change func(*envelope.Manifest), parts ...string) envelope.Folder {
	h.t.Helper()
	dir := h.t.TempDir()
	m := &envelope.Manifest{Delivery: havre.NewDeliveryID(), Holder: holder, Hub: "hub", Created: time.Now().UTC().Truncate(time.Second), CDMVersion: "5.4"}
	for i, text := range parts {
		sealed, err := seal.Seal(envelope.Pack([]byte(text)), h.config.Key.Recipient())
		must(h.t, err)
		sum := sha256.Sum256(sealed)
		header, _, _ := strings.Cut(text, "\n")
		p := envelope.Part{Name: fmt.Sprintf("identity-%04d.age", i+1), Purpose: envelope.Identity, Table: "person_identity",
			Columns: strings.Split(header, ","), Rows: int64(strings.Count(text, "\n") - 1), Size: int64(len(sealed)),
			SHA256: hex.EncodeToString(sum[:]), PlainSize: int64(len(text))}
		m.Parts = append(m.Parts, p)
		m.Persons += p.Rows
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

// table opens a linkage parcel as the hub would.
func (h *house) table(p envelope.Parcel) (*envelope.Linkage, map[string]string) {
	h.t.Helper()
	head, err := p.Read(h.t.Context(), envelope.LinkageName, 1<<20)
	must(h.t, err)
	l, err := envelope.VerifyLinkage(head, h.config.Signer.Public())
	must(h.t, err)
	out := map[string]string{}
	for _, part := range l.Parts {
		sealed, err := p.Read(h.t.Context(), part.Name, part.Size)
		must(h.t, err)
		plain, err := envelope.OpenPart(part, sealed, h.hub)
		must(h.t, err)
		rows, err := csv.NewReader(bytes.NewReader(plain)).ReadAll()
		must(h.t, err)
		for _, r := range rows[1:] {
			out[r[0]] = r[1]
		}
	}
	return l, out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func tidOf(n int) string { return fmt.Sprintf("%032x", 0xabcdef0000+n) }

func nir(body string) string {
	key, _ := havre.NIRKey(body)
	return body + key
}

const header = "tid,source_person_id,birth_name,given_names,birth_date,sex,birth_place,nir\n"

func line(n int, source, name, given, date, sex, place, nir string) string {
	return strings.Join([]string{tidOf(n), source, name, given, date, sex, place, nir}, ",") + "\n"
}

var (
	durand  = nir("1500675056123")
	payerID = header +
		line(1, "P1", "DURAND", "Paul", "1950-06-02", "M", "75056", durand) +
		line(2, "P2", "MARTIN", "Eve", "1961-01-30", "F", "69123", nir("2610169123045")) +
		line(3, "P3", "PETIT", "Jean-Luc", "1970-10-10", "M", "2A004", nir("170102A004011"))
	hospitalID = header +
		line(11, "H9", "Durand", "paul andré", "1950-06-02", "1", "75056", durand) + // by NIR
		line(12, "H8", "Martin", "Ève", "1961-01-30", "2", "69123", "") + // by five traits
		line(13, "H7", "Petit", "Jean Luc", "1970-10-10", "M", "2A004", "") + // another first given name
		line(14, "H6", "Durand", "Paul", "1950-06-03", "M", "75056", durand) + // NIR with another birth date
		line(15, "H9", "Durand", "Paul", "1950-06-02", "M", "75056", "") // the first one again, in the same delivery
)

func (h *house) link(k *Keeper, parcel envelope.Parcel) (*envelope.Linkage, map[string]string) {
	h.t.Helper()
	m, err := k.Accept(h.t.Context(), parcel)
	must(h.t, err)
	_, table, err := k.Link(h.t.Context(), m.Delivery, havre.NoProgress)
	must(h.t, err)
	return h.table(table)
}

func TestPersonsAreLinkedAcrossHolders(t *testing.T) {
	h := newHouse(t)
	_, payer := h.link(h.open(), h.deliver("payer", nil, payerID))
	k := h.open() // a restart in between
	l, hospital := h.link(k, h.deliver("chu-nord", nil, hospitalID))

	for tid, want := range map[int]int{11: 1, 12: 2, 15: 1} {
		if hospital[tidOf(tid)] != payer[tidOf(want)] {
			t.Errorf("row %d is not linked to person %d", tid, want)
		}
	}
	all := append(slices.Collect(maps.Values(payer)), hospital[tidOf(13)], hospital[tidOf(14)])
	if slices.Sort(all); len(slices.Compact(all)) != 5 {
		t.Errorf("rows that must not be linked share a pseudonym: %v", all)
	}
	for _, p := range all {
		if !strings.HasPrefix(p, "p1.1.") || len(p) != len("p1.1.")+52 {
			t.Errorf("pseudonym %q", p)
		}
	}
	if c := l.Counts; c.Linked[link.RuleNIR] != 1 || c.Linked[link.RuleStrict] != 1 || c.Linked[link.RuleSource] != 1 || c.New != 1 || c.Review[link.ReasonNIRConflict] != 1 || l.Rows != 5 || l.Persons != 4 {
		t.Errorf("counts %+v", l)
	}
	if r := k.Reviews(); len(r) != 1 || r[0].Reason != link.ReasonNIRConflict || !slices.Equal(r[0].Candidates, []int64{1}) || r[0].Person == 1 {
		t.Errorf("reviews %+v", r)
	}
	if r := h.open().Reviews(); len(r) != 1 {
		t.Errorf("reviews after a restart: %+v", r)
	}
}

func TestLinkingAgainGivesTheSameTable(t *testing.T) {
	h := newHouse(t)
	k := h.open()
	parcel := h.deliver("payer", nil, payerID)
	m, err := k.Accept(t.Context(), parcel)
	must(t, err)
	read := func(k *Keeper) (all []byte) {
		_, p, err := k.Link(t.Context(), m.Delivery, havre.NoProgress)
		must(t, err)
		names, err := p.Names(t.Context())
		must(t, err)
		for _, n := range names {
			b, err := p.Read(t.Context(), n, 1<<20)
			must(t, err)
			all = append(all, b...)
		}
		if len(names) != 2 {
			t.Errorf("the linkage parcel holds %v", names)
		}
		return all
	}
	first := read(k)
	if _, err := k.Accept(t.Context(), parcel); err != nil {
		t.Errorf("accepting again: %v", err)
	}
	if !bytes.Equal(first, read(h.open())) {
		t.Error("the second table differs")
	}
	if k.Persons() != 3 {
		t.Errorf("%d persons", k.Persons())
	}
	// The same persons in a later delivery: nothing new is written.
	before := objects(t, h.dir, "register")
	h.link(h.open(), h.deliver("payer", nil, strings.ReplaceAll(payerID, tidOf(1)[:30], "ee"+tidOf(1)[2:30])))
	if after := objects(t, h.dir, "register"); len(after) != len(before)+1 { // the entry that the delivery was entered
		t.Errorf("%d journal objects, before %d", len(after), len(before))
	}
}

func objects(t testing.TB, dir, sub string) (paths []string) {
	t.Helper()
	must(t, filepath.WalkDir(filepath.Join(dir, sub), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, p)
		}
		return err
	}))
	return paths
}

// TestForgetLeavesNoTransportID looks into every byte the keeper holds, with
// every key there is.
func TestForgetLeavesNoTransportID(t *testing.T) {
	h := newHouse(t)
	k := h.open()
	m, err := k.Accept(t.Context(), h.deliver("chu-nord", nil, hospitalID))
	must(t, err)
	if err := k.Forget(t.Context(), m.Delivery); havre.KindOf(err) != havre.Refused {
		t.Errorf("forgetting before linking: %v", err)
	}
	if _, _, err := k.Link(t.Context(), m.Delivery, havre.NoProgress); err != nil {
		t.Fatal(err)
	}
	words := [][]byte{[]byte("abcdef00"), {0xab, 0xcd, 0xef, 0x00}}
	if found := holding(t, h, words); len(found) < 2 {
		t.Fatalf("before forgetting the search finds only %v: it would prove nothing", found)
	}
	for range 2 {
		must(t, k.Forget(t.Context(), m.Delivery))
	}
	if found := holding(t, h, words); len(found) > 0 {
		t.Errorf("transport ids are still in %v", found)
	}
	if found := holding(t, h, [][]byte{[]byte("Durand")}); len(found) != 1 {
		t.Errorf("the register's journal was not searched: %v", found)
	}
	if found := plainly(t, h, [][]byte{[]byte("Durand"), []byte("1950-06"), []byte(durand)}); len(found) > 0 {
		t.Errorf("identities stand in clear in %v", found)
	}
	if _, _, err := h.open().Link(t.Context(), m.Delivery, havre.NoProgress); havre.KindOf(err) != havre.Refused {
		t.Errorf("linking after forgetting: %v", err)
	}
	var actions []string
	for _, e := range h.log.Events() {
		actions = append(actions, e.Action)
	}
	if want := []string{"delivery.linking", "delivery.linked", "delivery.forgetting", "delivery.forgotten", "delivery.forgetting", "delivery.forgotten"}; !slices.Equal(actions, want) {
		t.Errorf("log %v", actions)
	}
}

// plainly lists the files that hold one of the words as they are.
func plainly(t *testing.T, h *house, words [][]byte) (found []string) {
	for _, p := range objects(t, h.dir, ".") {
		b, err := os.ReadFile(p)
		must(t, err)
		if contains(b, words) {
			found = append(found, p)
		}
	}
	return found
}

// holding lists the files that hold one of the words, also under seal and
// compression.
func holding(t *testing.T, h *house, words [][]byte) (found []string) {
	for _, p := range objects(t, h.dir, ".") {
		b, err := os.ReadFile(p)
		must(t, err)
		if plain, err := seal.Open(b, h.config.Key, h.hub); err == nil {
			b = append(b, plain...)
			if unpacked, err := unpackAll(plain); err == nil {
				b = append(b, unpacked...)
			}
		}
		if contains(b, words) {
			found = append(found, p)
		}
	}
	return found
}

func contains(b []byte, words [][]byte) bool {
	return slices.ContainsFunc(words, func(w []byte) bool { return bytes.Contains(b, w) })
}

func TestBadDeliveriesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		kind havre.Kind
		make func(h *house) envelope.Folder
	}{
		{"unknown holder", havre.Tampered, func(h *house) envelope.Folder {
			h.holders["stranger"] = sign.NewSigner()
			return h.deliver("stranger", nil, payerID)
		}},
		{"another holder's name", havre.Tampered, func(h *house) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Holder = "chu-nord" }, payerID)
		}},
		{"another hub", havre.Refused, func(h *house) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Hub = "elsewhere" }, payerID)
		}},
		{"delivery id that is a path", havre.Invalid, func(h *house) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Delivery = "../../x" }, payerID)
		}},
		{"more rows than stated", havre.Invalid, func(h *house) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Parts[0].Rows-- }, payerID)
		}},
		{"plain size understated", havre.Invalid, func(h *house) envelope.Folder {
			return h.deliver("payer", func(m *envelope.Manifest) { m.Parts[0].PlainSize-- }, payerID)
		}},
		{"part missing", havre.NotFound, func(h *house) envelope.Folder {
			f := h.deliver("payer", nil, payerID)
			must(h.t, os.Remove(filepath.Join(string(f), "identity-0001.age")))
			return f
		}},
		{"part cut", havre.Tampered, func(h *house) envelope.Folder {
			f := h.deliver("payer", nil, payerID)
			must(h.t, os.Truncate(filepath.Join(string(f), "identity-0001.age"), 100))
			return f
		}},
		{"bit flipped", havre.Tampered, func(h *house) envelope.Folder {
			f := h.deliver("payer", nil, payerID)
			p := filepath.Join(string(f), "identity-0001.age")
			b, err := os.ReadFile(p)
			must(h.t, err)
			b[len(b)-9] ^= 1
			must(h.t, os.WriteFile(p, b, 0o600))
			return f
		}},
		{"manifest altered", havre.Tampered, func(h *house) envelope.Folder {
			f := h.deliver("payer", nil, payerID)
			p := filepath.Join(string(f), envelope.ManifestName)
			b, err := os.ReadFile(p)
			must(h.t, err)
			must(h.t, os.WriteFile(p, bytes.Replace(b, []byte(`"payload":"ey`), []byte(`"payload":"ez`), 1), 0o600))
			return f
		}},
		{"health part at the keeper", havre.Invalid, func(h *house) envelope.Folder {
			f := h.deliver("payer", nil, payerID)
			must(h.t, os.WriteFile(filepath.Join(string(f), "health-0001.age"), []byte("x"), 0o600))
			return f
		}},
		{"transport id twice", havre.Invalid, func(h *house) envelope.Folder {
			return h.deliver("payer", nil, payerID, payerID)
		}},
		{"no transport id", havre.Invalid, func(h *house) envelope.Folder {
			return h.deliver("payer", nil, "birth_name,sex\nDURAND,M\n")
		}},
		{"nothing that identifies", havre.Invalid, func(h *house) envelope.Folder {
			return h.deliver("payer", nil, "tid,shoe_size\n"+tidOf(1)+",44\n")
		}},
		{"quotes", havre.Invalid, func(h *house) envelope.Folder {
			return h.deliver("payer", nil, "tid,birth_name\n"+tidOf(1)+",DU\"RAND\n")
		}},
		{"columns", havre.Invalid, func(h *house) envelope.Folder {
			return h.deliver("payer", nil, "tid,birth_name\n"+tidOf(1)+",DURAND,M\n")
		}},
		{"encoding", havre.Invalid, func(h *house) envelope.Folder {
			return h.deliver("payer", nil, "tid,birth_name\n"+tidOf(1)+",DURAND\xe9\n")
		}},
	} {
		h := newHouse(t)
		_, err := h.open().Accept(t.Context(), c.make(h))
		if havre.KindOf(err) != c.kind {
			t.Errorf("%s: kind %q of %v, want %q", c.name, havre.KindOf(err), err, c.kind)
		}
		if err != nil && contains([]byte(fmt.Sprintf("%v %s", err, havre.HintOf(err))), [][]byte{[]byte("DURAND"), []byte("DU\""), []byte(tidOf(1))}) {
			t.Errorf("%s: the error shows a value: %v", c.name, err)
		}
	}
}

func TestOtherBytesUnderAnAcceptedIDAreRefused(t *testing.T) {
	h := newHouse(t)
	k := h.open()
	id := havre.NewDeliveryID()
	same := func(m *envelope.Manifest) { m.Delivery = id }
	_, err := k.Accept(t.Context(), h.deliver("payer", same, payerID))
	must(t, err)
	if _, err = k.Accept(t.Context(), h.deliver("payer", same, hospitalID)); havre.KindOf(err) != havre.Refused {
		t.Errorf("got %v", err)
	}
}
