package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	"github.com/muesli/roff"
)

type manCommand struct{}

func (manCommand) Help() string { return "    nixs3 man > nixs3.1 && man ./nixs3.1" }

func (manCommand) Run(con *console, app *kong.Kong) error {
	_, err := fmt.Fprint(con.stdout, mangokong.NewManPage(1, app.Model).Build(roff.NewDocument()))
	return err
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCommand) Help() string {
	return "    source <(nixs3 completion bash)          # bash, zsh\n" +
		"    nixs3 completion fish | source           # fish"
}

// completionScripts ask the program itself, so that they are always up to date.
var completionScripts = map[string]string{
	"bash": `_nixs3() {
    local IFS=$'\n'
    COMPREPLY=($(nixs3 complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _nixs3 nixs3
`,
	"zsh": `#compdef nixs3
_nixs3() {
    local -a candidates
    candidates=(${(f)"$(nixs3 complete -- "${words[@]:1:$((CURRENT-1))}" 2>/dev/null)"})
    if (( $#candidates )); then compadd -a candidates; else _files; fi
}
compdef _nixs3 nixs3
`,
	"fish": `complete -c nixs3 -a '(nixs3 complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
}

func (c *completionCommand) Run(con *console) error {
	_, err := fmt.Fprint(con.stdout, completionScripts[c.Shell])
	return err
}

// completeCommand prints the commands and flags that complete the last word, one
// a line.
type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

func (c *completeCommand) Run(con *console, app *kong.Kong) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	last := ""
	if len(words) > 0 {
		last, words = words[len(words)-1], words[:len(words)-1]
	}
	node := app.Model.Node
	for _, word := range words {
		if child := childOf(node, word); child != nil {
			node = child
		}
	}
	for _, candidate := range candidates(node) {
		if strings.HasPrefix(candidate, last) && (last != "" || !strings.HasPrefix(candidate, "-")) {
			if _, err := fmt.Fprintln(con.stdout, candidate); err != nil {
				return err
			}
		}
	}
	return nil
}

// candidates returns the commands below a node, and its flags and those of the
// nodes above it.
func candidates(node *kong.Node) []string {
	var words []string
	for _, child := range node.Children {
		if !child.Hidden {
			words = append(words, child.Name)
		}
	}
	for ; node != nil; node = node.Parent {
		for _, flag := range node.Flags {
			words = append(words, "--"+flag.Name)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}
