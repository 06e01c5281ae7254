package deliver

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"sync"
)

// tid is a transport id, 128 random bits; its text is 32 lower-case hex digits.
type tid [16]byte

func newTID() (t tid) {
	_, _ = rand.Read(t[:]) // crypto/rand never fails since Go 1.24
	return t
}

func (t tid) append(b []byte) []byte { return hex.AppendEncode(b, t[:]) }

// people gives each person of the delivery a fresh tid, for as long as the
// delivery is being made: nothing of it is ever stored. Ids that are 64-bit
// numbers cost some 60 bytes a person.
type people struct {
	numbers map[int64]int32
	texts   map[string]int32
	tids    []tid
	own     []ownNames // by person; empty without an identity file

	mu        sync.Mutex
	strangers map[string]tid // ids that no person has, null among them
}

// ownNames are the person's birth name and used name in the guard's index.
type ownNames [2]nameID

func newPeople() *people {
	return &people{numbers: map[int64]int32{}, texts: map[string]int32{}, strangers: map[string]tid{}}
}

// add gives the person's index, and whether the person is new. Not to be
// called once find is in use.
func (p *people) add(id []byte) (index int32, fresh bool) {
	if index, ok := p.find(id); ok {
		return index, false
	}
	index = int32(len(p.tids))
	p.tids = append(p.tids, newTID())
	if n, ok := number(id); ok {
		p.numbers[n] = index
	} else {
		p.texts[string(id)] = index
	}
	return index, true
}

// find gives the person's index. Safe for concurrent use.
func (p *people) find(id []byte) (int32, bool) {
	if n, ok := number(id); ok {
		i, ok := p.numbers[n]
		return i, ok
	}
	i, ok := p.texts[string(id)]
	return i, ok
}

// ownNames gives the names of a person by index.
func (p *people) names(index int32) ownNames {
	if int(index) < len(p.own) {
		return p.own[index]
	}
	return ownNames{}
}

// stranger gives the tid of an id that belongs to no person, the same for each
// of its rows, so that the hub can count and keep them. Safe for concurrent use.
func (p *people) stranger(id []byte) tid {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.strangers[string(id)]
	if !ok {
		t = newTID()
		p.strangers[string(id)] = t
	}
	return t
}

// number reads an id that is a 64-bit number in its one decimal spelling.
func number(id []byte) (int64, bool) {
	if len(id) == 0 || len(id) > 20 {
		return 0, false
	}
	digits := id
	if id[0] == '-' {
		digits = id[1:]
	}
	if len(digits) == 0 || (digits[0] == '0' && len(id) > 1) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(id), 10, 64)
	return n, err == nil
}
