package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"example.com/nixs3/nar"
	"example.com/nixs3/store/codec"
)

type narCommands struct {
	Dump    narDump    `cmd:"" help:"Write a file or folder as a NAR to standard output."`
	Restore narRestore `cmd:"" help:"Create the file or folder in a NAR."`
	Ls      narLs      `cmd:"" help:"List the contents of a NAR."`
	Cat     narCat     `cmd:"" help:"Print a file in a NAR."`
}

type narDump struct {
	Path string `arg:"" help:"File, folder or symbolic link."`
}

func (c *narDump) Run(ctx context.Context, con *console) error {
	return interruptible(ctx, func() error { return nar.Dump(con.stdout, c.Path) })
}

type narRestore struct {
	Path  string `arg:"" help:"File or folder to create. It must not exist."`
	Nar   string `arg:"" optional:"" default:"-" help:"File with the NAR, compressed or not; - is standard input."`
	Store bool   `help:"Give files the modes and times of a Nix store."`
}

func (narRestore) Help() string {
	return "Writes nothing outside of PATH, whatever the NAR holds, and leaves nothing on a failure.\n\n" +
		"    nixs3 nar dump ./tree | nixs3 nar restore ./copy"
}

func (c *narRestore) Run(ctx context.Context, con *console) error {
	archive, err := openNAR(con, c.Nar)
	if err != nil {
		return err
	}
	defer archive.Close()
	opts := []nar.RestoreOption{nar.WithWholeReader()}
	if c.Store {
		opts = append(opts, nar.WithStoreMetadata())
	}
	return nar.Restore(untilDone{ctx, archive}, c.Path, opts...)
}

// untilDone is a reader that fails when its context ends, so that its consumer
// cleans up.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (r untilDone) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

type narLs struct {
	listFlags
	Nar  string `arg:"" help:"File with the NAR, compressed or not; - is standard input."`
	Path string `arg:"" optional:"" help:"Path in the NAR; the whole NAR by default."`
}

func (c *narLs) Run(ctx context.Context, con *console) error {
	return interruptible(ctx, func() error { return c.run(con) })
}

func (c *narLs) run(con *console) error {
	archive, err := openNAR(con, c.Nar)
	if err != nil {
		return err
	}
	defer archive.Close()
	listing, err := nar.List(archive)
	if err != nil {
		return err
	}
	return c.print(con.stdout, listing, ".", cleanMember(c.Path))
}

type narCat struct {
	Nar  string `arg:"" help:"File with the NAR, compressed or not; - is standard input."`
	Path string `arg:"" optional:"" help:"File in the NAR; by default the NAR's root, which must be a file."`
}

func (c *narCat) Run(ctx context.Context, con *console) error {
	return interruptible(ctx, func() error { return c.run(con) })
}

func (c *narCat) run(con *console) error {
	archive, err := openNAR(con, c.Nar)
	if err != nil {
		return err
	}
	defer archive.Close()
	return catMember(con.stdout, archive, cleanMember(c.Path))
}

// catMember writes the contents of the regular file at a path in a NAR.
func catMember(w io.Writer, archive io.Reader, member string) error {
	r := nar.NewReader(archive)
	for {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return fmt.Errorf("there is no %q in the NAR", member)
		case err != nil:
			return err
		case h.Path != member:
			continue
		}
		if err := checkRegular(member, h.Type, h.LinkTarget); err != nil {
			return err
		}
		_, err = r.WriteTo(w)
		return err
	}
}

func checkRegular(member string, typ nar.Type, target string) error {
	switch typ {
	case nar.TypeRegular:
		return nil
	case nar.TypeSymlink:
		return fmt.Errorf("%q is a symbolic link to %q, expected a regular file", member, target)
	}
	return fmt.Errorf("%q is a %v, expected a regular file", member, typ)
}

// cleanMember returns a path inside of a NAR in the form of nar.Header: "", "/"
// and "." are the root, "/bin/", "./bin" and "bin" the same file.
func cleanMember(p string) string {
	return strings.TrimPrefix(path.Clean("/"+p), "/")
}

// openNAR opens a file, or standard input for "-", and decompresses it if its
// first bytes are a signature.
func openNAR(con *console, name string) (io.ReadCloser, error) {
	file := io.NopCloser(con.stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		file = f
	}
	r := bufio.NewReaderSize(file, 64<<10)
	prefix, err := r.Peek(codec.DetectLen)
	if err != nil && err != io.EOF {
		file.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	compression := codec.Detect(prefix)
	if compression == "" {
		// Package nar gives the best error.
		compression = codec.None
	}
	// A plain file allows seeking, which skips large contents.
	if f, ok := file.(*os.File); ok && compression == codec.None {
		if _, err := f.Seek(0, io.SeekStart); err == nil {
			return f, nil
		}
	}
	archive, err := codec.NewReader(compression, r, codec.ReaderOptions{})
	if err != nil {
		file.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{archive, closers{archive, file}}, nil
}

// closers are closed one after the other.
type closers []io.Closer

func (cs closers) Close() error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
