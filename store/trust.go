package store

import (
	"context"
	"runtime"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// Trust fails with ErrUntrusted unless the archive of the path may be read, by
// the trusted keys in the settings. strict reports whether only the path's
// content address vouches for it, which then has to hold in its strict form.
func (c *Cache) Trust(info *narinfo.PathInfo) (strict bool, err error) {
	return c.requiresStrict(info), c.trust(info)
}

func (c *Cache) trust(info *narinfo.PathInfo) error {
	if len(c.settings.TrustedKeys) == 0 || c.settings.Trusted {
		return nil
	}
	return checkTrust(c.settings.TrustedKeys, info)
}

// checks limits the checks of signatures to as many at a time as there are
// processors. Few are then under way when the context ends.
type checks chan struct{}

func newChecks() checks { return make(checks, runtime.GOMAXPROCS(0)) }

// do returns what check returns, or the cause of the end of the context.
func (c checks) do(ctx context.Context, check func() error) error {
	select {
	case c <- struct{}{}:
		defer func() { <-c }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // also when both were ready
		return context.Cause(ctx)
	}
	return check()
}

// requiresStrict reports whether the path's content address must hold in the
// strict form.
func (c *Cache) requiresStrict(info *narinfo.PathInfo) bool {
	return !c.settings.Trusted && requiresStrict(c.settings.TrustedKeys, info)
}

// contentSum returns the verifier of a path's content address, used while its
// archive is read.
func (c *Cache) contentSum(info *narinfo.PathInfo) *contentSum {
	return newContentSum(info, c.requiresStrict(info))
}

// checkTrust fails with ErrUntrusted unless one of the keys has signed the path
// or its content address vouches for it. The contents are compared with the
// content address when they are read. A Git address does not vouch for them,
// since this library does not compute such hashes.
func checkTrust(keys narinfo.TrustedKeys, info *narinfo.PathInfo) error {
	if info.CA.Method == storepath.MethodGit {
		info = withoutAddress(info)
	}
	return keys.Verify(info)
}

// signedBy reports whether one of the keys has signed the path.
func signedBy(keys narinfo.TrustedKeys, info *narinfo.PathInfo) bool {
	return keys.Verify(withoutAddress(info)) == nil
}

func withoutAddress(info *narinfo.PathInfo) *narinfo.PathInfo {
	info = info.Clone()
	info.CA = storepath.ContentAddress{}
	return info
}

// requiresStrict reports whether keys are set and none of them has signed the
// path. Its content address then has to hold in the strict form; see
// AddOptions.StrictContentAddress.
func requiresStrict(keys narinfo.TrustedKeys, info *narinfo.PathInfo) bool {
	return refersToItself(info) && len(keys) > 0 && !signedBy(keys, info)
}
