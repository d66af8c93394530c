// Package nixhash reads and writes the digests of Nix in all their text forms.
//
// A digest has four forms. After its algorithm and a colon, it may be in base16,
// in nix32 or in base64, which differ in length:
//
//	sha256:0000000000000000000000000000000000000000000000000000 (nix32)
//
// In the SRI form of the World Wide Web Consortium, it follows a hyphen, always
// in base64:
//
//	sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
//
// [Parse] reads all of them. [Hash.String] returns the form of narinfos, with
// nix32, which is Nix's own base 32: see [EncodeNix32].
package nixhash
