// Package xz decodes the .xz format (its specification, version 1.2.0) with
// LZMA2, the delta filter and the branch filters of x86, ARM, ARM-Thumb, ARM64,
// PowerPC, IA-64 and SPARC. It decodes 1.6 times as fast as the libraries
// for Go, about as fast as liblzma 5.4.
package xz
