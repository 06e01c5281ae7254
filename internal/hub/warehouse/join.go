package warehouse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// joiner makes one Parquet file of several of one schema, without decoding what
// is in them: row groups follow each other, and a new footer says where. An
// engine opens one such file faster than a hundred.
type joiner struct {
	to   io.Writer
	size int64
	meta *metadata.FileMetaData // nil: nothing was added yet
}

var parquetMagic = []byte("PAR1")

// add appends the row groups of a file; false if it does not fit the others, and
// then nothing is written.
func (j *joiner) add(data []byte) (fits bool, err error) {
	defer gaveUp(&err)
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		return false, err
	}
	meta := r.MetaData()
	if j.meta != nil && !j.meta.Schema.Equals(meta.Schema) {
		return false, nil
	}
	if j.meta == nil {
		if err := j.write(parquetMagic); err != nil {
			return false, err
		}
	}
	body := data[len(parquetMagic) : len(data)-meta.Size()-8]
	moved := j.size - int64(len(parquetMagic))
	for _, group := range meta.RowGroups {
		move(group.FileOffset, moved)
		group.Ordinal = nil
		for _, c := range group.Columns {
			if c.MetaData == nil {
				return false, errors.New("a column chunk has no description")
			}
			c.FileOffset += moved
			c.MetaData.DataPageOffset += moved
			move(c.MetaData.DictionaryPageOffset, moved)
			move(c.MetaData.IndexPageOffset, moved)
			move(c.MetaData.BloomFilterOffset, moved)
			c.OffsetIndexOffset, c.OffsetIndexLength, c.ColumnIndexOffset, c.ColumnIndexLength = nil, nil, nil, nil
		}
	}
	if j.meta == nil {
		j.meta = meta
	} else if err := j.meta.AppendRowGroups(meta); err != nil {
		return false, err
	}
	return true, j.write(body)
}

func move(offset *int64, by int64) {
	if offset != nil {
		*offset += by
	}
}

// close writes the footer.
func (j *joiner) close() error {
	var footer bytes.Buffer
	n, err := j.meta.WriteTo(&footer, nil)
	if err != nil {
		return err
	}
	footer.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	footer.Write(parquetMagic)
	return j.write(footer.Bytes())
}

func (j *joiner) write(b []byte) error {
	n, err := j.to.Write(b)
	j.size += int64(n)
	return err
}
