// Package gc collects the garbage of a binary cache in a plain bucket, while
// writers work, and brings back what a run took.
//
// What is reachable from a root stays. Roots are named lists of store paths that
// [SetRoot] keeps in the bucket, paths of [Options], and everything that was
// uploaded recently. [Collect] makes the narinfos of all other paths invisible,
// never one before all paths that refer to it. Their texts go to a journal in
// the bucket before, and their archives stay for a grace period, so that [Undo]
// can bring a whole run back.
//
// There is no server, no database and no lock service. Writers and collectors
// see each other through objects below nixs3/ in the bucket:
//
//	nixs3/roots/<name>           a root
//	nixs3/leases/<id>            a writer at work, see Copy and Add of package store
//	nixs3/collect/state          the lock and the phase of collectors
//	nixs3/collect/runs/<run>/    the journal of a run
//	nixs3/collect/condemned      objects without referrers, and since when they have none
//	nixs3/collect/graph-*        the graph of the cache as last seen
//
// The bucket must show every finished write to all later reads and listings, and
// refuse a conditional write whose condition does not hold; [Collect] tries the
// latter before it relies on it. Times are those of the server's clock.
//
// A writer that does not know this protocol, such as "nix copy", is protected by
// time: what was uploaded within [Options].Recent stays. What it relied on and
// lost is brought back from the journals by the next run. Such a writer leaves no
// trace where it finds everything present. Copy and Add of package store leave
// one: the paths that they were asked for count as uploaded then.
//
// # Scale
//
// A run lists the bucket twice, a thousand keys a request, in parallel where that
// is long, and reads the narinfos that no run has read before. An [Inventory]
// replaces the listing of archives, and [Options].Manifest their deletion. The graph takes
// some 120 bytes a path and 4 a reference. TestScale measures, on 2 cores and
// without a network, a dry run over 10^6 paths: 35 s and 1,001,058 requests when
// nothing is known, 5 s and 1,057 requests after that, with at most 252 MiB where
// the garbage collector of Go runs at 25 percent, as in nixs3. 2·10^6 paths took
// 484 MiB. Computed from these, 10^7 paths are 2.4 GiB, and 10^8 are 24 GiB and
// 10^5 requests for each listing.
package gc
