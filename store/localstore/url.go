package localstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/s3url"
)

// ErrNotLocal is the error for the URL of another kind of store.
var ErrNotLocal = errors.New("not the URL of a local store")

// ParseURL reads the URLs of Nix for local stores (Nix manual, "Local Store"):
//
//	local, auto                 the usual store
//	local?root=/mnt             with any of root, store, state, real and log
//	local:/mnt, local:///mnt    the same as local?root=/mnt
//	/mnt, ./dir                 the same
//
// "auto" means the store in NIX_REMOTE if that is a local store. As in Nix,
// NIX_STORE_DIR, NIX_STATE_DIR and NIX_LOG_DIR are defaults of store, state and
// log.
//
// ParseURL accepts Nix's parameters for building, writing and ranking stores,
// which have no effect here. Unknown parameters are errors. Other URLs, including
// those of daemons, fail with [ErrNotLocal].
func ParseURL(rawURL string) (Options, error) {
	opts, err := parseURL(rawURL)
	if err != nil {
		return Options{}, fmt.Errorf("store URL %q: %w", s3url.RedactURL(rawURL), err)
	}
	return opts, nil
}

func parseURL(rawURL string) (Options, error) {
	kind, rawQuery, _ := strings.Cut(rawURL, "?")
	query, err := s3url.ParseQuery(rawQuery)
	if err != nil {
		return Options{}, err
	}
	if remote := os.Getenv("NIX_REMOTE"); kind == "auto" && rawQuery == "" && isLocal(remote) {
		return parseURL(remote)
	}
	if isDaemon(kind) {
		return Options{}, fmt.Errorf("%w but of Nix's daemon, whose protocol is not supported; its store can be read as %q", ErrNotLocal, "local")
	}
	root, ok := rootOf(kind)
	if !ok {
		return Options{}, ErrNotLocal
	}
	if root != "" {
		if query.Has("root") {
			return Options{}, errors.New("expected either a path or the parameter root, got both")
		}
		query.Set("root", root)
	}
	return options(query)
}

// isLocal reports whether NIX_REMOTE names a local store and is not "auto".
func isLocal(remote string) bool {
	kind, _, _ := strings.Cut(remote, "?")
	_, ok := rootOf(kind)
	return ok && kind != "auto"
}

func isDaemon(kind string) bool { return kind == "daemon" || strings.HasPrefix(kind, "unix://") }

// rootOf returns the root in a URL without its query, "" for the usual store, and
// whether the URL is that of a local store.
func rootOf(kind string) (string, bool) {
	switch kind {
	case "auto", "local", "local:", "local://":
		return "", true
	}
	path, ok := strings.CutPrefix(kind, "local:")
	if !ok {
		return kind, strings.Contains(kind, "/") && !strings.Contains(kind, "://")
	}
	path = strings.TrimPrefix(path, "//")
	root, err := url.PathUnescape(path)
	return root, err == nil && strings.HasPrefix(root, "/")
}

func options(query url.Values) (Options, error) {
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
		case "log":
			opts.LogDir = value
		case "build-dir", "read-only", "require-sigs", "trusted", "priority", "want-mass-query",
			"path-info-cache-size", "system-features", "use-roots-daemon", "ignore-gc-delete-failure":
		default:
			return Options{}, fmt.Errorf("unknown parameter %q, known are root, store, real, state and log", name)
		}
	}
	opts.StoreDir = cmp.Or(opts.StoreDir, storepath.Dir(os.Getenv("NIX_STORE_DIR")))
	if opts.Root == "" {
		opts.StateDir = cmp.Or(opts.StateDir, os.Getenv("NIX_STATE_DIR"))
		opts.LogDir = cmp.Or(opts.LogDir, os.Getenv("NIX_LOG_DIR"))
	}
	return opts, nil
}

// OpenURL opens the store of a URL; see [ParseURL].
func OpenURL(ctx context.Context, rawURL string) (*Store, error) {
	opts, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	return Open(ctx, opts)
}
