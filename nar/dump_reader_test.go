package nar_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

// onlyReader hides WriteTo.
func onlyReader(d *nar.DumpReader) io.Reader { return struct{ io.Reader }{d} }

func TestDumpReader(t *testing.T) {
	path, node := makeTree(t)
	dump := func(w io.Writer) error { return nar.Dump(w, path) }
	t.Run("read", func(t *testing.T) {
		d := nar.NewDumpReader(t.Context(), dump)
		data, err := io.ReadAll(onlyReader(d))
		require.NoError(t, err)
		assert.Equal(t, archive(node), string(data))
		require.NoError(t, d.Close())
	})
	t.Run("copied", func(t *testing.T) {
		var out bytes.Buffer
		d := nar.NewDumpReader(t.Context(), dump)
		n, err := io.Copy(&out, d)
		require.NoError(t, err)
		assert.EqualValues(t, out.Len(), n)
		assert.Equal(t, archive(node), out.String())
	})
	t.Run("read, then copied", func(t *testing.T) {
		var out bytes.Buffer
		d := nar.NewDumpReader(t.Context(), dump)
		_, err := io.CopyN(&out, d, 100)
		require.NoError(t, err)
		_, err = io.Copy(&out, d)
		require.NoError(t, err)
		assert.Equal(t, archive(node), out.String())
		require.NoError(t, d.Close())
	})
	t.Run("closed early", func(t *testing.T) {
		ended := errors.New("not called")
		d := nar.NewDumpReader(t.Context(), func(w io.Writer) error {
			ended = dump(w)
			return ended
		})
		_, err := io.CopyN(io.Discard, onlyReader(d), 100)
		require.NoError(t, err)
		require.NoError(t, d.Close())
		assert.Error(t, ended, "the dump has ended with an error, since its reader is closed")
		_, err = d.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.ErrClosedPipe)
	})
	t.Run("never used", func(t *testing.T) {
		require.NoError(t, nar.NewDumpReader(t.Context(), dump).Close())
	})
}

// Each way to take the archive out, with what happens in the function.
func TestDumpReaderFails(t *testing.T) {
	failure := errors.New("failure")
	drains := map[string]func(*nar.DumpReader) error{
		"read": func(d *nar.DumpReader) error {
			_, err := io.Copy(io.Discard, onlyReader(d))
			return err
		},
		"copied": func(d *nar.DumpReader) error {
			_, err := io.Copy(io.Discard, d)
			return err
		},
	}
	for name, drain := range drains {
		t.Run(name, func(t *testing.T) {
			t.Run("error", func(t *testing.T) {
				d := nar.NewDumpReader(t.Context(), func(io.Writer) error { return failure })
				assert.ErrorIs(t, drain(d), failure)
				require.NoError(t, d.Close())
			})
			t.Run("panic", func(t *testing.T) {
				d := nar.NewDumpReader(t.Context(), func(io.Writer) error { panic("in the dump") })
				assert.PanicsWithValue(t, "in the dump", func() { drain(d) })
				require.NoError(t, d.Close(), "the panic was seen")
			})
			t.Run("context", func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				d := nar.NewDumpReader(ctx, func(w io.Writer) error {
					cancel(failure)
					for { // ends by an error of Write alone
						if _, err := w.Write([]byte("x")); err != nil {
							return err
						}
					}
				})
				assert.ErrorIs(t, drain(d), failure)
				require.NoError(t, d.Close())
			})
		})
	}
	t.Run("Goexit", func(t *testing.T) {
		d := nar.NewDumpReader(t.Context(), func(io.Writer) error {
			runtime.Goexit()
			return nil
		})
		assert.Error(t, drains["read"](d))
		require.NoError(t, d.Close())
	})
	t.Run("panic after Close", func(t *testing.T) {
		d := nar.NewDumpReader(t.Context(), func(w io.Writer) error {
			w.Write([]byte("x"))
			_, err := w.Write([]byte("y"))
			panic(err)
		})
		_, err := d.Read(make([]byte, 1))
		require.NoError(t, err)
		assert.Panics(t, func() { d.Close() })
	})
}
