package study

import "bytes"

// Stamped gives an encoded partial result of a bucket as that of another one,
// so that many can be had without mapping many.
func (m *Mapper) Stamped(partial []byte, bucket int) []byte {
	_, list, _ := bytes.Cut(partial, []byte(`,"partials":[`))
	return m.join(bucket, split(bytes.TrimSuffix(list, []byte("]}"))))
}
