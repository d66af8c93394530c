// Command nixs3 works with Nix binary caches in S3 and S3-compatible stores,
// in directories and on web servers. It is thin code over the packages of this
// module, and meant to be read as an example of them.
//
// Results go to standard output, everything else to standard error. The exit
// status is 0 when all was done, 1 when something failed, 2 when the command
// line made no sense.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"example.com/nixs3/store/blob"
)

// The exit statuses.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

type commands struct {
	Verbose bool `short:"v" help:"Say on standard error what is done."`

	Add      addCommand      `cmd:"" help:"Add a file or folder to a cache."`
	Copy     copyCommand     `cmd:"" help:"Copy closures from one cache to another."`
	PathInfo pathInfoCommand `cmd:"" help:"Tell what a cache knows of store paths."`
	Ls       lsCommand       `cmd:"" help:"List what is in a store path."`
	Cat      catCommand      `cmd:"" help:"Print a file in a store path."`

	Nar narCommands `cmd:"" help:"Work with NAR files, Nix's archives."`
	Key keyCommands `cmd:"" help:"Work with signing keys."`

	URL    urlCommand    `cmd:"" name:"url" help:"Explain an s3:// URL."`
	Doctor doctorCommand `cmd:"" help:"Try what a reader, writer or collector of a cache needs."`
	Policy policyCommand `cmd:"" help:"Print the bucket or IAM policy that a cache needs."`
}

// console is where a command reads and writes.
type console struct {
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	terminal bool         // stderr is a terminal
	logger   *slog.Logger // to stderr
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the program at once
	status := run(ctx, os.Args[1:], console{
		stdin:    os.Stdin,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		terminal: term.IsTerminal(int(os.Stderr.Fd())),
	})
	stop()
	os.Exit(status)
}

// run carries out a command line and returns the exit status.
func run(ctx context.Context, args []string, con console) (status int) {
	var cmds commands
	parser, err := kong.New(&cmds,
		kong.Name("nixs3"),
		kong.Description("Nix binary caches in S3 and S3-compatible stores."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(con.stdout, con.stderr),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&con),
		// Help ends the program in the middle of parsing.
		kong.Exit(func(code int) { panic(exit(code)) }),
	)
	if err != nil {
		panic(err) // the tags of commands are wrong
	}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exit:
			status = int(v)
		default:
			panic(v)
		}
	}()
	cmd, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(con.stderr, "nixs3: %v; see nixs3%s --help\n", err, subcommand(err))
		return exitUsage
	}
	level := slog.LevelWarn
	if cmds.Verbose {
		level = slog.LevelDebug
	}
	con.logger = slog.New(slog.NewTextHandler(con.stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(con.stderr, "nixs3: %v\n", explained(ctx, err))
		return exitFailed
	}
	return exitOK
}

// explained says in the words of store paths what the library says in those of
// contexts and objects.
func explained(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err())) {
		return errors.New("interrupted")
	}
	if e, ok := errors.AsType[*blob.Error](err); ok && errors.Is(e, blob.ErrNotFound) && e.Hint == "" {
		if hashPart, ok := strings.CutSuffix(e.Key, ".narinfo"); ok {
			return fmt.Errorf("%s has no store path with the hash part %s", e.Bucket, hashPart)
		}
	}
	return err
}

// interruptible lets f, which knows no context and leaves nothing behind, be
// given up on when the context ends.
func interruptible(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// withoutTime leaves the time out of log lines: a person sees when they come.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// exit is what help panics with.
type exit int

// subcommand names the command whose help tells more about a mistake.
func subcommand(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context.Command() != "" {
		if node := parse.Context.Selected(); node != nil {
			return " " + node.Path()
		}
	}
	return ""
}
