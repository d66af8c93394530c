package narinfo_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// sorted returns a narinfo with n references, in order, and its text.
func sorted(b *testing.B, n int) (*narinfo.NarInfo, []byte) {
	b.Helper()
	info := narInfoWith(b, n)
	slices.SortFunc(info.References, storepath.Path.Compare)
	text, err := info.MarshalText()
	require.NoError(b, err)
	return info, text
}

func BenchmarkParse(b *testing.B) {
	for _, refs := range []int{6, 50, 20_000} {
		b.Run(fmt.Sprintf("references=%d", refs), func(b *testing.B) {
			_, text := sorted(b, refs)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := narinfo.Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendText(b *testing.B) {
	for _, refs := range []int{6, 50} {
		b.Run(fmt.Sprintf("references=%d", refs), func(b *testing.B) {
			info, text := sorted(b, refs)
			buf := make([]byte, 0, len(text))
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := info.AppendText(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFingerprint(b *testing.B) {
	for _, refs := range []int{6, 50, 20_000} {
		for _, order := range []string{"sorted", "shuffled"} {
			b.Run(fmt.Sprintf("references=%d/%s", refs, order), func(b *testing.B) {
				info, _ := sorted(b, refs)
				if order == "shuffled" {
					rand.New(rand.NewPCG(5, 6)).Shuffle(refs, func(i, j int) {
						info.References[i], info.References[j] = info.References[j], info.References[i]
					})
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := info.Fingerprint(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkSign(b *testing.B) {
	info, _ := sorted(b, 6)
	key, err := narinfo.GenerateKey("bench-1", nil)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		info.Signatures = nil
		if err := info.Sign(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify measures reading and verifying a narinfo on all cores, and the
// verification of its signature alone.
func BenchmarkVerify(b *testing.B) {
	key, err := narinfo.GenerateKey("bench-1", nil)
	require.NoError(b, err)
	info, _ := sorted(b, 6)
	info.Signatures = nil
	require.NoError(b, info.Sign(b.Context(), key))
	text, err := info.MarshalText()
	require.NoError(b, err)
	fingerprint, err := info.AppendFingerprint(nil)
	require.NoError(b, err)
	keys := narinfo.TrustedKeys{key.Public()}

	b.Run("narinfo", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				n, err := narinfo.Parse(text)
				if err == nil {
					err = keys.Verify(&n.PathInfo)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("ed25519", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !key.Public().Verify(fingerprint, info.Signatures[0]) {
					b.Error("does not verify")
					return
				}
			}
		})
	})
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	text := []byte(fromCorpus(t, wrapperBase))
	n := parse(t, string(text))
	key, keys := secret(t, "lab-cache-1"), trusted(t, "lab-cache-1")
	var verified atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				sig, err := key.Sign(t.Context(), text)
				if err == nil && key.Public().Verify(text, sig) && keys.Verify(&n.PathInfo) == nil {
					verified.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 8*50, verified.Load())
}
