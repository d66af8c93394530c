package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

type logCommands struct {
	Get logGet `cmd:"" help:"Print the build log of a derivation."`
	Put logPut `cmd:"" help:"Store the build log of a derivation."`
}

type logGet struct {
	storeFlag
	Drv string `arg:"" help:"Derivation, or a store path, which stands for its deriver."`
}

func (c *logGet) Run(ctx context.Context, con *console) error {
	return inStore(ctx, con, c.Store, c.Drv, func(from *opened, p storepath.Path, _ string) error {
		drv, err := derivation(ctx, from, p)
		if err != nil {
			return err
		}
		logs, ok := from.Source.(store.LogSource)
		if !ok {
			return fmt.Errorf("%s: %w: it keeps no build logs", from, errors.ErrUnsupported)
		}
		log, err := logs.Log(ctx, drv)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%s has no build log of %s", from, from.StoreDir().Join(drv))
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(con.stdout, log)
		return errors.Join(err, log.Close())
	})
}

// derivation returns p if it is a derivation, else the derivation that built it.
func derivation(ctx context.Context, from *opened, p storepath.Path) (storepath.Path, error) {
	if p.IsDerivation() {
		return p, nil
	}
	info, err := from.PathInfo(ctx, p)
	if err != nil {
		return p, err
	}
	if info.Deriver.IsZero() {
		return p, fmt.Errorf("%s does not know the deriver of %s", from, from.StoreDir().Join(p))
	}
	return info.Deriver, nil
}

type logPut struct {
	To   string `required:"" placeholder:"URL" help:"Binary cache to store the log in."`
	Drv  string `arg:"" help:"Derivation of the log."`
	File string `arg:"" optional:"" default:"-" help:"File with the log; - is standard input."`
}

func (logPut) Help() string {
	return "    nix log ./result | nixs3 log put --to 's3://cache?log-compression=br' \"$(nix-store -qd ./result)\""
}

func (c *logPut) Run(ctx context.Context, con *console) (err error) {
	cache, err := openCache(ctx, con, c.To)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	drv, member, err := findPath(ctx, cache.StoreDir(), cacheByHash(cache), c.Drv)
	if err != nil {
		return err
	}
	if !drv.IsDerivation() || member != "" {
		return fmt.Errorf("%q: expected a derivation, whose name ends in .drv", c.Drv)
	}
	log := io.NopCloser(con.stdin)
	if c.File != "-" {
		if log, err = os.Open(c.File); err != nil {
			return err
		}
	}
	defer log.Close()
	return cache.PutLog(ctx, drv, untilDone{ctx, log})
}
