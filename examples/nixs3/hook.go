package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

type hookCommand struct {
	Queue string `required:"" placeholder:"DIR" help:"Folder in which the hook notes what was built, for \"nixs3 push --queue DIR\"."`
}

func (hookCommand) Help() string {
	return "Prints a post-build hook that notes the built paths in DIR and returns at once. It never fails a\n" +
		"build: what it cannot note, it reports on standard error. \"nixs3 push --queue DIR --to URL --watch\",\n" +
		"one process a machine, uploads what was noted.\n\n" +
		"    nixs3 hook --queue /var/lib/nixs3/queue > /etc/nix/post-build-hook\n" +
		"    chmod +x /etc/nix/post-build-hook\n" +
		"    echo 'post-build-hook = /etc/nix/post-build-hook' >> /etc/nix/nix.conf"
}

// hookScript uses nothing but a shell and the tools of every system. A note gets
// its name only when it is complete, so that push never reads half of one. Nix
// 2.8.0 leaves OUT_PATHS empty, so that the derivation has to do.
const hookScript = `#!/bin/sh
# Notes what Nix has built for "nixs3 push --queue %[1]s". It never fails a build.
queue=%[1]s
[ -n "$OUT_PATHS$DRV_PATH" ] || exit 0
set -f
{
	mkdir -p "$queue" &&
		printf '%%s\n' ${OUT_PATHS:-"$DRV_PATH^*"} >"$queue/.$$.part" &&
		mv "$queue/.$$.part" "$queue/$(date +%%s).$$.paths"
} || echo "nixs3: cannot note in $queue what was built; it will not be uploaded" >&2
exit 0
`

func (c *hookCommand) Run(_ context.Context, con *console) error {
	queue, err := filepath.Abs(c.Queue)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(con.stdout, hookScript, quoted(queue))
	return err
}

// quoted returns a word for a POSIX shell.
func quoted(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
