package blobtest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
	"github.com/havre-hub/havre/internal/havre"
)

// RunFaults tests a store behind HTTP against broken connections, busy servers
// and answers that are not what was asked for. open opens a store on the
// server by the given base URL, at a new place each time.
func RunFaults(t *testing.T, server *serve.Server, open func(t testing.TB, endpoint string) blob.Store) {
	data := content(1)
	size := int64(len(data))

	for name, faults := range map[string][]Fault{
		"connection cut at once":                {CutUpload(0)},
		"connection cut mid-upload":             {CutUpload(size / 2)},
		"connection cut mid-upload, at server":  {CutUploadAtServer(size / 2)},
		"three cuts":                            {CutUpload(1), CutUploadAtServer(10), CutUpload(size - 1)},
		"busy":                                  {Status(503), Status(503), Status(500)},
		"slow first byte":                       {Slow(300 * time.Millisecond)},
		"stored, answer lost":                   {LoseAnswer},
		"stored, answer lost, then busy":        {LoseAnswer, Status(503)},
		"stored, answer lost, read-back broken": {LoseAnswer, Pass, Status(503), Pass, CutDownload(9)},
	} {
		t.Run("put: "+name, func(t *testing.T) {
			proxy := StartProxy(t, server.Endpoint)
			s := open(t, proxy.URL)
			proxy.Next(faults...)
			put(t, s, "fault/put", data)
			if proxy.Seen() < len(faults) {
				t.Errorf("only %d requests were made; %d faults were set", proxy.Seen(), len(faults))
			}
			holds(t, s, "fault/put", data)
		})
	}

	t.Run("put: lost answer does not hide another's object", func(t *testing.T) {
		proxy := StartProxy(t, server.Endpoint)
		s := open(t, proxy.URL)
		put(t, s, "fault/taken", data)
		proxy.Next(CutUpload(5), Pass)
		want(t, s.Put(t.Context(), "fault/taken", content(2)), havre.Exists)
		proxy.Next(LoseAnswer, Pass)
		want(t, s.Put(t.Context(), "fault/taken", content(2)), havre.Exists)
		holds(t, s, "fault/taken", data)
	})

	t.Run("put: given up, nothing in part", func(t *testing.T) {
		proxy := StartProxy(t, server.Endpoint)
		s := open(t, proxy.URL)
		proxy.Always(CutUploadAtServer(size - 1))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		want(t, s.Put(ctx, "fault/part", data), havre.StoreUnavailable)
		proxy.Next()
		_, err := s.Get(t.Context(), "fault/part", 0, -1)
		want(t, err, havre.NotFound)
		put(t, s, "fault/part", data)
		holds(t, s, "fault/part", data)
	})

	for name, faults := range map[string][]Fault{
		"connection cut at once":         {CutDownload(0)},
		"connection cut mid-download":    {CutDownload(size / 2)},
		"cut twice":                      {CutDownload(1), CutDownload(10)},
		"busy":                           {Status(503), Status(429)},
		"slow first byte":                {Slow(300 * time.Millisecond)},
		"shorter, with a fitting length": {Short(1), Short(size)},
		"range ignored":                  {Whole},
		"length hidden":                  {WithoutLength},
	} {
		t.Run("get: "+name, func(t *testing.T) {
			proxy := StartProxy(t, server.Endpoint)
			s := open(t, proxy.URL)
			put(t, s, "fault/get", data)
			proxy.Next(faults...)
			got, err := s.Get(t.Context(), "fault/get", 2, size-4)
			want(t, err, "")
			if !slices.Equal(got, data[2:size-2]) {
				t.Error("other bytes than were written")
			}
			if proxy.Seen() < len(faults) {
				t.Errorf("only %d requests were made; %d faults were set", proxy.Seen(), len(faults))
			}
		})
	}

	t.Run("get: server that always lies", func(t *testing.T) {
		proxy := StartProxy(t, server.Endpoint)
		s := open(t, proxy.URL)
		put(t, s, "fault/lie", data)
		for name, lie := range map[string]Fault{"short": Short(7), "cut": CutDownload(size / 2), "whole": Whole, "no length": WithoutLength} {
			proxy.Always(lie)
			got, err := get(t, s, "fault/lie", 2, size-9)
			if havre.KindOf(err) != havre.StoreUnavailable || got != nil {
				t.Errorf("%s: %d bytes and error %v", name, len(got), err)
			}
		}
	})

	t.Run("stat, list and delete", func(t *testing.T) {
		proxy := StartProxy(t, server.Endpoint)
		s := open(t, proxy.URL)
		put(t, s, "fault/other", data)
		for _, fault := range []Fault{Status(503), LoseAnswer} {
			proxy.Next(fault, fault)
			info, err := s.Stat(t.Context(), "fault/other")
			want(t, err, "")
			if info.Size != size {
				t.Errorf("Stat gives %d bytes, want %d", info.Size, size)
			}
		}
		for _, fault := range []Fault{Status(503), LoseAnswer, CutDownload(20)} {
			proxy.Next(fault, fault)
			if infos := list(t, s, "fault/"); len(infos) != 1 {
				t.Errorf("%d objects are listed, want 1", len(infos))
			}
		}
		proxy.Next(LoseAnswer, Status(503))
		want(t, s.Delete(t.Context(), "fault/other"), "")
		_, err := s.Stat(t.Context(), "fault/other")
		want(t, err, havre.NotFound)
	})

	t.Run("refused", func(t *testing.T) {
		proxy := StartProxy(t, server.Endpoint)
		s := open(t, proxy.URL)
		for _, status := range []int{http.StatusForbidden, http.StatusUnauthorized, http.StatusBadRequest, http.StatusMovedPermanently} {
			proxy.Always(Status(status))
			want(t, s.Put(t.Context(), "fault/refused", data), havre.StoreUnavailable)
			if n := proxy.Seen(); n != 1 {
				t.Errorf("status %d: %d requests were made where no repetition helps", status, n)
			}
		}
		proxy.Always(Status(http.StatusInsufficientStorage))
		want(t, s.Put(t.Context(), "fault/refused", data), havre.NoSpace)
	})

	t.Run("overwriting server is found out", func(t *testing.T) {
		proxy := StartProxy(t, server.Endpoint)
		s := open(t, proxy.URL)
		agree := Agree()
		proxy.Next(agree, agree)
		want(t, blob.Probe(t.Context(), s), havre.Refused)
	})

	t.Run("unreachable", func(t *testing.T) {
		proxy := StartProxy(t, server.Endpoint)
		s := open(t, "http://127.0.0.1:1") // nobody may listen there but root
		testUnavailable(t, s)
		s = open(t, proxy.URL)
		proxy.Always(Hang)
		testUnavailable(t, s)
	})
}

// get reads with a deadline that leaves time for some repetitions.
func get(t testing.TB, s blob.Store, name string, off, n int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	return s.Get(ctx, name, off, n)
}

// testUnavailable expects every operation to fail soon after its deadline.
func testUnavailable(t *testing.T, s blob.Store) {
	t.Helper()
	const patience = 300 * time.Millisecond
	var g errgroup.Group
	for op, f := range map[string]func(context.Context) error{
		"put":    func(ctx context.Context) error { return s.Put(ctx, "away", []byte("x")) },
		"get":    func(ctx context.Context) error { _, err := s.Get(ctx, "away", 0, -1); return err },
		"stat":   func(ctx context.Context) error { _, err := s.Stat(ctx, "away"); return err },
		"delete": func(ctx context.Context) error { return s.Delete(ctx, "away") },
		"list": func(ctx context.Context) error {
			for _, err := range s.List(ctx, "") {
				return err
			}
			return errors.New("an unreachable store lists nothing without an error")
		},
	} {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			begun := time.Now()
			err := f(ctx)
			if havre.KindOf(err) != havre.StoreUnavailable || havre.HintOf(err) == "" {
				t.Errorf("%s: error %v, want kind %s and a hint", op, err, havre.StoreUnavailable)
			}
			if took := time.Since(begun); took > patience+2*time.Second {
				t.Errorf("%s: gave up after %v; the deadline was %v", op, took, patience)
			}
			return nil
		})
	}
	want(t, g.Wait(), "")
}
