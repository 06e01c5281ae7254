package receive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Handler serves deliveries over HTTPS. The connection must be mutual TLS
// (sign.ServerTLS): the client's key says which holder it is, and a holder sees
// only what is its own; the rest looks like what does not exist.
//
//	PUT  /v1/deliveries/{delivery}/{name}     one sealed part or manifest.json, whole, with
//	                                          Repr-Digest: sha-256=:BASE64: (RFC 9530);
//	                                          201 stored, 204 was there already, 409 other bytes are there
//	HEAD /v1/deliveries/{delivery}/{name}     200 with Content-Length if it is there, else 404
//	POST /v1/deliveries/{delivery}/complete   200 with the signed receipt; repeated without harm
//
// A part whose upload was cut or altered is not stored. Errors are
// application/problem+json (RFC 9457) with kind, message and hint.
func (d *Desk) Handler(log *slog.Logger) http.Handler {
	h := &handler{desk: d, log: log, bodies: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	mux := http.NewServeMux()
	mux.Handle("PUT /v1/deliveries/{delivery}/{name}", h.as(h.put))
	mux.Handle("HEAD /v1/deliveries/{delivery}/{name}", h.as(h.head))
	mux.Handle("POST /v1/deliveries/{delivery}/complete", h.as(h.complete))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { problem(w, nothing()) })
	return mux
}

type handler struct {
	desk   *Desk
	log    *slog.Logger
	bodies chan struct{} // how many bodies are held in memory at once
	// completing keeps one request from removing the uploads that another reads.
	completing sync.Mutex
}

// uploads is where a holder's parts wait until the delivery is complete.
func uploads(h Holder, id havre.DeliveryID) string {
	return "upload/" + string(h.ID) + "/" + string(id) + "/"
}

// as finds out which holder speaks, and turns errors into problems.
func (h *handler) as(serve func(http.ResponseWriter, *http.Request, Holder, havre.DeliveryID) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := func() error {
			if r.TLS == nil {
				return havre.E("receive.http", havre.Refused, "deliveries come over mutual TLS only")
			}
			key, ok := sign.PeerKey(*r.TLS)
			if !ok {
				return nothing()
			}
			holder, err := h.desk.HolderOf(r.Context(), key)
			if havre.KindOf(err) == havre.NotFound {
				return nothing()
			}
			if err != nil {
				return err
			}
			id := r.PathValue("delivery")
			if !envelope.IsDeliveryID(id) {
				return nothing()
			}
			return serve(w, r, holder, havre.DeliveryID(id))
		}()
		if err != nil {
			h.log.WarnContext(r.Context(), "delivery request failed", "method", r.Method, "kind", string(havre.KindOf(err)), "error", err)
			problem(w, err)
		}
	})
}

// nothing is the answer for what does not exist and for what is another's.
func nothing() error {
	return havre.E("receive.http", havre.NotFound, "there is nothing here")
}

var uploadName = regexp.MustCompile(`^(health|malformed)-[0-9]{4,9}\.age$`)

func (h *handler) put(w http.ResponseWriter, r *http.Request, holder Holder, id havre.DeliveryID) error {
	const op = "receive.http"
	name := r.PathValue("name")
	limit := int64(envelope.MaxPartSealed)
	switch {
	case name == envelope.ManifestName:
		limit = envelope.MaxManifest
	case strings.HasPrefix(name, string(envelope.Identity)):
		return havre.E(op, havre.Refused, "identity parts go to the keeper, not to the hub")
	case !uploadName.MatchString(name):
		return havre.E(op, havre.Invalid, "this is no name of a part")
	}
	if err := h.desk.Writable(r.Context()); err != nil {
		return err
	}
	if r.ContentLength > limit {
		return havre.E(op, havre.Invalid, "the part is longer than "+strconv.FormatInt(limit, 10)+" bytes").WithHint("cut deliveries into smaller parts")
	}
	want, err := reprDigest(r.Header.Get("Repr-Digest"))
	if err != nil {
		return err
	}
	select {
	case h.bodies <- struct{}{}:
		defer func() { <-h.bodies }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	var body bytes.Buffer
	if _, err := io.Copy(&body, http.MaxBytesReader(w, r.Body, limit)); err != nil {
		return havre.E(op, havre.Invalid, "the part did not arrive whole").WithHint("send it again").Wrap(err)
	}
	if sum := sha256.Sum256(body.Bytes()); !bytes.Equal(sum[:], want) {
		return havre.E(op, havre.Tampered, "the part does not have the hash of its Repr-Digest").WithHint("send it again")
	}
	known, there, err := h.received(r.Context(), holder, id, name)
	if err != nil {
		return err
	}
	if known {
		if there == nil || there.SHA256 != hex.EncodeToString(want) {
			return other(name)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	object := uploads(holder, id) + name
	locked, err := h.desk.lock(id, body.Bytes())
	if err != nil {
		return err
	}
	err = h.desk.Store.Put(r.Context(), object, locked)
	if havre.KindOf(err) == havre.Exists {
		same, serr := h.desk.same(r.Context(), id, object, body.Bytes())
		if serr != nil {
			return serr
		}
		if !same {
			return other(name)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func other(name string) error {
	return havre.E("receive.http", havre.Exists, name+" was sent before with other bytes").
		WithHint("a changed delivery needs a new id: make it anew")
}

// received says whether the delivery was received already, and what its
// manifest says of the part.
func (h *handler) received(ctx context.Context, holder Holder, id havre.DeliveryID, name string) (bool, *envelope.Part, error) {
	v, err := h.desk.Delivery(ctx, id)
	if havre.KindOf(err) == havre.NotFound || err == nil && v.Holder != holder.ID {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	if name == envelope.ManifestName {
		info, err := h.desk.Store.Stat(ctx, Prefix(id)+name)
		return true, &envelope.Part{Name: name, SHA256: v.Manifest, Size: info.Size}, err
	}
	m, err := h.desk.Manifest(ctx, id)
	if err != nil {
		return false, nil, err
	}
	if i := slices.IndexFunc(m.Parts, func(p envelope.Part) bool { return p.Name == name }); i >= 0 {
		return true, &m.Parts[i], nil
	}
	return true, nil, nil
}

func (h *handler) head(w http.ResponseWriter, r *http.Request, holder Holder, id havre.DeliveryID) error {
	name := r.PathValue("name")
	if name != envelope.ManifestName && !uploadName.MatchString(name) {
		return nothing()
	}
	known, part, err := h.received(r.Context(), holder, id, name)
	if err != nil {
		return err
	}
	size := int64(0)
	switch {
	case known && part == nil:
		return nothing()
	case known:
		size = part.Size
	default:
		b, err := h.desk.locked(r.Context(), id, uploads(holder, id)+name)
		if err != nil {
			if havre.KindOf(err) == havre.NotFound {
				return nothing()
			}
			return err
		}
		size = int64(len(b))
	}
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *handler) complete(w http.ResponseWriter, r *http.Request, holder Holder, id havre.DeliveryID) error {
	ctx := r.Context()
	// A client that waits no longer must not stop the verification: it asks
	// again and finds the receipt.
	receipt, err := h.receipt(context.WithoutCancel(ctx), holder, id)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(receipt) // a client that is gone asks again
	return nil
}

func (h *handler) receipt(ctx context.Context, holder Holder, id havre.DeliveryID) ([]byte, error) {
	h.completing.Lock()
	defer h.completing.Unlock()
	prefix := uploads(holder, id)
	v, err := h.desk.Delivery(ctx, id)
	if err == nil && v.Holder == holder.ID {
		return v.Receipt, h.desk.removeAll(ctx, prefix)
	}
	if err != nil && havre.KindOf(err) != havre.NotFound {
		return nil, err
	}
	parcel := uploaded{envelope.Stored{Store: h.desk.Store, Prefix: prefix}, h.desk, id}
	signed, err := parcel.Read(ctx, envelope.ManifestName, envelope.MaxManifest)
	if havre.KindOf(err) == havre.NotFound {
		return nil, nothing()
	}
	if err != nil {
		return nil, err
	}
	// Parts that did not come yet are no ground for quarantine.
	if m, err := envelope.VerifyManifest(signed, holder.Key); err == nil && m.Check() == nil {
		names, err := parcel.Names(ctx)
		if err != nil {
			return nil, err
		}
		var missing []string
		for _, p := range m.For(envelope.Health, envelope.Malformed) {
			if !slices.Contains(names, p.Name) {
				missing = append(missing, p.Name)
			}
		}
		if len(missing) > 0 {
			return nil, missingParts(missing)
		}
	}
	receipt, err := h.desk.Receive(ctx, parcel, holder.ID, havre.NoProgress)
	if err != nil && !refusal(err) {
		return nil, err // the parts wait for the next try
	}
	if rerr := h.desk.removeAll(ctx, prefix); err == nil {
		err = rerr
	}
	return receipt, err
}

// reprDigest reads the sha-256 member of a Repr-Digest field.
func reprDigest(field string) ([]byte, error) {
	for member := range strings.SplitSeq(field, ",") {
		value, ok := strings.CutPrefix(strings.TrimSpace(member), "sha-256=:")
		if !ok {
			continue
		}
		b64, ok := strings.CutSuffix(value, ":")
		if sum, err := base64.StdEncoding.DecodeString(b64); ok && err == nil && len(sum) == sha256.Size {
			return sum, nil
		}
	}
	return nil, havre.E("receive.http", havre.Invalid, "the request has no Repr-Digest with sha-256").
		WithHint("send Repr-Digest: sha-256=:BASE64: as RFC 9530 has it")
}

var statuses = map[havre.Kind]int{
	havre.Invalid: http.StatusBadRequest, havre.PermitDenied: http.StatusForbidden, havre.NotFound: http.StatusNotFound, havre.Exists: http.StatusConflict,
	havre.Refused: http.StatusConflict, havre.Tampered: http.StatusUnprocessableEntity,
	havre.Locked: http.StatusServiceUnavailable, havre.StoreUnavailable: http.StatusServiceUnavailable,
	havre.Clock: http.StatusServiceUnavailable, havre.Cancelled: http.StatusServiceUnavailable,
	havre.NoSpace: http.StatusInsufficientStorage,
}

// problem writes an error for the other end. What is a fault of the hub itself
// is not told in detail.
func problem(w http.ResponseWriter, err error) {
	kind, message, hint := havre.KindOf(err), err.Error(), havre.HintOf(err)
	status, ok := statuses[kind]
	if !ok {
		kind, message, hint = havre.Internal, "the hub could not do this", "tell the hub's operator the time of this request"
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status,
		"kind": kind, "message": message, "hint": hint})
}
