package storepath_test

import (
	"fmt"
	"os"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

func ExampleDir_Parse() {
	path, err := storepath.Default.Parse("/nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0")
	if err != nil {
		panic(err)
	}
	fmt.Println(path)
	fmt.Println(path.HashPart() + ".narinfo")
	fmt.Println(path.Name())
	// Output:
	// jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0
	// jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.narinfo
	// hello-1.0
}

// Compute the path that "nix store add-path" gives a tree from its name and the
// hash of its NAR.
func ExampleDir_FromContentAddress() {
	narHash, err := nixhash.Parse("sha256-0Fwsqs+5lTQFIYVdVevJhqVqUSsZmRog1+E1Bp33bAc=")
	if err != nil {
		panic(err)
	}
	ca := storepath.ContentAddress{Method: storepath.MethodNAR, Hash: narHash}
	path, err := storepath.Default.FromContentAddress("added-tree", ca, storepath.References{})
	if err != nil {
		panic(err)
	}
	fmt.Println(storepath.Default.Join(path))
	fmt.Println(ca)
	// Output:
	// /nix/store/nh2l6875qwinqq4q9wwygw332b82bxd1-added-tree
	// fixed:r:sha256:01vcyyfhcdg1swh1m68r5d8nm9c6r7mmapc5442k95drrym2qp6h
}

func ExampleScanner() {
	hello, err := storepath.ParseBase("jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0")
	if err != nil {
		panic(err)
	}
	scanner := storepath.NewScanner([]storepath.Path{hello})
	fmt.Fprintln(scanner, "#!/bin/sh")
	fmt.Fprintln(scanner, "exec /nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0/bin/hello")
	for _, path := range scanner.Found() {
		fmt.Fprintln(os.Stdout, path)
	}
	// Output: jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0
}
