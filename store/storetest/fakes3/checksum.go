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

// checksums are the checksums of S3, by the end of their header.
var checksums = map[string]func() hash.Hash{
	"Crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"Crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"Crc64nvme": func() hash.Hash { return crc64.New(crc64NVME) },
	"Sha1":      sha1.New,
	"Sha256":    sha256.New,
}

// dropChecksums removes the checksums from an answer if the request did not ask
// for them, or if the answer has only a part of the object.
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
