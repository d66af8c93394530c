package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/net/netutil"
)

// Listen opens listeners for an address: host:port, unix:/path of a socket, or
// systemd for the sockets that systemd passes on, systemd:NAME for those with a
// FileDescriptorName.
func Listen(ctx context.Context, address string) ([]net.Listener, error) {
	var config net.ListenConfig
	if name, ok := strings.CutPrefix(address, "systemd"); ok && (name == "" || name[0] == ':') {
		return fromSystemd(strings.TrimPrefix(name, ":"))
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		l, err := config.Listen(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

func fromSystemd(name string) ([]net.Listener, error) {
	byName, err := activation.ListenersWithNames()
	if err != nil {
		return nil, err
	}
	var all []net.Listener
	for n, listeners := range byName {
		if name == "" || n == name {
			all = append(all, listeners...)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("systemd passed on no socket %q", name)
	}
	return all, nil
}

// removeStale removes a socket on which nobody listens any more.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil // what is there makes Listen fail
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return fmt.Errorf("listen on %s: another program does", path)
	}
	return os.Remove(path)
}

// RunOptions say how Run treats connections. A zero field means its default.
type RunOptions struct {
	TLS         *TLS          // nil: plain HTTP
	Connections int           // at a time; 10,000
	Grace       time.Duration // for requests that are under way at the end; 5 min
}

// Run answers on the listeners until the context ends. It then takes no more
// requests, lets those that are under way finish, and returns nil when they
// have. It closes the listeners.
func Run(ctx context.Context, h http.Handler, listeners []net.Listener, o RunOptions) error {
	if o.Connections == 0 {
		o.Connections = 10_000
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Minute
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10}
	if o.TLS != nil {
		server.TLSConfig = o.TLS.config
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		l = netutil.LimitListener(l, o.Connections)
		go func() {
			if o.TLS != nil {
				ended <- server.ServeTLS(l, "", "")
				return
			}
			ended <- server.Serve(l)
		}()
	}
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // does nothing without systemd
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Grace)
	defer cancel()
	if serr := server.Shutdown(grace); serr != nil {
		server.Close()
		err = errors.Join(err, fmt.Errorf("requests were broken off after %v: %w", o.Grace, serr))
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
