// Package serve answers HTTP requests for a binary cache, as an [http.Handler].
//
// A [Server] puts a cache of any kind, such as a private S3 bucket, behind one
// URL that every Nix and Lix reads. It answers GET and HEAD for the objects that
// package layout knows, and PUT where pushing is allowed. Every other key is
// 404.
//
// A client of Nix remembers a 404 for an hour. So a storage that fails is 503
// with Retry-After, never 404.
package serve
