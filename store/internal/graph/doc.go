// Package graph works on closures: it reads one from wherever paths are
// described ([Walk]), and brings its paths into the order of their references
// ([Links]). It knows nothing of caches, so that whatever copies, checks or
// collects paths can use it.
//
// Descriptions come from outside. [Limits] bound what a walk may grow to, and
// nothing here recurses over them.
package graph
