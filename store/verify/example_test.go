package verify_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/verify"
)

// exampleCache returns a cache in memory with one path.
func exampleCache(ctx context.Context) (*store.Cache, *narinfo.NarInfo, error) {
	cache, err := store.Open(ctx, "mem://?compression=none")
	if err != nil {
		return nil, nil, err
	}
	var archive strings.Builder
	w := nar.NewWriter(&archive)
	if err := w.WriteHeader(&nar.Header{Type: nar.TypeSymlink, LinkTarget: "/etc"}); err != nil {
		return nil, nil, err
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	p, err := storepath.ParseBase("p4pclmv1gyja5kzc26npqpia1qqxrf0l-etc")
	if err != nil {
		return nil, nil, err
	}
	info, err := cache.Add(ctx, &narinfo.PathInfo{StoreDir: storepath.Default, Path: p}, strings.NewReader(archive.String()), store.AddOptions{})
	return cache, info, err
}

// A cache loses an archive. Check finds that, and Repair takes it from another.
func Example() {
	ctx := context.Background()
	cache, info, err := exampleCache(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	mirror, _, err := exampleCache(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := cache.Bucket().Delete(ctx, info.URL); err != nil {
		fmt.Println(err)
		return
	}
	var findings []verify.Finding
	for f, err := range verify.Check(ctx, cache, verify.Options{Depth: verify.Contents}) {
		if err != nil { // an object that could not be examined, or the end of the check
			fmt.Println(err)
			return
		}
		fmt.Println(f.Kind, "of", f.Path.Name(), "is mended by:", f.Kind.Remedy())
		findings = append(findings, f)
	}
	report, err := verify.Repair(ctx, cache, slices.Values(findings), verify.RepairOptions{From: []store.Source{mirror}})
	fmt.Println(report.Changed, "mended,", err)
	_, err = cache.Bucket().Head(ctx, info.URL)
	fmt.Println(err == nil)
	// Output:
	// archive-missing of etc is mended by: refetch
	// 1 mended, <nil>
	// true
}

func ExampleSign() {
	ctx := context.Background()
	cache, info, err := exampleCache(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := narinfo.GenerateKey("cache.example.org-2", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := verify.Sign(ctx, cache, []storepath.Path{info.Path}, verify.SignOptions{
		Signers:    []narinfo.Signer{key},
		RemoveKeys: []string{"cache.example.org-1"},
	})
	fmt.Println(report.Changed, "signed,", err)
	// Output:
	// 1 signed, <nil>
}

func ExampleMirror() {
	ctx := context.Background()
	src, info, err := exampleCache(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	dst, err := store.Open(ctx, "mem://")
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := verify.Mirror(ctx, dst, src, verify.MirrorOptions{BytesPerSecond: 10 << 20})
	fmt.Println(report.Changed, "copied,", err)
	for a, err := range dst.Bucket().List(ctx, blob.ListOptions{Prefix: "nar/"}) {
		fmt.Println(a.Key == info.URL, err)
	}
	// Output:
	// 1 copied, <nil>
	// true <nil>
}
