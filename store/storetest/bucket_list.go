package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
)

// listPage returns the number of objects in a page of List.
func (s *suite) listPage() int {
	if s.features.ListPage > 0 {
		return s.features.ListPage
	}
	return 1000
}

func testList(t *testing.T, s *suite) {
	if s.features.NoList {
		s.run(t, "is unsupported", func(t *testing.T, b blob.Bucket) {
			var errs []error
			for _, err := range b.List(t.Context(), blob.ListOptions{}) {
				errs = append(errs, err)
			}
			require.Len(t, errs, 1)
			require.ErrorIs(t, errs[0], errors.ErrUnsupported)
		})
		return
	}

	s.run(t, "empty bucket", func(t *testing.T, b blob.Bucket) {
		require.Empty(t, list(t, b, blob.ListOptions{}))
	})

	s.run(t, "order and selection", func(t *testing.T, b blob.Bucket) {
		// '-' and '.' sort before '/', letters after it: a walk of
		// directories by name would differ from the order of bytes.
		keys := s.storable([]string{
			"a-file", "a.file", "a/1", "a/2/3", "a/2/4", "a/2-", "a0", "ab", "b", "nar/x", "nar/y", "narinfo", "z", "ä",
		})
		for _, key := range keys {
			put(t, b, key, []byte(key), blob.PutOptions{})
		}
		slices.Sort(keys)
		for _, tt := range []blob.ListOptions{
			{},
			{Prefix: "a"},
			{Prefix: "a/"},
			{Prefix: "a/2"},
			{Prefix: "a/2/"},
			{Prefix: "nar"},
			{Prefix: "nar/x"},
			{Prefix: "absent/"},
			{Prefix: "b/"},
			{Shallow: true},
			{Shallow: true, Prefix: "a"},
			{Shallow: true, Prefix: "a/"},
			{Shallow: true, Prefix: "a/2"},
			{StartAfter: "a/2"},
			{StartAfter: "a/2/3"},
			{StartAfter: "a/"},
			{StartAfter: "a/zzz"},
			{StartAfter: "a"},
			{StartAfter: "zz"},
			{StartAfter: "ä"},
			{StartAfter: "a/2/3", Prefix: "a/"},
			{StartAfter: "b", Prefix: "a/"},
			{StartAfter: "a", Prefix: "nar/"},
			{StartAfter: "a.file", Shallow: true},
			{StartAfter: "a/1", Prefix: "a/", Shallow: true},
		} {
			t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
				want := []string{}
				for _, key := range keys {
					rest, ok := strings.CutPrefix(key, tt.Prefix)
					if ok && key > tt.StartAfter && !(tt.Shallow && strings.Contains(rest, "/")) {
						want = append(want, key)
					}
				}
				assert.Equal(t, want, list(t, b, tt))
			})
		}
	})

	s.run(t, "attributes", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", []byte("content"), blob.PutOptions{})
		want, err := b.Head(t.Context(), "object")
		require.NoError(t, err)
		want.ContentType, want.ContentEncoding = "", "" // no listing of S3 has them
		for attrs, err := range b.List(t.Context(), blob.ListOptions{}) {
			require.NoError(t, err)
			assertAttrs(t, want, attrs)
		}
	})

	s.run(t, "more than a page", func(t *testing.T, b blob.Bucket) {
		var want []string
		var group errgroup.Group
		group.SetLimit(32)
		for i := range s.listPage()*2 + 3 {
			key := fmt.Sprintf("%s%05d", []string{"nar/", "x"}[i%2], i)
			want = append(want, key)
			group.Go(func() error {
				_, err := b.Put(t.Context(), key, bytes.NewReader([]byte{byte(i)}), blob.PutOptions{})
				return err
			})
		}
		require.NoError(t, group.Wait())
		slices.Sort(want)
		require.Equal(t, want, list(t, b, blob.ListOptions{}))

		narEnd, _ := slices.BinarySearch(want, "x")
		require.Equal(t, want[:narEnd], list(t, b, blob.ListOptions{Prefix: "nar/"}))
		require.Equal(t, want[narEnd:], list(t, b, blob.ListOptions{Shallow: true}))
		require.Equal(t, want[10:], list(t, b, blob.ListOptions{StartAfter: want[9]}))

		t.Run("stops when the caller does", func(t *testing.T) {
			n := 0
			for _, err := range b.List(t.Context(), blob.ListOptions{}) {
				require.NoError(t, err)
				if n++; n == 5 {
					break
				}
			}
			require.Equal(t, 5, n)
		})
		t.Run("is cancelled between pages", func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var errs []error
			n := 0
			for _, err := range b.List(ctx, blob.ListOptions{}) {
				if err != nil {
					errs = append(errs, err)
					continue
				}
				if n++; n == 5 {
					cancel(errGaveUp)
				}
			}
			require.Len(t, errs, 1, "one error, then nothing")
			require.ErrorIs(t, errs[0], errGaveUp)
			require.Less(t, n, len(want))
		})
	})
}
