package localstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"example.com/nixs3/narinfo/storepath"
)

// ErrNotLocal is the URL of a store of another kind.
var ErrNotLocal = errors.New("not the URL of a local store")

// ParseURL reads the store URLs of Nix that mean a local store (Nix manual,
// "Local Store"):
//
//	local, auto                 the usual store
//	local?root=/mnt             with any of root, store, state and real
//	/mnt, ./dir                 the same as local?root=/mnt
//
// Nix's parameters about building, writing and ranking stores are accepted, as
// they say nothing to a reader; unknown ones are errors. Other URLs, also those
// of daemons, fail with ErrNotLocal.
func ParseURL(rawURL string) (Options, error) {
	kind, rawQuery, _ := strings.Cut(rawURL, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return Options{}, fmt.Errorf("store URL %q: %w", rawURL, err)
	}
	switch {
	case kind == "local", kind == "auto", kind == "local://":
	case strings.Contains(kind, "/") && !strings.Contains(kind, "://"):
		if query.Has("root") {
			return Options{}, fmt.Errorf("store URL %q: its path and the parameter root say the same", rawURL)
		}
		query.Set("root", kind)
	case kind == "daemon", strings.HasPrefix(kind, "unix://"):
		return Options{}, fmt.Errorf("store URL %q: %w, but of Nix's daemon, which is not spoken to; its store can be read as %q",
			rawURL, ErrNotLocal, "local")
	default:
		return Options{}, fmt.Errorf("store URL %q: %w", rawURL, ErrNotLocal)
	}
	return options(rawURL, query)
}

func options(rawURL string, query url.Values) (Options, error) {
	var opts Options
	for name := range query {
		value := query.Get(name)
		switch name {
		case "root":
			opts.Root = value
		case "store":
			opts.StoreDir = storepath.Dir(value)
		case "real":
			opts.RealStoreDir = value
		case "state":
			opts.StateDir = value
		case "log", "build-dir", "read-only", "require-sigs", "trusted", "priority", "want-mass-query",
			"path-info-cache-size", "system-features", "use-roots-daemon", "ignore-gc-delete-failure":
		default:
			return Options{}, fmt.Errorf("store URL %q: unknown parameter %q, known are root, store, real and state", rawURL, name)
		}
	}
	return opts, nil
}

// OpenURL opens the store that a URL means; see [ParseURL].
func OpenURL(ctx context.Context, rawURL string) (*Store, error) {
	opts, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	return Open(ctx, opts)
}
