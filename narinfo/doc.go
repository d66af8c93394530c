// Package narinfo reads, writes, signs and verifies the descriptions of store
// objects in a Nix binary cache: path, hashes, references, signatures and the
// place of the archive.
//
// # Text
//
// A cache has one small text for each store object, called its narinfo:
//
//	StorePath: /nix/store/a6qzp68m5h3sa7v283h5l0250s2ccj7g-wrapper-1.0
//	URL: nar/11ai0b6gqvki57k4gpsgbsx89abfvly57vfmrpmlphx7knmdvhid.nar.xz
//	Compression: xz
//	FileHash: sha256:11ai0b6gqvki57k4gpsgbsx89abfvly57vfmrpmlphx7knmdvhid
//	FileSize: 348
//	NarHash: sha256:0zqgzrh33asafmjnviil3n40n689hd895bn91vyqy3z9m03yp090
//	NarSize: 1056
//	References: a6qzp68m5h3sa7v283h5l0250s2ccj7g-wrapper-1.0 jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0
//	Deriver: dwrnx9k4q86d1l8c9pw7mv6rwc35l16g-wrapper-1.0.drv
//	Sig: lab-cache-1:KwrhQLuLXwKKlsHUQ35qa3MlKxcl28d1gINpe7kPRHw0z7kvV7PyoRypRo6SVFI6AFmbod0cpmes6IPckDokBA==
//
// [Parse] reads it and [NarInfo.MarshalText] writes it. Parse accepts lines in
// any order, as Nix does, and keeps unknown lines; its comment lists where it is
// stricter than Nix. MarshalText uses Nix's order, and reproduces byte for byte
// what Nix wrote. [PathInfo] is the part that does not depend on how a cache
// stores the archive.
//
// # Trust
//
// A signature covers a fingerprint: the store path, the hash and size of its
// archive, and its references. It does not cover the URL, the compression and
// the file's hash, so a cache may compress an archive again, but cannot change
// its contents. [PathInfo.Sign] signs with any number of [Signer]s, which are
// secret keys or services that hold secret keys. [TrustedKeys.Verify] requires
// one good signature by one trusted key, or a content address from which the
// path recomputes, which needs no key:
//
//	info, err := narinfo.Parse(text)
//	…
//	if err := trusted.Verify(&info.PathInfo); err != nil {
//		return err // names who signed, and who is trusted
//	}
//
// A good signature ties the path to NarHash. The reader of the archive still has
// to compare NarHash with the archive. A content address ties the path to a hash
// of the contents. For a tree that is hashed with SHA-256 and does not mention
// its own path, that hash is NarHash. For any other tree, and for files, texts
// and Git objects, the reader has to compute it.
//
// The formats follow the Nix manual's chapters on binary caches, on store paths,
// and on the JSON of store objects and build traces.
package narinfo
