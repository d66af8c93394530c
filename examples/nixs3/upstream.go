package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
)

// openUpstreams opens the caches of --upstream URL=KEY.
func openUpstreams(ctx context.Context, con *console, values []string) (upstreams []store.Upstream, err error) {
	defer func() {
		if err == nil {
			return
		}
		err = errors.Join(err, closeUpstreams(upstreams))
		upstreams = nil
	}()
	for _, value := range values {
		url, keys, err := splitUpstream(value)
		if err != nil {
			return upstreams, err
		}
		cache, err := openCache(ctx, con, url, withPresenceKeys(keys))
		if err != nil {
			return upstreams, err
		}
		upstreams = append(upstreams, store.Upstream{Store: cache, Keys: keys})
	}
	return upstreams, nil
}

// withPresenceKeys trusts the keys of an upstream in its index of paths, if the
// URL asks for it.
func withPresenceKeys(keys narinfo.TrustedKeys) store.Option {
	return store.WithSettings(func(s *store.Settings) { s.PresenceKeys = keys })
}

func closeUpstreams(upstreams []store.Upstream) error {
	var errs []error
	for _, up := range upstreams {
		errs = append(errs, up.Store.(io.Closer).Close())
	}
	return errors.Join(errs...)
}

// splitUpstream splits URL=KEY,KEY… at the first equals sign that only keys
// follow: URL and keys may contain others.
func splitUpstream(value string) (url string, keys narinfo.TrustedKeys, err error) {
	for i, c := range value {
		if c != '=' {
			continue
		}
		keys, err := narinfo.ParseTrustedKeys(strings.ReplaceAll(value[i+1:], ",", " "))
		// A name with an equals sign is the end of the URL, not a key's name.
		ofURL := func(k narinfo.PublicKey) bool { return strings.Contains(k.Name(), "=") }
		if err == nil && len(keys) > 0 && !slices.ContainsFunc(keys, ofURL) {
			return value[:i], keys, nil
		}
	}
	return "", nil, fmt.Errorf("--upstream: expected URL=KEY with a public key such as cache.nixos.org-1:…, got %q", value)
}
