//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package nar

import "os"

// setLinkTime does nothing: links have no times of their own here, or none
// that can be set.
func setLinkTime(*os.Root, string) error { return nil }
