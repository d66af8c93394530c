package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/verify"
)

type verifyCommand struct {
	storeFlag
	trustFlag
	Depth   verify.Depth  `default:"contents" placeholder:"DEPTH" help:"listing, metadata, files or contents; each includes those before it."`
	Since   timeFlag      `placeholder:"TIME" help:"Only paths written since: a time such as 2026-11-25T16:00:00Z, or a duration before now such as 36h."`
	Sample  shareFlag     `placeholder:"SHARE" help:"Check a random share of the cache, such as 1%."`
	Seed    uint64        `help:"Choose the same sample as the run that printed this number."`
	Shard   verify.Shard  `placeholder:"I/N" help:"Check the I-th of N parts of the cache, so that N machines share the work."`
	Journal string        `type:"path" placeholder:"FILE" help:"Note in a file what was checked, and do not check again what the file says and has not changed since."`
	Ignore  []verify.Kind `placeholder:"KIND" help:"Leave out findings of a kind, such as archive-orphaned. May be repeated."`
	JSON    bool          `name:"json" help:"Print findings as lines of JSON."`
	DryRun  bool          `help:"Say what the check would cost, and do not check."`
	Paths   []string      `arg:"" optional:"" name:"path" help:"Store paths whose closures are checked: full paths, base names or hash parts. Without any, the whole cache is."`
}

func (verifyCommand) Help() string {
	return "Findings go to standard output, one a line. The exit status is 0 when the cache is sound, 1 when it\n" +
		"has faults, 3 when some of it could not be examined and the rest is sound.\n\n" +
		"    nixs3 verify --store 's3://cache?region=eu-west-1' --depth metadata --journal today.jsonl\n" +
		"    nixs3 verify --store file:///srv/cache --sample 1% --json"
}

// Validate is called by kong.
func (c *verifyCommand) Validate() error {
	for _, kind := range c.Ignore {
		if !kind.Known() {
			return fmt.Errorf("--ignore: unknown kind %q", kind)
		}
	}
	if len(c.Paths) > 0 && (!time.Time(c.Since).IsZero() || c.Sample != 0 || c.Shard != (verify.Shard{})) {
		return errors.New("--since, --sample and --shard do not go with store paths")
	}
	return nil
}

func (c *verifyCommand) Run(ctx context.Context, con *console) error {
	findings, unchecked, err := c.check(ctx, con)
	switch {
	case findings > 0:
		return errors.Join(err, fmt.Errorf("the cache has faults: %d findings", findings))
	case err != nil:
		return unknown{err}
	case unchecked > 0:
		return unknown{fmt.Errorf("%d objects could not be examined; the rest is sound", unchecked)}
	}
	return nil
}

// exitUnknown is the exit status of verify for a cache that could not be
// examined.
const exitUnknown exitStatus = 3

// unknown is why it is not known whether a cache is sound.
type unknown struct{ error }

func (u unknown) Unwrap() []error { return []error{u.error, exitUnknown} }

func (c *verifyCommand) check(ctx context.Context, con *console) (findings, unchecked int, err error) {
	keys, err := c.keys()
	if err != nil {
		return 0, 0, err
	}
	cache, err := openCache(ctx, con, c.Store, store.WithDamaged())
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	opts := verify.Options{
		Depth:       c.Depth,
		TrustedKeys: keys,
		Since:       time.Time(c.Since),
		Sample:      float64(c.Sample),
		Seed:        c.Seed,
		Shard:       c.Shard,
	}
	if opts.Roots, err = findPaths(ctx, cache.StoreDir(), cacheByHash(cache), c.Paths); err != nil {
		return 0, 0, err
	}
	if c.Sample != 0 && c.Seed == 0 {
		opts.Seed = uint64(time.Now().UnixNano())
		con.say("the sample is that of --seed %d", opts.Seed)
	}
	if c.Journal != "" {
		journal, jerr := openJournal(c.Journal)
		if jerr != nil {
			return 0, 0, jerr
		}
		defer func() { err = errors.Join(err, journal.Close()) }()
		opts.Resume, opts.Journal = journal, journal
	}
	opts.Plan = func(p verify.Plan) error {
		con.say("%d paths, %d of them known from the journal: %d listing requests made, about %d requests and %s to go",
			p.Paths, p.Resumed, p.Lists, p.Requests, size(p.Bytes))
		if c.DryRun {
			return errDryRun
		}
		return nil
	}
	shown := newCheckProgress(con)
	opts.Progress = shown.show
	defer shown.end()
	for f, err := range verify.Check(ctx, cache, opts) {
		var one *verify.UncheckedError
		switch {
		case errors.Is(err, errDryRun):
			return 0, 0, nil
		case errors.As(err, &one):
			unchecked++
			fmt.Fprintf(con.stderr, "%v\n", one)
		case err != nil:
			return findings, unchecked, err
		case !slices.Contains(c.Ignore, f.Kind):
			findings++
			if err := c.print(con.stdout, f); err != nil {
				return findings, unchecked, err
			}
		}
	}
	return findings, unchecked, nil
}

var errDryRun = errors.New("dry run")

func (c *verifyCommand) print(w io.Writer, f verify.Finding) error {
	if c.JSON {
		return printJSON(w, struct {
			verify.Finding
			Remedy verify.Remedy `json:"remedy"`
		}{f, f.Kind.Remedy()})
	}
	_, err := fmt.Fprintf(w, "%s (mend: %s)\n", visible(f.String()), f.Kind.Remedy())
	return err
}

// openJournal opens a journal to be read and then continued. A line that a
// killed run left unfinished is ended.
func openJournal(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			if _, err := f.WriteString("\n"); err != nil {
				return nil, errors.Join(err, f.Close())
			}
		}
	}
	return f, nil
}

// timeFlag is a time, or a duration before now.
type timeFlag time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *timeFlag) UnmarshalText(text []byte) error {
	if d, err := time.ParseDuration(string(text)); err == nil && d > 0 {
		*t = timeFlag(time.Now().Add(-d))
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if parsed, err := time.Parse(layout, string(text)); err == nil {
			*t = timeFlag(parsed)
			return nil
		}
	}
	return fmt.Errorf("%q: expected a time such as 2026-11-25T16:00:00Z, a date, or a duration such as 36h", text)
}

// shareFlag is a share of a whole: 1% or 0.01.
type shareFlag float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *shareFlag) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || math.IsNaN(share) || share <= 0 || share > 1 {
		return fmt.Errorf("%q: expected a share such as 1%%, more than 0 and at most 100%%", text)
	}
	*s = shareFlag(share)
	return nil
}
