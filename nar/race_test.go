//go:build race

package nar_test

// The race detector allocates too.
func init() { garbage = 80 }
