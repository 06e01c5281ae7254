package keeper

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper/link"
	"github.com/havre-hub/havre/internal/keeper/register"
)

func unpackAll(b []byte) ([]byte, error) {
	z, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(z)
}

// failing makes one Put of a real store fail: before it is stored, or after.
type failing struct {
	blob.Store
	at     int
	stored bool
}

func (f *failing) Put(ctx context.Context, name string, data []byte) error {
	f.at--
	if f.at != 0 {
		return f.Store.Put(ctx, name, data)
	}
	if f.stored {
		if err := f.Store.Put(ctx, name, data); err != nil {
			return err
		}
	}
	return havre.E("test", havre.StoreUnavailable, "the power went")
}

// TestLinkingSurvivesEveryFailedWrite fails each write of the two deliveries in
// turn, as lost and as stored with the answer lost, and starts anew: persons
// get the same company as in a run without failure.
func TestLinkingSurvivesEveryFailedWrite(t *testing.T) {
	pairs := func(payer, hospital map[string]string) string {
		same := func(a, b int) bool { return hospital[tidOf(a)] == payer[tidOf(b)] }
		all := map[string]bool{}
		for _, p := range []map[string]string{payer, hospital} {
			for v := range maps.Values(p) {
				all[v] = true
			}
		}
		return fmt.Sprint(same(11, 1), same(12, 2), same(13, 3), same(14, 1), same(15, 1), len(all), len(payer), len(hospital))
	}
	const want = "true true false false true 5 3 5"
	for _, stored := range []bool{false, true} {
		failed := 0
		for at := 1; ; at++ {
			h := newHouse(t)
			payer, hospital := h.deliver("payer", nil, payerID), h.deliver("chu-nord", nil, hospitalID)
			store := &failing{h.store, at, stored}
			h.config.Store = store
			try := func(p envelope.Parcel) map[string]string {
				for {
					k := h.open()
					m, err := k.Accept(t.Context(), p)
					if err == nil {
						_, parcel, lerr := k.Link(t.Context(), m.Delivery, havre.NoProgress)
						if err = lerr; err == nil {
							_, table := h.table(parcel)
							return table
						}
					}
					if havre.KindOf(err) != havre.StoreUnavailable {
						t.Fatalf("write %d (stored %v): %v", at, stored, err)
					}
					failed++
				}
			}
			a, b := try(payer), try(hospital)
			if got := pairs(a, b); got != want {
				t.Errorf("write %d (stored %v): %s, want %s", at, stored, got, want)
			}
			if store.at > 0 { // no write was left to fail
				break
			}
		}
		if failed < 8 {
			t.Errorf("only %d writes failed", failed)
		}
	}
}

func TestRegisterFindsTampering(t *testing.T) {
	grown := func(t *testing.T) *house {
		h := newHouse(t)
		h.link(h.open(), h.deliver("payer", nil, payerID))
		h.link(h.open(), h.deliver("chu-nord", nil, hospitalID))
		return h
	}
	object := func(h *house, n int) string { return fmt.Sprintf("%s/register/%012d", h.dir, n) }
	for name, harm := range map[string]func(*testing.T, *house){
		"first object removed":  func(t *testing.T, h *house) { must(t, os.Remove(object(h, 0))) },
		"middle object removed": func(t *testing.T, h *house) { must(t, os.Remove(object(h, 1))) },
		"two exchanged": func(t *testing.T, h *house) {
			must(t, os.Rename(object(h, 1), object(h, 9)))
			must(t, os.Rename(object(h, 2), object(h, 1)))
			must(t, os.Rename(object(h, 9), object(h, 2)))
		},
		"one byte": func(t *testing.T, h *house) {
			b, err := os.ReadFile(object(h, 1))
			must(t, err)
			b[len(b)-9] ^= 1 // in the payload; in the head it looks like another key
			must(t, os.Chmod(object(h, 1), 0o600))
			must(t, os.WriteFile(object(h, 1), b, 0o600))
		},
		"forged with the public key": func(t *testing.T, h *house) {
			forged := `{"format":"havre-register/1","number":3,"previous":"` + strings.Repeat("0", 64) + `"}` + "\n"
			sealed, err := seal.Seal(envelope.Pack([]byte(forged)), h.config.Key.Recipient())
			must(t, err)
			must(t, os.WriteFile(object(h, 3), sealed, 0o600))
		},
	} {
		h := grown(t)
		harm(t, h)
		if _, err := Open(t.Context(), h.config); havre.KindOf(err) != havre.Tampered {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := grown(t)
	must(t, os.RemoveAll(h.dir+"/register"))
	if _, err := Open(t.Context(), h.config); havre.KindOf(err) != havre.NotFound {
		t.Errorf("register gone: %v", err)
	}
	if err := Create(t.Context(), grown(t).store, h.config.Key); havre.KindOf(err) != havre.Exists {
		t.Errorf("created over another: %v", err)
	}
}

func TestTwoKeepersOnOneRegister(t *testing.T) {
	h := newHouse(t)
	a, b := h.open(), h.open()
	h.link(a, h.deliver("payer", nil, payerID))
	m, err := b.Accept(t.Context(), h.deliver("chu-nord", nil, hospitalID))
	must(t, err)
	if _, _, err := b.Link(t.Context(), m.Delivery, havre.NoProgress); havre.KindOf(err) != havre.Locked {
		t.Errorf("the second keeper: %v", err)
	}
}

func TestOptOut(t *testing.T) {
	h := newHouse(t)
	k := h.open()
	_, payer := h.link(k, h.deliver("payer", nil, payerID))
	_, hospital := h.link(k, h.deliver("chu-nord", nil, hospitalID))
	told := func(k *Keeper, who Who, out bool) *envelope.OptOut {
		t.Helper()
		sealed, err := k.OptOut(t.Context(), "hub", who, out)
		must(t, err)
		if bytes.Contains(sealed, []byte("p1.")) {
			t.Error("a pseudonym stands in clear")
		}
		signed, err := seal.Open(sealed, h.hub)
		must(t, err)
		o, err := envelope.VerifyOptOut(signed, h.config.Signer.Public())
		must(t, err)
		if o.Out != out || o.Hub != "hub" || o.KeyVersion != 1 {
			t.Errorf("message %+v", o)
		}
		return o
	}
	paul := link.Traits{BirthName: "Durand", GivenNames: "Paul", BirthDate: "1950-06-02", Sex: "M", BirthPlace: "75056"}
	// The record under review that may be Paul's is opted out with him.
	for _, who := range []Who{{Holder: "payer", Source: "P1"}, {Traits: paul}} {
		o := told(k, who, true)
		if len(o.Pseudonyms) != 2 || o.Pseudonyms[0] != payer[tidOf(1)] || o.Pseudonyms[1] != hospital[tidOf(14)] {
			t.Errorf("opt-out of %q names %v", who.Source, o.Pseudonyms)
		}
	}
	if o := told(k, Who{Holder: "payer", Source: "P1"}, false); len(o.Pseudonyms) != 2 {
		t.Errorf("taking back names %v", o.Pseudonyms)
	}
	for name, c := range map[string]struct {
		who  Who
		out  bool
		kind havre.Kind
	}{
		"unknown id":           {Who{Holder: "payer", Source: "nobody"}, true, havre.NotFound},
		"too little":           {Who{Traits: link.Traits{BirthName: "Durand"}}, true, havre.NotFound},
		"takes back, unknown":  {Who{Traits: link.Traits{BirthName: "X", GivenNames: "Y", BirthDate: "1999-01-01", Sex: "F", BirthPlace: "33063"}}, false, havre.NotFound},
		"traits that conflict": {Who{Traits: link.Traits{BirthDate: "1950-06-04", Sex: "M", NIR: durand}}, true, havre.Refused},
	} {
		if _, err := k.OptOut(t.Context(), "hub", c.who, c.out); havre.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := k.OptOut(t.Context(), "elsewhere", Who{Traits: paul}, true); havre.KindOf(err) != havre.NotFound {
		t.Errorf("unknown hub: %v", err)
	}
	// Somebody opts out before anyone delivers them.
	early := told(k, Who{Traits: link.Traits{BirthName: "Early", GivenNames: "Bird", BirthDate: "1990-02-03", Sex: "F", BirthPlace: "44109"}}, true)
	_, later := h.link(h.open(), h.deliver("chu-nord", nil, header+line(30, "H30", "EARLY", "Bird", "1990-02-03", "F", "44109", "")))
	if later[tidOf(30)] != early.Pseudonyms[0] {
		t.Error("who opted out early is not recognised later")
	}
}

func FuzzIdentityPart(f *testing.F) {
	f.Add([]byte(payerID))
	f.Add([]byte("tid,source_person_id\n" + tidOf(1) + ",\"a\nb\"\n"))
	f.Add([]byte("tid,tid\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rows := 0
		err := newIdentityReader().read("identity-0001.age", text, func(_ tid, row register.Row) error {
			rows++
			link.NewRecord(row.Traits)
			return nil
		})
		if err == nil {
			if all, cerr := csv.NewReader(bytes.NewReader(text)).ReadAll(); cerr != nil || len(all) != rows+1 {
				t.Errorf("%d rows read, but the CSV has %d (%v)", rows, len(all)-1, cerr)
			}
			return
		}
		if e, ok := errors.AsType[*havre.Error](err); !ok || e.Kind != havre.Invalid || e.Hint == "" {
			t.Errorf("not a clear error: %v", err)
		}
	})
}
