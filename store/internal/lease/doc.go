// Package lease lets writers of a cache and its garbage collectors see each
// other through nothing but objects of the bucket.
//
// A writer announces by a lease what it will publish or rely on, and only then
// asks what the cache has:
//
//	nixs3/leases/<id>      a writer at work
//	nixs3/collect/state    the collector's lock and phase
//
// A collector says in the state that it sweeps, and only then lists the leases.
// So either the writer sees the sweep and waits for its end, or the collector
// sees the lease and spares what it names. A writer that was asked for paths that
// the cache had already leaves a trace of them in place of its lease.
//
// All expiries are by the server's clock: an object expires its time to live
// after its ModTime. The holder of a lease or of the lock measures the time
// since it sent the last renewal, and stops long before the expiry, because a
// request that was sent before may arrive up to 15 minutes later.
package lease
