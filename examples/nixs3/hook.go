package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

type hookCommand struct {
	Queue string `required:"" placeholder:"DIR" help:"Folder in which the hook records built paths, for \"nixs3 push --queue DIR\"."`
}

func (hookCommand) Help() string {
	return "Prints a post-build hook that records the built paths in DIR and returns at once. The hook never fails\n" +
		"a build: it reports paths that it cannot record on standard error. \"nixs3 push --queue DIR --to URL\n" +
		"--watch\", one process per machine, uploads the recorded paths.\n\n" +
		"    nixs3 hook --queue /var/lib/nixs3/queue > /etc/nix/post-build-hook\n" +
		"    chmod +x /etc/nix/post-build-hook\n" +
		"    echo 'post-build-hook = /etc/nix/post-build-hook' >> /etc/nix/nix.conf"
}

// hookScript needs only a shell and the tools of every system. A note gets its
// name only when it is complete, so that push never reads a part of one. Nix
// 2.8.0 leaves OUT_PATHS empty; the script then records the derivation.
const hookScript = `#!/bin/sh
# Records built paths for "nixs3 push --queue %[1]s". It never fails a build.
queue=%[1]s
[ -n "$OUT_PATHS$DRV_PATH" ] || exit 0
set -f
{
	mkdir -p "$queue" &&
		printf '%%s\n' ${OUT_PATHS:-"$DRV_PATH^*"} >"$queue/.$$.part" &&
		mv "$queue/.$$.part" "$queue/$(date +%%s).$$.paths"
} || echo "nixs3: cannot record the built paths in $queue; they will not be uploaded" >&2
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
