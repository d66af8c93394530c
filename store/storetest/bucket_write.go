package storetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
)

func testPut(t *testing.T, s *suite) {
	for _, size := range []int{0, 1, 4096, 1 << 20, 12<<20 + 5} {
		s.run(t, fmt.Sprintf("%d bytes", size), func(t *testing.T, b blob.Bucket) {
			data := noise(uint64(size), size)
			put(t, b, "nar/object", data, blob.PutOptions{})
			requireObject(t, b, "nar/object", data)
		})
	}
	s.run(t, "part of a larger content", func(t *testing.T, b blob.Bucket) {
		data := noise(1, 300000)
		_, err := b.Put(t.Context(), "object", io.NewSectionReader(bytes.NewReader(data), 1000, 200000), blob.PutOptions{})
		require.NoError(t, err)
		requireObject(t, b, "object", data[1000:201000])
	})
	s.run(t, "overwrites", func(t *testing.T, b blob.Bucket) {
		for i, size := range []int{100, 10, 1000, 0} {
			data := noise(uint64(i), size)
			put(t, b, "object", data, blob.PutOptions{})
			requireObject(t, b, "object", data)
		}
	})
	s.run(t, "right digest", func(t *testing.T, b blob.Bucket) {
		data := noise(1, 100000)
		sum := sha256.Sum256(data)
		put(t, b, "object", data, blob.PutOptions{SHA256: &sum})
		requireObject(t, b, "object", data)
	})
	if !s.features.NoChecksum {
		s.run(t, "wrong digest", func(t *testing.T, b blob.Bucket) {
			data := noise(1, 100000)
			sum := sha256.Sum256(data[1:])
			_, err := b.Put(t.Context(), "object", bytes.NewReader(data), blob.PutOptions{SHA256: &sum})
			require.ErrorIs(t, err, blob.ErrChecksum)
			requireAbsent(t, b, "object")
		})
	}
	for _, tt := range []struct {
		name    string
		content blob.Content
	}{
		{"content that fails", brokenContent{size: 6 << 20, good: 2 << 20, err: errBroken}},
		{"content shorter than it says", brokenContent{size: 6 << 20, good: 2 << 20, err: io.EOF}},
	} {
		s.run(t, tt.name, func(t *testing.T, b blob.Bucket) {
			_, err := b.Put(t.Context(), "new", tt.content, blob.PutOptions{})
			require.Error(t, err)
			requireAbsent(t, b, "new")

			old := noise(3, 1000)
			put(t, b, "old", old, blob.PutOptions{})
			_, err = b.Put(t.Context(), "old", tt.content, blob.PutOptions{})
			require.Error(t, err)
			requireObject(t, b, "old", old)
			if !s.features.NoList {
				require.Equal(t, []string{"old"}, list(t, b, blob.ListOptions{}), "nothing remains of the attempt")
			}
		})
	}
}

var errBroken = errors.New("content is broken on purpose")

// brokenContent fails after its good bytes.
type brokenContent struct {
	size, good int64
	err        error
}

func (c brokenContent) Size() int64 { return c.size }

func (c brokenContent) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), c.good-off)))
	clear(p[:n])
	if n < len(p) {
		return n, c.err
	}
	return n, nil
}

func testConditions(t *testing.T, s *suite) {
	if s.features.NoConditionalWrites {
		t.Skip("the driver has no conditional writes")
	}
	s.run(t, "IfNoneMatch", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", []byte("first"), blob.PutOptions{IfNoneMatch: true})
		_, err := b.Put(t.Context(), "object", bytes.NewReader([]byte("second")), blob.PutOptions{IfNoneMatch: true})
		require.ErrorIs(t, err, blob.ErrPrecondition)
		requireObject(t, b, "object", []byte("first"))
		require.NoError(t, b.Delete(t.Context(), "object"))
		put(t, b, "object", []byte("third"), blob.PutOptions{IfNoneMatch: true})
		requireObject(t, b, "object", []byte("third"))
	})
	s.run(t, "IfMatch", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", []byte("first"), blob.PutOptions{})
		first, err := b.Head(t.Context(), "object")
		require.NoError(t, err)
		put(t, b, "object", []byte("second"), blob.PutOptions{IfMatch: first.ETag})
		_, err = b.Put(t.Context(), "object", bytes.NewReader([]byte("third")), blob.PutOptions{IfMatch: first.ETag})
		require.ErrorIs(t, err, blob.ErrPrecondition)
		requireObject(t, b, "object", []byte("second"))
	})
	s.run(t, "IfMatch without an object", func(t *testing.T, b blob.Bucket) {
		_, err := b.Put(t.Context(), "object", bytes.NewReader([]byte("x")), blob.PutOptions{IfMatch: `"5d41402abc4b2a76b9719d911017c592"`})
		require.ErrorIs(t, err, blob.ErrPrecondition)
		requireAbsent(t, b, "object")
	})
	s.run(t, "IfNoneMatch, 16 at once", func(t *testing.T, b blob.Bucket) {
		race(t, b, func(int) blob.PutOptions { return blob.PutOptions{IfNoneMatch: true} })
	})
	s.run(t, "IfMatch, 16 at once", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", []byte("old"), blob.PutOptions{})
		old, err := b.Head(t.Context(), "object")
		require.NoError(t, err)
		race(t, b, func(int) blob.PutOptions { return blob.PutOptions{IfMatch: old.ETag} })
	})
}

// race has 16 writers store one object. Exactly one succeeds, and the object has
// its content.
func race(t *testing.T, b blob.Bucket, opts func(writer int) blob.PutOptions) {
	t.Helper()
	const writers = 16
	var errs [writers]error
	var group errgroup.Group
	for i := range writers {
		group.Go(func() error {
			_, errs[i] = b.Put(t.Context(), "object", bytes.NewReader(noise(uint64(i), 1000+i)), opts(i))
			return nil
		})
	}
	require.NoError(t, group.Wait())
	winner := -1
	for i, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, blob.ErrPrecondition)
			continue
		}
		require.Equal(t, -1, winner, "a second writer succeeded")
		winner = i
	}
	require.NotEqual(t, -1, winner, "no writer succeeded")
	requireObject(t, b, "object", noise(uint64(winner), 1000+winner))
}

func testDelete(t *testing.T, s *suite) {
	s.run(t, "nothing", func(t *testing.T, b blob.Bucket) {
		require.NoError(t, b.Delete(t.Context()))
	})
	s.run(t, "what does not exist", func(t *testing.T, b blob.Bucket) {
		require.NoError(t, b.Delete(t.Context(), "absent", "absent/too"))
	})
	s.run(t, "a batch, and nothing else", func(t *testing.T, b blob.Bucket) {
		var keys []string
		var group errgroup.Group
		group.SetLimit(32)
		for i := range s.listPage() + 7 {
			key := fmt.Sprintf("nar/%04d", i)
			keys = append(keys, key)
			group.Go(func() error {
				_, err := b.Put(t.Context(), key, bytes.NewReader([]byte(key)), blob.PutOptions{})
				return err
			})
		}
		require.NoError(t, group.Wait())
		put(t, b, "nar/0000x", []byte("kept"), blob.PutOptions{})
		put(t, b, "nar/000", []byte("kept"), blob.PutOptions{})

		require.NoError(t, b.Delete(t.Context(), append(keys, "absent")...))
		for _, key := range []string{keys[0], keys[1], keys[len(keys)/2], keys[len(keys)-1]} {
			requireAbsent(t, b, key)
		}
		requireObject(t, b, "nar/0000x", []byte("kept"))
		requireObject(t, b, "nar/000", []byte("kept"))
		if !s.features.NoList {
			require.Equal(t, []string{"nar/000", "nar/0000x"}, list(t, b, blob.ListOptions{}))
		}
	})
	s.run(t, "a key more than once", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", []byte("x"), blob.PutOptions{})
		require.NoError(t, b.Delete(t.Context(), "object", "object"))
		requireAbsent(t, b, "object")
	})
}

func testStage(t *testing.T, s *suite) {
	stage := func(t *testing.T, b blob.Bucket) blob.Staged {
		stager, ok := blob.As[blob.Stager](b)
		if !ok {
			t.Skip("the driver is not a blob.Stager")
		}
		staged, err := stager.Stage(t.Context())
		require.NoError(t, err)
		return staged
	}
	s.run(t, "commit", func(t *testing.T, b blob.Bucket) {
		staged := stage(t, b)
		data := noise(1, 3<<20)
		for chunk := range slices.Chunk(data, 700000) {
			n, err := staged.Write(chunk)
			require.NoError(t, err)
			require.Equal(t, len(chunk), n)
		}
		if !s.features.NoList {
			require.Empty(t, list(t, b, blob.ListOptions{}), "what is staged is not listed")
		}
		attrs, err := staged.Commit("nar/object", blob.PutOptions{})
		require.NoError(t, err)
		assert.Equal(t, "nar/object", attrs.Key)
		assert.EqualValues(t, len(data), attrs.Size)
		require.NoError(t, staged.Close())
		require.NoError(t, staged.Close())
		requireObject(t, b, "nar/object", data)
	})
	s.run(t, "discard", func(t *testing.T, b blob.Bucket) {
		staged := stage(t, b)
		_, err := staged.Write([]byte("discarded"))
		require.NoError(t, err)
		require.NoError(t, staged.Close())
		if !s.features.NoList {
			require.Empty(t, list(t, b, blob.ListOptions{}))
		}
	})
	s.run(t, "commit where an object is", func(t *testing.T, b blob.Bucket) {
		if s.features.NoConditionalWrites {
			t.Skip("the driver has no conditional writes")
		}
		staged := stage(t, b)
		put(t, b, "object", []byte("first"), blob.PutOptions{})
		_, err := staged.Write([]byte("second"))
		require.NoError(t, err)
		_, err = staged.Commit("object", blob.PutOptions{IfNoneMatch: true})
		require.ErrorIs(t, err, blob.ErrPrecondition)
		require.NoError(t, staged.Close())
		requireObject(t, b, "object", []byte("first"))
	})
}

func testCopy(t *testing.T, s *suite) {
	s.run(t, "an object", func(t *testing.T, b blob.Bucket) {
		copier, ok := blob.As[blob.Copier](b)
		if !ok {
			t.Skip("the driver is not a blob.Copier")
		}
		data := noise(1, 1<<20)
		put(t, b, "from +here", data, blob.PutOptions{})
		attrs, err := copier.CopyFrom(t.Context(), "to +there", b, "from +here", blob.PutOptions{})
		require.NoError(t, err)
		assert.Equal(t, "to +there", attrs.Key)
		assert.EqualValues(t, len(data), attrs.Size)
		requireObject(t, b, "to +there", data)

		_, err = copier.CopyFrom(t.Context(), "to", b, "absent", blob.PutOptions{})
		require.ErrorIs(t, err, blob.ErrNotFound)
		requireAbsent(t, b, "to")

		_, err = copier.CopyFrom(t.Context(), "to", foreignBucket{b}, "from +here", blob.PutOptions{})
		require.ErrorIs(t, err, errors.ErrUnsupported)
	})
}

// foreignBucket is a bucket of a type that no driver recognises.
type foreignBucket struct{ blob.Bucket }
