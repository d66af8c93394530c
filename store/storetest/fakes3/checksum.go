package fakes3

import (
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
)

const checksumPrefix = "X-Amz-Checksum-"

// crc64NVME is the polynomial that S3 calls CRC64NVME.
var crc64NVME = crc64.MakeTable(0x9a6c9329ac4bc9b5)

// checksums are those that S3 knows, by the end of their header.
var checksums = map[string]func() hash.Hash{
	"Crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"Crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"Crc64nvme": func() hash.Hash { return crc64.New(crc64NVME) },
	"Sha1":      sha1.New,
	"Sha256":    sha256.New,
}

// dropChecksums takes the checksums out of an answer whose request did not ask
// for them, or which has only a part of what they are of.
func dropChecksums(h http.Header, r *http.Request, status int) {
	if status == http.StatusOK && strings.EqualFold(r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		return
	}
	for name := range h {
		if strings.HasPrefix(name, checksumPrefix) {
			delete(h, name)
		}
	}
}
