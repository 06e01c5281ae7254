package demo

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/havre-hub/havre/internal/havre"
)

// register tells under which person the keeper filed a holder's record.
type register func(holder havre.HolderID, source string) (int64, bool)

// score compares the keeper's persons with the truth, over pairs of records:
// precision is the share of linked pairs that are truly one person, recall the
// share of true pairs that were linked.
func score(persons string, filed register) (*Linkage, error) {
	f, err := os.Open(persons)
	if err != nil {
		return nil, havre.E("demo.truth", havre.NotFound, "the truth about persons cannot be read").Wrap(err)
	}
	defer f.Close()
	type pair struct {
		truth string
		filed int64
	}
	byTruth, byFiled, both := map[string]int64{}, map[int64]int64{}, map[pair]int64{}
	r := csv.NewReader(f)
	r.ReuseRecord = true
	if _, err := r.Read(); err != nil {
		return nil, havre.E("demo.truth", havre.Invalid, "the truth about persons is empty").Wrap(err)
	}
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(rec) != 3 {
			return nil, havre.E("demo.truth", havre.Invalid, "the truth about persons is damaged").Wrap(err)
		}
		n, ok := filed(havre.HolderID(rec[1]), rec[2])
		if !ok {
			return nil, havre.E("demo.truth", havre.Internal, "a delivered record of "+rec[1]+" is in no register")
		}
		truth := string([]byte(rec[0])) // rec is reused
		byTruth[truth]++
		byFiled[n]++
		both[pair{truth, n}]++
	}
	linked, right, all := pairs(byFiled), pairs(both), pairs(byTruth)
	if linked == 0 || all == 0 {
		return nil, havre.E("demo.truth", havre.Internal, "there are no pairs of records to compare")
	}
	return &Linkage{Precision: float64(right) / float64(linked), Recall: float64(right) / float64(all)}, nil
}

func pairs[K comparable](sizes map[K]int64) (n int64) {
	for _, s := range sizes {
		n += s * (s - 1) / 2
	}
	return n
}

// trueEffect reads the built-in rate ratio.
func trueEffect(truth string) (float64, error) {
	b, err := os.ReadFile(filepath.Join(truth, "truth.json"))
	if err != nil {
		return 0, havre.E("demo.truth", havre.NotFound, "the truth cannot be read").Wrap(err)
	}
	var t struct {
		Effect struct {
			HazardRatio float64 `json:"hazard_ratio"`
		} `json:"effect"`
	}
	if err := json.Unmarshal(b, &t); err != nil || t.Effect.HazardRatio <= 0 {
		return 0, havre.E("demo.truth", havre.Invalid, "the truth names no effect").Wrap(err)
	}
	return t.Effect.HazardRatio, nil
}
