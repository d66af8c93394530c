package nixhash_test

import (
	"fmt"
	"io"
	"strings"

	"example.com/nixs3/narinfo/nixhash"
)

func ExampleParse() {
	h, err := nixhash.Parse("sha256-bwZkOHebrhgP/JHNyJI9gmaq25uECeRU45jm4SuSfy0=")
	if err != nil {
		panic(err)
	}
	fmt.Println(h)
	fmt.Println(h.Base16())
	// Output:
	// sha256:0bbzj8my3rlqwdaf82c4kgdslrl27n9cikcizh7iiblvfww681kg
	// 6f066438779bae180ffc91cdc8923d8266aadb9b8409e454e398e6e12b927f2d
}

func ExampleNew() {
	hasher := nixhash.New(nixhash.SHA256)
	if _, err := io.Copy(hasher, strings.NewReader("nixs3")); err != nil {
		panic(err)
	}
	fmt.Println(hasher.Digest().SRI())
	// Output: sha256-bwZkOHebrhgP/JHNyJI9gmaq25uECeRU45jm4SuSfy0=
}
