package nar_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing/fstest"

	"example.com/nixs3/nar"
)

// Dump a tree into a hash and a file at once, and restore it elsewhere.
func Example() {
	dir, err := os.MkdirTemp("", "nar-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "target")
	if err := os.WriteFile(source, []byte("hello, world\n"), 0o644); err != nil {
		log.Fatal(err)
	}

	var archive bytes.Buffer
	hash := sha256.New()
	if err := nar.Dump(io.MultiWriter(&archive, hash), source); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("NAR of %d bytes, sha256 %x\n", archive.Len(), hash.Sum(nil))

	if err := nar.Restore(&archive, target); err != nil {
		log.Fatal(err)
	}
	contents, err := os.ReadFile(target)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", contents)
	// Output:
	// NAR of 128 bytes, sha256 e1fc03261627558a72a1114b25c5008a2e95815baa8e411af67a88642514ca5b
	// hello, world
}

// exampleNAR is the NAR of a small tree.
func exampleNAR() []byte {
	var archive bytes.Buffer
	err := nar.DumpFS(&archive, fstest.MapFS{
		"bin/hello": {Data: []byte("#!/bin/sh\necho hello\n"), Mode: 0o755},
		"README":    {Data: []byte("Read me.\n"), Mode: 0o644},
		"doc":       {Data: []byte("README"), Mode: fs.ModeSymlink},
	}, ".")
	if err != nil {
		log.Fatal(err)
	}
	return archive.Bytes()
}

func ExampleReader() {
	r := nar.NewReader(bytes.NewReader(exampleNAR()))
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q %v\n", h.Path, h.Type)
		if h.Path == "README" {
			if _, err := io.Copy(os.Stdout, r); err != nil {
				log.Fatal(err)
			}
		}
	}
	// Output:
	// "" directory
	// "README" regular
	// Read me.
	// "bin" directory
	// "bin/hello" regular
	// "doc" symlink
}

func ExampleWriter() {
	var archive bytes.Buffer
	w := nar.NewWriter(&archive)
	contents := "hello"
	for _, h := range []*nar.Header{
		{Path: "", Type: nar.TypeDirectory},
		{Path: "file", Type: nar.TypeRegular, Size: int64(len(contents))},
	} {
		if err := w.WriteHeader(h); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, contents); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(archive.Len(), "bytes")
	// Output: 288 bytes
}

func ExampleListingWriter() {
	// The listing is made while the bytes go elsewhere.
	w := nar.NewListingWriter()
	if _, err := io.Copy(io.Discard, io.TeeReader(bytes.NewReader(exampleNAR()), w)); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	data, err := json.Marshal(w.Listing())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", data)
	// Output: {"version":1,"root":{"type":"directory","entries":{"README":{"type":"regular","size":9,"narOffset":232},"bin":{"type":"directory","entries":{"hello":{"type":"regular","size":21,"executable":true,"narOffset":600}}},"doc":{"type":"symlink","target":"README"}}}}
}

func ExampleValidator() {
	v := nar.NewValidator(func(h *nar.Header) error {
		if h.Executable {
			return fmt.Errorf("%s must not be executable", h.Path)
		}
		return nil
	})
	_, err := v.Write(exampleNAR())
	fmt.Println(err)

	v = nar.NewValidator(nil)
	_, err = io.Copy(v, strings.NewReader("this is no NAR"))
	fmt.Println(err)
	// Output:
	// bin/hello must not be executable
	// nar: offset 0: expected "nix-archive-1", got a string of 2338328219631577204 bytes
}

func ExampleFS() {
	archive := bytes.NewReader(exampleNAR())
	listing, err := nar.List(archive)
	if err != nil {
		log.Fatal(err)
	}
	data, err := fs.ReadFile(nar.NewFS(archive, listing), "doc") // follows the link
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", data)
	// Output: Read me.
}
