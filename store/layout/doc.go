// Package layout says which object of a binary cache has which key, content
// type, content encoding and bound, in both directions: from what an object
// holds to its key, and from a key to the kind of object.
//
//	nix-cache-info                                  CacheInfo
//	<hash part>.narinfo                             NarInfo
//	<hash part>.ls                                  Listing
//	nar/<file hash>.nar[.<extension>]               Archive
//	nar/<file hash>.idx                             Index
//	log/<derivation>                                Log
//	debuginfo/<build ID>[.debug]                    DebugInfo
//	realisations/<derivation hash>!<output>.doi     Realisation, until Nix 2.34, and Lix
//	build-trace-v2/<derivation>/<output>.doi        Realisation, since Nix 2.35
//	nixs3/…                                         Control: what nixs3 keeps for itself
//
// Nix's manual describes all but the kinds Index and Control ("Binary Cache",
// "Store Object"). The functions are pure and safe for concurrent use.
package layout
