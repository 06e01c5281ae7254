package worker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// recorder passes questions to the hub's vocabulary and keeps the answers.
type recorder struct {
	v  omop.Vocabulary
	mu sync.Mutex
	words
}

func newRecorder(v omop.Vocabulary) *recorder {
	return &recorder{v: v, words: words{Lists: map[string][]int64{}, Concepts: map[string][]omop.Concept{}}}
}

// question names a call of a vocabulary.
func question(method string, ids []int64) string {
	h := sha256.New()
	for _, id := range ids {
		_ = binary.Write(h, binary.BigEndian, id) // a hash never fails
	}
	return method + " " + hex.EncodeToString(h.Sum(nil)[:16])
}

func (r *recorder) Descendants(ctx context.Context, ids []int64) ([]int64, error) {
	q := question("descendants", ids)
	out, err := r.v.Descendants(ctx, ids)
	return keep(r, r.Lists, q, out, err)
}

func (r *recorder) Mapped(ctx context.Context, ids []int64) ([]int64, error) {
	q := question("mapped", ids)
	out, err := r.v.Mapped(ctx, ids)
	return keep(r, r.Lists, q, out, err)
}

func (r *recorder) Concepts(ctx context.Context, ids []int64) ([]omop.Concept, error) {
	q := question("concepts", ids)
	out, err := r.v.Concepts(ctx, ids)
	return keep(r, r.words.Concepts, q, out, err)
}

func keep[T any](r *recorder, in map[string][]T, q string, out []T, err error) ([]T, error) {
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		in[q] = out
	}
	return out, err
}

// replay answers from what was recorded.
type replay struct{ words }

var _ omop.Vocabulary = replay{}

func (r replay) Descendants(_ context.Context, ids []int64) ([]int64, error) {
	return answer(r.Lists, question("descendants", ids))
}

func (r replay) Mapped(_ context.Context, ids []int64) ([]int64, error) {
	return answer(r.Lists, question("mapped", ids))
}

func (r replay) Concepts(_ context.Context, ids []int64) ([]omop.Concept, error) {
	return answer(r.words.Concepts, question("concepts", ids))
}

func answer[T any](from map[string][]T, q string) ([]T, error) {
	out, ok := from[q]
	if !ok {
		return nil, havre.E("worker.vocabulary", havre.Internal, "the study asks the vocabulary what it did not ask at the hub: "+q).
			WithHint("report it: a plan holds every answer that a study needs")
	}
	return out, nil
}
