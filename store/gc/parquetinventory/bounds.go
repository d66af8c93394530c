package parquetinventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"example.com/nixs3/store/codec"
)

// The bounds of what the library is given. It allocates what a file claims.
const (
	footerLimit   = 16 << 20 // bytes
	headerLimit   = 64 << 10 // bytes of a page's header
	pageLimit     = 64 << 20 // bytes of a page, compressed and not
	valuesLimit   = 8 << 20  // values of a page
	elementsLimit = 1 << 17  // elements of all lists in a footer
)

var errBounds = errors.New("exceeds the bounds of this reader")

// bounded is a file of which nothing is read beyond its end.
type bounded struct {
	io.ReaderAt
	size int64
}

// bytes reads a part of the file.
func (b bounded) bytes(offset, length int64) ([]byte, error) {
	if offset < 0 || length < 0 || offset > b.size || length > b.size-offset {
		return nil, fmt.Errorf("%w: %d bytes at %d of %d", errBounds, length, offset, b.size)
	}
	data := make([]byte, length)
	if n, err := b.ReadAt(data, offset); n < len(data) {
		return nil, err
	}
	return data, nil
}

// checkFooter checks the description of a file.
func (b bounded) checkFooter() error {
	const tail = 8 // the length of the footer, and a magic number
	end, err := b.bytes(b.size-tail, tail)
	if err != nil {
		return fmt.Errorf("not a Parquet file: %w", err)
	}
	length := int64(binary.LittleEndian.Uint32(end))
	if string(end[4:]) != "PAR1" || length > footerLimit {
		return fmt.Errorf("expected the end of a Parquet file with a footer of at most %d bytes, got %q", footerLimit, end)
	}
	footer, err := b.bytes(b.size-tail-length, length)
	if err != nil {
		return err
	}
	if _, err := structLength(footer, elementsLimit); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	return nil
}

// checkChunk checks the pages of a column in a row group. nullable says that its
// values may be missing.
func (b bounded) checkChunk(meta *format.ColumnMetaData, nullable bool) error {
	at := meta.DataPageOffset
	if meta.DictionaryPageOffset != 0 {
		at = meta.DictionaryPageOffset
	}
	if at < 0 || meta.TotalCompressedSize < 0 || at > b.size || meta.TotalCompressedSize > b.size-at {
		return fmt.Errorf("%w: %d bytes at %d of %d", errBounds, meta.TotalCompressedSize, at, b.size)
	}
	for end := at + meta.TotalCompressedSize; at < end; {
		data, err := b.bytes(at, min(headerLimit, end-at))
		if err != nil {
			return err
		}
		n, err := structLength(data, elementsLimit)
		if err != nil {
			return fmt.Errorf("page header at %d: %w", at, err)
		}
		var h format.PageHeader
		var protocol thrift.CompactProtocol
		if err := thrift.NewDecoder(protocol.NewReaderFromBytes(data[:n])).Decode(&h); err != nil {
			return fmt.Errorf("page header at %d: %w", at, err)
		}
		if err := checkHeader(&h); err != nil {
			return fmt.Errorf("page at %d: %w", at, err)
		}
		page, err := b.bytes(at+int64(n), int64(h.CompressedPageSize))
		if err == nil {
			err = checkPage(&h, meta.Codec, nullable, page)
		}
		if err != nil {
			return fmt.Errorf("page at %d: %w", at, err)
		}
		at += int64(n) + int64(h.CompressedPageSize)
	}
	return nil
}

func checkHeader(h *format.PageHeader) error {
	values := max(h.DataPageHeader.V.NumValues, h.DataPageHeaderV2.V.NumValues, h.DictionaryPageHeader.V.NumValues)
	if h.CompressedPageSize < 0 || h.CompressedPageSize > pageLimit || h.UncompressedPageSize < 0 || h.UncompressedPageSize > pageLimit || values > valuesLimit {
		return fmt.Errorf("%w: %d bytes, %d uncompressed, %d values; at most %d and %d", errBounds,
			h.CompressedPageSize, h.UncompressedPageSize, values, pageLimit, valuesLimit)
	}
	return nil
}

// checkPage checks what a page has in it.
func checkPage(h *format.PageHeader, by format.CompressionCodec, nullable bool, page []byte) (err error) {
	switch h.Type {
	case format.DictionaryPage:
		_, err = decompressed(page, by)
		return err
	case format.DataPage:
		if page, err = decompressed(page, by); err != nil {
			return err
		}
		return checkV1(&h.DataPageHeader.V, page, nullable)
	case format.DataPageV2:
		v2 := &h.DataPageHeaderV2.V
		levels := int64(v2.RepetitionLevelsByteLength) + int64(v2.DefinitionLevelsByteLength)
		if v2.RepetitionLevelsByteLength != 0 || levels < 0 || levels > int64(len(page)) {
			return fmt.Errorf("%w: %d bytes of levels in a page of %d", errBounds, levels, len(page))
		}
		if err := checkRuns(page[:levels], 1); err != nil {
			return err
		}
		page = page[levels:]
		if !v2.IsCompressed.Valid || v2.IsCompressed.V {
			if page, err = decompressed(page, by); err != nil {
				return err
			}
		}
		return checkValues(v2.Encoding, page)
	}
	return fmt.Errorf("expected a page of data or a dictionary, got %v", h.Type)
}

// checkV1 checks a page in which the levels of a column that may be null come
// before the values, after their length.
func checkV1(h *format.DataPageHeader, page []byte, nullable bool) error {
	if nullable {
		if h.DefinitionLevelEncoding != format.RLE || len(page) < 4 {
			return fmt.Errorf("%w: levels of the encoding %v", errBounds, h.DefinitionLevelEncoding)
		}
		n := int64(binary.LittleEndian.Uint32(page))
		if page = page[4:]; n > int64(len(page)) {
			return fmt.Errorf("%w: %d bytes of levels in a page of %d", errBounds, n, len(page))
		}
		if err := checkRuns(page[:n], 1); err != nil {
			return err
		}
		page = page[n:]
	}
	return checkValues(h.Encoding, page)
}

// decompressed decompresses a page of at most pageLimit bytes.
func decompressed(page []byte, by format.CompressionCodec) ([]byte, error) {
	name := ""
	switch by {
	case format.Uncompressed:
		return page, nil
	case format.Snappy:
		if n, err := snappy.DecodedLen(page); err == nil && n > pageLimit {
			return nil, fmt.Errorf("%w: a page of %d bytes", errBounds, n)
		}
		return snappy.Decode(nil, page)
	case format.Gzip:
		name = "gzip"
	case format.Zstd:
		name = "zstd"
	default:
		return nil, fmt.Errorf("expected a compression of none, snappy, gzip or zstd, got %v", by)
	}
	r, err := codec.NewReader(name, bytes.NewReader(page), codec.ReaderOptions{MaxSize: pageLimit})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
