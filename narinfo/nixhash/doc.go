// Package nixhash holds the digests that Nix names things by, and the texts it
// writes them in.
//
// One digest has four texts. With its algorithm in front, separated by a
// colon, it may be in base16, in nix32 or in base64, told apart by length:
//
//	sha256:0000000000000000000000000000000000000000000000000000 (nix32)
//
// and in the SRI form of the World Wide Web Consortium, with a hyphen, always
// in base64:
//
//	sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
//
// [Parse] reads all of them; a [Hash] prints itself as Nix writes narinfos,
// with nix32. nix32 is Nix's own base 32: see [EncodeNix32].
package nixhash
