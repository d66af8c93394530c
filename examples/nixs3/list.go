package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"

	"example.com/nixs3/nar"
)

// listFlags set the format of listings, as those of "nix store ls" do.
type listFlags struct {
	Recursive bool `short:"R" help:"Also list the contents of subfolders."`
	Long      bool `short:"l" help:"Also print type, mode and size."`
	JSON      bool `name:"json" help:"Print JSON, with the sizes of files and their offsets in the NAR."`
}

// print writes the entries of the folder at a path of a listing, or the file or
// link at the path. root is the name of the listing's root.
func (f *listFlags) print(out io.Writer, listing *nar.Listing, root, member string) error {
	node := listing.Lookup(member)
	if node == nil {
		return fmt.Errorf("there is no %q in the NAR", member)
	}
	name := root
	if member != "" {
		name = node.Name
	}
	w := bufio.NewWriter(out)
	if f.JSON {
		if err := f.printJSON(w, node); err != nil {
			return err
		}
	} else {
		f.printText(w, name, node)
	}
	return w.Flush()
}

func (f *listFlags) printText(w io.Writer, name string, top *nar.Node) {
	if top.Type != nar.TypeDirectory {
		f.printLine(w, name, top)
		return
	}
	for _, entry := range top.Entries {
		f.printTree(w, "./"+entry.Name, entry)
	}
}

func (f *listFlags) printTree(w io.Writer, name string, node *nar.Node) {
	f.printLine(w, name, node)
	if !f.Recursive {
		return
	}
	for _, entry := range node.Entries {
		f.printTree(w, name+"/"+entry.Name, entry)
	}
}

func (f *listFlags) printLine(w io.Writer, name string, node *nar.Node) {
	if !f.Long {
		fmt.Fprintln(w, visible(name))
		return
	}
	mode := "-r--r--r--"
	switch {
	case node.Type == nar.TypeDirectory:
		mode = "dr-xr-xr-x"
	case node.Type == nar.TypeSymlink:
		mode = "lrwxrwxrwx"
		name += " -> " + node.LinkTarget
	case node.Executable:
		mode = "-r-xr-xr-x"
	}
	fmt.Fprintf(w, "%s %20d %s\n", mode, node.Size, visible(name))
}

// printJSON prints a node in the .ls format. Without -R, the entries of a folder
// are empty objects, as in Nix.
func (f *listFlags) printJSON(w io.Writer, node *nar.Node) error {
	var value any
	if f.Recursive || node.Type != nar.TypeDirectory {
		text, err := (&nar.Listing{Root: node}).MarshalJSON()
		if err != nil {
			return err
		}
		var listing struct {
			Root json.RawMessage `json:"root"`
		}
		if err := json.Unmarshal(text, &listing); err != nil {
			return err
		}
		value = listing.Root
	} else {
		entries := make(map[string]struct{}, len(node.Entries))
		for _, entry := range node.Entries {
			if !utf8.ValidString(entry.Name) {
				return fmt.Errorf("%q: %w", entry.Name, nar.ErrNotUTF8)
			}
			entries[entry.Name] = struct{}{}
		}
		value = struct {
			Type    string              `json:"type"`
			Entries map[string]struct{} `json:"entries"`
		}{"directory", entries}
	}
	return printJSON(w, value)
}

// printJSON prints a value on one line.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// visible escapes the characters of a name that would break the line or control
// the terminal.
func visible(name string) string {
	var b []byte
	for i, r := range name {
		switch {
		case r == utf8.RuneError && name[i] != "\uFFFD"[0]:
			b = append(b, name[i]) // not UTF-8; as it is
		case unicode.IsControl(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b = append(b, quoted[1:len(quoted)-1]...)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}
