package warehouse

import (
	"bytes"
	"io"
	"sync"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// FileKeys are the keys of a delivery's segments, sealed to the delivery's key as
// the segments are: whoever has that key opens it once, not once a segment.
type FileKeys struct {
	Delivery havre.DeliveryID `json:"delivery"`
	Sealed   []byte           `json:"sealed"` // an age file: seal.FileKeySize bytes a segment, in the manifest's order
}

// fileKeys opens the segments of a delivery. Safe for concurrent use.
type fileKeys struct {
	sealed  []byte
	objects []string // the delivery's segments, in the manifest's order

	once sync.Once
	of   map[string]seal.FileKey // by object, once opened
	err  error
}

// opened are file keys that are known already.
func opened(keys map[string]seal.FileKey) *fileKeys {
	f := &fileKeys{of: keys}
	f.once.Do(func() {})
	return f
}

func (f *fileKeys) open(with []*seal.Key) {
	plain, err := seal.Open(f.sealed, with...)
	if err != nil {
		f.err = havre.E("warehouse.open", havre.KindOf(err), "the keys of a delivery's segments could not be opened").Wrap(err)
		return
	}
	if len(plain) != len(f.objects)*seal.FileKeySize {
		f.err = havre.E("warehouse.open", havre.Tampered, "there are not as many keys as segments of a delivery")
		return
	}
	f.of = make(map[string]seal.FileKey, len(f.objects))
	for i, object := range f.objects {
		f.of[object] = seal.NewFileKey(havre.NewSecret(plain[i*seal.FileKeySize : (i+1)*seal.FileKeySize]))
	}
}

// fileKeysOf gives the file keys of a manifest's deliveries. They are not opened.
func fileKeysOf(m *Manifest) map[havre.DeliveryID]*fileKeys {
	of := make(map[havre.DeliveryID]*fileKeys, len(m.Keys))
	for _, k := range m.Keys {
		of[k.Delivery] = &fileKeys{sealed: k.Sealed}
	}
	for _, e := range m.Segments {
		if f := of[e.Delivery]; f != nil {
			f.objects = append(f.objects, e.Object)
		}
	}
	return of
}

// fileKey gives the key of a segment, while there is the key of its delivery.
func (w *Warehouse) fileKey(e Segment, f *fileKeys) (seal.FileKey, error) {
	with, err := w.c.Keys.opens(e.Delivery)
	if err != nil {
		return seal.FileKey{}, err
	}
	if f != nil {
		f.once.Do(func() { f.open(with) })
		if f.err != nil {
			return seal.FileKey{}, f.err
		}
		if k, ok := f.of[e.Object]; ok {
			return k, nil
		}
	}
	return seal.FileKey{}, (&source{entry: e}).damaged("the snapshot has no key of it", nil)
}

// opener opens a sealed object for random access, as seal.FileKey.OpenAt does.
type opener func(src io.ReaderAt, size int64) (io.ReaderAt, int64, error)

// opener gives what opens a segment.
func (s *Snapshot) opener(e Segment) opener {
	return func(src io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
		k, err := s.w.fileKey(e, s.keys[e.Delivery])
		if err != nil {
			return nil, 0, err
		}
		return k.OpenAt(src, size)
	}
}

// sealKeys adds to the next manifest, whose lists are in order, the file keys of
// the deliveries that came in this batch.
func (b *Batch) sealKeys() error {
	known := map[havre.DeliveryID]bool{}
	for _, k := range b.next.Keys {
		known[k.Delivery] = true
	}
	plain := map[havre.DeliveryID]*bytes.Buffer{}
	for _, e := range b.next.Segments {
		if known[e.Delivery] {
			continue
		}
		if plain[e.Delivery] == nil {
			plain[e.Delivery] = new(bytes.Buffer)
		}
		plain[e.Delivery].Write(b.keys[e.Object].Secret().Reveal())
	}
	for _, d := range b.next.Deliveries {
		keys := plain[d.Delivery]
		if keys == nil {
			continue
		}
		to, err := b.w.c.Keys.seals(d.Delivery)
		if err != nil {
			return err
		}
		sealed, err := seal.Seal(keys.Bytes(), to...)
		if err != nil {
			return err
		}
		b.next.Keys = append(b.next.Keys, FileKeys{d.Delivery, sealed})
	}
	return nil
}
