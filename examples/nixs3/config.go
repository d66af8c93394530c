package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
)

// config holds the defaults that a configuration file gives to flags. Flags on
// the command line and environment variables take precedence over it. The file
// is JSON: names of flags and their values, and names of commands with an
// object of the same form.
//
//	{
//	  "store": "s3://cache?region=eu-west-1",
//	  "copy": {"to": "s3://cache?region=eu-west-1", "sign-with": ["/etc/nix/key"]}
//	}
type config map[string]any

// read fills c from the file that NIXS3_CONFIG names, else from
// nixs3/config.json in the user's configuration folder if that exists. An
// unknown name is an error.
func (c config) read(app *kong.Application) error {
	file, named := os.LookupEnv("NIXS3_CONFIG")
	if !named {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil // the user has no home
		}
		file = filepath.Join(dir, "nixs3", "config.json")
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && (!named || file == "") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("configuration %s: %w", file, err)
	}
	if err := c.check(app.Node); err != nil {
		return fmt.Errorf("configuration %s: %w", file, err)
	}
	return nil
}

// check fails at a name that is neither a flag nor a command. A flag of any
// command may stand at the top, for all commands that have it.
func (c config) check(node *kong.Node) error {
	for name, value := range c {
		if child := childOf(node, name); child != nil {
			section, ok := value.(map[string]any)
			if !ok {
				return fmt.Errorf("%q: expected an object with flags of the command, got %v", name, value)
			}
			if err := config(section).check(child); err != nil {
				return fmt.Errorf("%q: %w", name, err)
			}
			continue
		}
		if !hasFlag(node, name) {
			return fmt.Errorf("unknown name %q, expected a flag or a command", name)
		}
		if _, ok := value.(map[string]any); ok {
			return fmt.Errorf("%q: expected a value, got an object", name)
		}
	}
	return nil
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

// hasFlag reports whether a node or one below it has a flag.
func hasFlag(node *kong.Node, name string) bool {
	for _, flag := range node.Flags {
		if flag.Name == name {
			return true
		}
	}
	for _, child := range node.Children {
		if hasFlag(child, name) {
			return true
		}
	}
	return false
}

// Validate does nothing, since read checks the names.
func (c config) Validate(*kong.Application) error { return nil }

// Resolve returns the value of a flag that the command line does not set, from
// the innermost command that has it.
func (c config) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return nil, nil // the variable takes precedence
		}
	}
	section := c
	value := section[flag.Name]
	for _, name := range commandNames(parent.Node()) {
		inner, ok := section[name].(map[string]any)
		if !ok {
			break
		}
		section = inner
		if v, ok := section[flag.Name]; ok {
			value = v
		}
	}
	if _, ok := value.(map[string]any); ok {
		return nil, nil // the section of a command with the flag's name
	}
	return value, nil
}

// commandNames returns the names from the outermost command to the node.
func commandNames(node *kong.Node) []string {
	if node == nil || node.Parent == nil {
		return nil
	}
	return append(commandNames(node.Parent), node.Name)
}
