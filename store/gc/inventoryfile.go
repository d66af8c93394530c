package gc

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"iter"
	"strings"

	"example.com/nixs3/store/blob"
)

// inventoryFile is a file as the manifest names it.
type inventoryFile struct {
	Key  string `json:"key"`
	Size int64  `json:"size"`        // 0 where the manifest does not tell
	MD5  string `json:"MD5checksum"` // in hexadecimal, empty where the manifest does not tell
}

// read yields the objects of the file.
func (f inventoryFile) read(ctx context.Context, inv *Inventory) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		obj, err := inv.b.Get(ctx, f.Key, blob.GetOptions{})
		if err != nil {
			yield(blob.Attrs{}, err)
			return
		}
		defer obj.Body.Close()
		body := &verifiedFile{r: obj.Body, file: f, md5: md5.New()}
		for attrs, err := range inv.format(ctx, body, inv.schema) {
			if err == nil {
				err = checkRow(attrs)
			}
			if !yield(attrs, err) || err != nil {
				return
			}
		}
		// What a format has left over belongs to the digest too.
		if _, err := io.Copy(io.Discard, body); err != nil {
			yield(blob.Attrs{}, err)
		}
	}
}

// verifiedFile is a file that does not end with io.EOF unless it is the one that
// the manifest names.
type verifiedFile struct {
	r    io.Reader
	file inventoryFile
	md5  hash.Hash
	size int64
}

func (v *verifiedFile) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.md5.Write(p[:n])
	v.size += int64(n)
	if err != io.EOF {
		return n, err
	}
	if v.file.Size > 0 && v.size != v.file.Size {
		return n, fmt.Errorf("%w: expected %d bytes, got %d", errInventory, v.file.Size, v.size)
	}
	if got := hex.EncodeToString(v.md5.Sum(nil)); v.file.MD5 != "" && !strings.EqualFold(got, v.file.MD5) {
		return n, fmt.Errorf("%w: expected the MD5 %.64s, got %s", errInventory, v.file.MD5, got)
	}
	return n, io.EOF
}
