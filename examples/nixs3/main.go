// Command nixs3 works with Nix binary caches in S3 and S3-compatible stores,
// in directories and on web servers. It is thin code over the packages of this
// module, and meant to be read as an example of them.
//
// Results go to standard output, everything else to standard error. The exit
// status is 0 on success, 1 on a failure, 2 for an invalid command line, and 130
// after an interrupt. verify exits with 1 if the cache has faults, and with 3 if
// it could not be examined.
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
	"example.com/nixs3/store/layout"
)

// The exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

type commands struct {
	Verbose bool `short:"v" help:"Report progress on standard error."`
	Quiet   bool `short:"q" help:"Print only results and errors."`

	Add      addCommand      `cmd:"" help:"Add files and folders to a cache."`
	Copy     copyCommand     `cmd:"" help:"Copy closures from a store or cache to a cache."`
	PathInfo pathInfoCommand `cmd:"" help:"Print a cache's or store's records of store paths."`
	Ls       lsCommand       `cmd:"" help:"List the files in a store path."`
	Cat      catCommand      `cmd:"" help:"Print a file in a store path."`

	Fetch       fetchCommand        `cmd:"" help:"Fetch a store path, or its closure, to a folder."`
	Index       indexCommand        `cmd:"" help:"Make or renew the index of all files of a cache."`
	Locate      locateCommand       `cmd:"" help:"Find the store paths of a cache that have a file."`
	Diff        diffCommand         `cmd:"" help:"Compare the closures of two store paths."`
	Du          duCommand           `cmd:"" help:"Print the sizes of the paths of a closure."`
	Log         logCommands         `cmd:"" help:"Work with build logs."`
	Realisation realisationCommands `cmd:"" help:"Work with realisations of content-addressed derivations."`
	Hook        hookCommand         `cmd:"" help:"Print a post-build hook for nix.conf."`
	Push        pushCommand         `cmd:"" help:"Upload the paths that post-build hooks have queued."`

	Serve serveCommand `cmd:"" help:"Serve a cache over HTTP."`
	Token tokenCommand `cmd:"" help:"Print a new token for nixs3 serve."`

	Nar narCommands `cmd:"" help:"Work with NAR files, Nix's archives."`
	Key keyCommands `cmd:"" help:"Work with signing keys."`

	Root rootCommands `cmd:"" help:"Work with the roots of a cache, which keep paths from being collected."`
	GC   gcCommands   `cmd:"" name:"gc" help:"Collect the garbage of a cache."`

	Stats  statsCommand  `cmd:"" help:"Print statistics of a cache: objects, sizes, ages, closures, faults."`
	Delete deleteCommand `cmd:"" help:"Remove single store paths from a cache."`

	Verify verifyCommand `cmd:"" help:"Check the objects of a cache against its metadata."`
	Repair repairCommand `cmd:"" help:"Repair a cache from other caches or a local store."`
	Mirror mirrorCommand `cmd:"" help:"Copy missing paths from one cache to another, once or continuously."`
	Sign   signCommand   `cmd:"" help:"Add signatures to paths of a cache, or drop those of a retired key."`

	URL    urlCommand    `cmd:"" name:"url" help:"Explain an s3:// URL."`
	Doctor doctorCommand `cmd:"" help:"Test access to a cache as a reader, writer or collector."`
	Policy policyCommand `cmd:"" help:"Print the bucket or IAM policy that a cache needs."`

	Completion completionCommand `cmd:"" help:"Print a completion script for a shell."`
	Man        manCommand        `cmd:"" help:"Print the manual page."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
	Complete   completeCommand   `cmd:"" hidden:""`
}

// console has the standard streams of a command.
type console struct {
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	terminal bool         // stderr is a terminal
	quiet    bool         // only results and errors are printed
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
	if con.terminal {
		con.stderr = newScreen(con.stderr)
	}
	settings := config{}
	parser, err := kong.New(&cmds,
		kong.Name("nixs3"),
		kong.Description("Nix binary caches in S3 and S3-compatible stores."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(con.stdout, con.stderr),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&con),
		kong.DefaultEnvars("NIXS3"),
		kong.Resolvers(settings),
		// Help ends the program in the middle of parsing.
		kong.Exit(func(code int) { panic(exit(code)) }),
	)
	if err != nil {
		panic(err) // the tags of commands are wrong
	}
	parser.Model.HelpFlag.Short = 0 // -h is a flag of path-info, as in Nix
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exit:
			status = int(v)
		default:
			panic(v)
		}
	}()
	if err := settings.read(parser.Model); err != nil {
		fmt.Fprintf(con.stderr, "nixs3: %v\n", err)
		return exitUsage
	}
	cmd, err := parser.Parse(customary(args))
	if err != nil {
		fmt.Fprintf(con.stderr, "nixs3: %v; see nixs3%s --help\n", corrected(err), subcommand(err))
		return exitUsage
	}
	con.quiet = cmds.Quiet
	con.logger = slog.New(slog.NewTextHandler(con.stderr, &slog.HandlerOptions{Level: level(&cmds), ReplaceAttr: withoutTime}))
	err = cmd.Run()
	switch {
	case err == nil:
		return exitOK
	case interrupted(ctx, err):
		fmt.Fprintln(con.stderr, "nixs3: interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(con.stderr, "nixs3: %s\n", explained(err))
	if status := exitStatus(0); errors.As(err, &status) {
		return int(status)
	}
	return exitFailed
}

func level(cmds *commands) slog.Level {
	switch {
	case cmds.Verbose:
		return slog.LevelDebug
	case cmds.Quiet:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// customary turns the usual ways to ask for help and the version into those that
// the parser accepts.
func customary(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(args[1:len(args):len(args)], "--help")
	case args[0] == "--version":
		return []string{"version"}
	}
	return args
}

// exitStatus is wrapped by errors whose exit status differs from exitFailed.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// interrupted reports whether a command failed because its context ended.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err()))
}

// explained returns the text of an error, with the store path where the library
// names the object.
func explained(err error) string {
	text := err.Error()
	if e, ok := errors.AsType[*blob.Error](err); ok && errors.Is(e, blob.ErrNotFound) && e.Hint == "" {
		if hashPart, ok := layout.ParseNarInfoKey(e.Key); ok {
			return strings.ReplaceAll(text, e.Error(), fmt.Sprintf("%s has no store path with the hash part %s", e.Bucket, hashPart))
		}
	}
	return text
}

// interruptible returns early when the context ends. f then continues in the
// background, so f must not need to clean up.
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

// withoutTime removes the time from log lines, which a person reads as they
// appear.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// exit is the value with which help panics.
type exit int

// synonyms maps words that users try to commands. The parser, which suggests
// names with similar letters, would miss them.
var synonyms = map[string]string{
	"upload": "copy", "download": "fetch", "get": "fetch", "pull": "fetch", "restore": "fetch",
	"info": "path-info", "show": "path-info", "list": "ls", "find": "locate", "search": "locate", "which": "locate", "read": "cat",
	"sync": "mirror", "check": "verify", "fsck": "verify", "fix": "repair", "rm": "delete", "remove": "delete",
	"prune": "gc", "collect": "gc", "server": "serve", "proxy": "serve", "logs": "log", "size": "du",
}

// corrected replaces the parser's suggestion where a word means a command.
func corrected(err error) error {
	word, ok := strings.CutPrefix(err.Error(), "unexpected argument ")
	if !ok {
		return err
	}
	word, _, _ = strings.Cut(word, ",")
	if command, ok := synonyms[word]; ok {
		return fmt.Errorf("unexpected argument %s, did you mean %q?", word, command)
	}
	return err
}

// subcommand names the command whose help explains a usage error.
func subcommand(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context.Command() != "" {
		if node := parse.Context.Selected(); node != nil {
			return " " + node.Path()
		}
	}
	return ""
}
