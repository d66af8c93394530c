package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/serve"
)

type serveCommand struct {
	Store   string   `required:"" placeholder:"URL" help:"Binary cache to serve."`
	Listen  []string `default:"localhost:8080" placeholder:"ADDR" help:"host:port, unix:/path, or systemd for the sockets of a systemd unit. May be repeated."`
	Metrics string   `placeholder:"ADDR" help:"Serve metrics for Prometheus at /metrics of this address."`

	pushFlags
	upstreamFlags
	accessFlags
	tlsFlags
	serveLimits

	Title      string   `help:"Name of the cache on the page for people."`
	PublicKeys []string `placeholder:"KEY" sep:" " help:"Public keys that the page tells clients to trust, besides those of --sign-with and --sign-served."`
	SignServed []string `placeholder:"KEYFILE" sep:"none" help:"File with a secret key to sign served narinfos with. May be repeated."`
	AccessLog  bool     `help:"Log every request."`
}

// pushFlags say how paths are taken in.
type pushFlags struct {
	signFlag
	Push     bool     `help:"Accept pushed paths from authorised clients."`
	PushKeys []string `placeholder:"KEY" sep:" " help:"Public keys, one of which must have signed a pushed path, unless its content address gives its name."`
}

// upstreamFlags say where else paths and archives come from.
type upstreamFlags struct {
	Upstream         []string      `placeholder:"URL KEY…" sep:"none" help:"Cache to ask for what is missing, and its public keys, separated by spaces. May be repeated; the first is asked first."`
	OptionalUpstream []string      `placeholder:"URL KEY…" sep:"none" help:"Like --upstream, but asked after those, and its outage counts as a miss, which clients remember for an hour. May be repeated."`
	PullThrough      bool          `help:"Store what clients fetch from upstreams."`
	Redirect         bool          `help:"Send clients to presigned URLs of the bucket for archives, unless it has the same host."`
	RedirectPushes   bool          `help:"Like --redirect, also for archives that are pushed, where the bucket enforces their content. They are read back before their paths are published."`
	RedirectTTL      time.Duration `name:"redirect-ttl" default:"1h" help:"How long these URLs are good, at least 15m."`
}

// accessFlags say who may read and push.
type accessFlags struct {
	Anonymous    string   `default:"read" placeholder:"ACCESS" help:"What everybody may: none, read, or read,push."`
	Tokens       string   `placeholder:"FILE" help:"File of tokens: lines with a name, an access and a hash, as nixs3 token prints them."`
	OIDC         []string `name:"oidc" placeholder:"RULE" sep:"none" help:"Let in ID tokens: 'issuer=URL audience=NAME access=read,push claim:NAME=PATTERN …'. May be repeated."`
	ClientAccess string   `default:"read" placeholder:"ACCESS" help:"What the owner of a client certificate may."`
}

type tlsFlags struct {
	TLSCertificate string `name:"tls-certificate" placeholder:"FILE" help:"Certificate in PEM. Read again when it changes."`
	TLSKey         string `name:"tls-key" placeholder:"FILE" help:"Key of the certificate."`
	ClientCA       string `name:"client-ca" placeholder:"FILE" help:"Certificate authorities of clients."`
}

type serveLimits struct {
	MaxConnections int           `default:"10000" help:"Connections at a time, for each address."`
	MaxNARSize     int64         `name:"max-nar-size" default:"274877906944" help:"Bytes of a pushed archive after decompression."`
	MaxPushes      int           `default:"16" help:"Archives that are received at a time."`
	Stall          time.Duration `default:"60s" help:"How long a client may take or send nothing."`
	Grace          time.Duration `default:"5m" help:"How long requests that are under way may take to finish at the end."`
}

func (serveCommand) Help() string {
	return "    nixs3 serve --store 's3://cache?region=eu-west-1' --listen :8080\n" +
		"    nixs3 serve --store /srv/cache --push --tokens /etc/nixs3/tokens --listen :8080\n\n" +
		"Nix sends a token as the password in its netrc file. Every flag can also be set in the environment\n" +
		"(NIXS3_LISTEN, …) and in the configuration file."
}

func (c *serveCommand) Run(ctx context.Context, con *console) error {
	cache, err := openCache(ctx, con, c.Store)
	if err != nil {
		return err
	}
	defer cache.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	opts, err := c.options(ctx, con)
	if err != nil {
		return err
	}
	opts.Registerer = registry
	opts.Restore = newReviver(cache).restore
	closeUpstreams, err := c.upstreams(ctx, con, &opts)
	defer closeUpstreams()
	if err != nil {
		return err
	}
	server, err := serve.New(cache, opts)
	if err != nil {
		return err
	}
	defer server.Close()

	run := serve.RunOptions{Connections: c.MaxConnections, Grace: c.Grace}
	if c.TLSCertificate != "" {
		if run.TLS, err = serve.OpenTLS(c.TLSCertificate, cmp.Or(c.TLSKey, c.TLSCertificate), c.ClientCA, con.logger); err != nil {
			return err
		}
	} else if c.ClientCA != "" {
		return errors.New("--client-ca needs --tls-certificate")
	}
	listeners, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if c.Metrics != "" {
		metrics, err := listen(ctx, []string{c.Metrics})
		if err != nil {
			return err
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
		group.Go(func() error {
			return serve.Run(ctx, mux, metrics, serve.RunOptions{Connections: 100, Grace: time.Second})
		})
	}
	for _, l := range listeners {
		if !con.quiet {
			fmt.Fprintf(con.stderr, "nixs3: serving %s at %s\n", cache, l.Addr())
		}
	}
	group.Go(func() error { return serve.Run(ctx, server, listeners, run) })
	return group.Wait()
}

func listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var all []net.Listener
	for _, address := range addresses {
		listeners, err := serve.Listen(ctx, address)
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			return nil, err
		}
		all = append(all, listeners...)
	}
	return all, nil
}

func (c *serveCommand) options(ctx context.Context, con *console) (serve.Options, error) {
	opts := serve.Options{
		Limits: serve.Limits{NarSize: c.MaxNARSize, Pushes: c.MaxPushes, Stall: c.Stall},
		Logger: con.logger,
	}
	if c.AccessLog {
		opts.Logger = slog.New(slog.NewTextHandler(con.stderr, nil))
	}
	var err error
	if opts.Auth, err = c.auth(con); err != nil {
		return opts, err
	}
	if opts.Signers, err = (signFlag{SignWith: c.SignServed}).signers(ctx); err != nil {
		return opts, err
	}
	if !c.Push && len(c.SignWith)+len(c.PushKeys) > 0 {
		return opts, errors.New("--sign-with and --push-keys need --push")
	}
	if c.Push {
		opts.Push = &serve.Push{}
		if opts.Push.Signers, err = c.signers(ctx); err != nil {
			return opts, err
		}
		if opts.Push.TrustedKeys, err = (trustFlag{c.PushKeys}).keys(); err != nil {
			return opts, err
		}
	}
	if c.RedirectPushes && !c.Push {
		return opts, errors.New("--redirect-pushes needs --push")
	}
	if c.Redirect || c.RedirectPushes {
		opts.Redirect = &serve.Redirect{TTL: c.RedirectTTL, Pushes: c.RedirectPushes}
	}
	opts.Page = &serve.Page{Title: c.Title}
	opts.Page.PublicKeys, err = c.pageKeys(opts)
	return opts, err
}

// pageKeys are the public keys that clients need.
func (c *serveCommand) pageKeys(opts serve.Options) (narinfo.TrustedKeys, error) {
	keys, err := (trustFlag{c.PublicKeys}).keys()
	if err != nil {
		return nil, err
	}
	signers := opts.Signers
	if opts.Push != nil {
		signers = append(slices.Clone(signers), opts.Push.Signers...)
	}
	for _, signer := range signers {
		if key, ok := signer.(narinfo.SecretKey); ok {
			keys = append(keys, key.Public())
		}
	}
	return keys, nil
}

func (c *accessFlags) auth(con *console) (*serve.Auth, error) {
	auth := &serve.Auth{}
	var err error
	if auth.Anonymous, err = serve.ParseAccess(c.Anonymous); err != nil {
		return nil, fmt.Errorf("--anonymous: %w", err)
	}
	if c.Tokens != "" {
		tokens, err := serve.OpenTokenFile(c.Tokens, con.logger)
		if err != nil {
			return nil, err
		}
		auth.Verifiers = append(auth.Verifiers, tokens)
	}
	for _, rule := range c.OIDC {
		provider, err := serve.ParseOIDC(rule)
		if err != nil {
			return nil, err
		}
		auth.Verifiers = append(auth.Verifiers, provider)
	}
	access, err := serve.ParseAccess(c.ClientAccess)
	if err != nil {
		return nil, fmt.Errorf("--client-access: %w", err)
	}
	auth.Certificate = func(cert *x509.Certificate) serve.Identity {
		return serve.Identity{Name: cert.Subject.CommonName, Access: access}
	}
	return auth, nil
}

// tokenCommand prints a new token.
type tokenCommand struct {
	Name   string `arg:"" help:"Whose token it is."`
	Access string `default:"read" help:"read, push or read,push."`
}

func (tokenCommand) Help() string {
	return "Prints a new token on the first line, for netrc, and on the second the line for the file of\n" +
		"nixs3 serve --tokens, from which the token cannot be recovered."
}

func (c *tokenCommand) Run(con *console) error {
	if _, err := serve.ParseAccess(c.Access); err != nil {
		return err
	}
	token, hash := serve.NewToken()
	_, err := fmt.Fprintf(con.stdout, "%s\n%s %s %s\n", token, c.Name, c.Access, hash)
	return err
}
