// Package verify makes a binary cache trustworthy again after a bad disk, a
// broken uploader or a leaked key.
//
//   - [Check] compares what a cache holds with what it claims, as deep as asked.
//   - [Repair] mends what Check found, from other caches and local stores.
//   - [Sign] adds signatures and drops those of retired keys, without losing a
//     signature of another writer.
//   - [Mirror] keeps one cache equal to another.
//
// Every finding has a [Kind] that says at which [Depth] it shows and what mends
// it. What could not be examined is an [*UncheckedError], never a finding, so
// that a server that is down does not pass for a cache that is broken.
package verify
