package codec_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"strings"

	"example.com/nixs3/store/codec"
)

func Example() {
	var compressed bytes.Buffer
	w, err := codec.NewWriter("zstd", &compressed, codec.WriterOptions{Level: 3, Parallel: true})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(w, strings.NewReader("the contents of a NAR")); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	r, err := codec.NewReader("zstd", &compressed, codec.ReaderOptions{MaxSize: 1000})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", data)
	// Output: the contents of a NAR
}

// A narinfo may name another compression than its NAR has.
func ExampleNewReaderDetect() {
	var compressed bytes.Buffer
	w, err := codec.NewWriter("gzip", &compressed, codec.WriterOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(w, "the contents of a NAR")
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	r, name, err := codec.NewReaderDetect("xz", &compressed, codec.ReaderOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	fmt.Printf("%s: %s (%v)\n", name, data, err)
	// Output: gzip: the contents of a NAR (<nil>)
}

func ExampleLookup() {
	_, err := codec.Lookup("brotli")
	fmt.Println(strings.Split(err.Error(), " (known")[0])
	// Output:
	// unknown compression "brotli"; did you mean "br"?
}
