package presence_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/presence"
)

var start = time.Date(2026, 11, 25, 19, 0, 0, 0, time.UTC)

func newKey(t testing.TB, name string) narinfo.SecretKey {
	key, err := narinfo.GenerateKey(name, bytes.NewReader(bytes.Repeat([]byte(name), 64)))
	require.NoError(t, err)
	return key
}

// keysOf returns n keys of paths from a number on.
func keysOf(t testing.TB, from, n int) []uint64 {
	keys := make([]uint64, n)
	for i := range keys {
		sum := sha256.Sum256(fmt.Append(nil, from+i))
		key, err := presence.Key(nixhash.EncodeNix32(sum[:20]))
		require.NoError(t, err)
		keys[i] = key
	}
	return keys
}

func encode(t testing.TB, keys []uint64, signers ...narinfo.Signer) []byte {
	x, err := presence.New("ci", storepath.Default, start, time.Hour)
	require.NoError(t, err)
	data, err := x.Encode(t.Context(), keys, signers...)
	require.NoError(t, err)
	return data
}

func TestFilter(t *testing.T) {
	key := newKey(t, "ci-1")
	for _, n := range []int{0, 1, 2, 3, 4, 5, 10, 100, 1000, 100_000} {
		keys := keysOf(t, 0, n)
		data := encode(t, append(keys, keys[:n/2]...), key) // some twice
		x, err := presence.Parse(data, narinfo.TrustedKeys{key.Public()})
		require.NoError(t, err, n)
		for _, k := range keysOf(t, 0, n) {
			require.True(t, x.Has(k), n)
		}
		falsely := 0
		for _, k := range keysOf(t, 1_000_000, 20_000) {
			if x.Has(k) {
				falsely++
			}
		}
		require.Less(t, falsely, 20_000/100, "1 of 256 is expected")
		if n == 0 {
			require.Zero(t, falsely)
		}
		if n >= 100_000 {
			require.Less(t, float64(len(data))/float64(n), 1.3, "bytes a path")
			t.Logf("%d paths: %.3f bytes a path, %.2f %% false", n, float64(len(data))/float64(n), float64(falsely)/200)
		}
	}
}

func TestKey(t *testing.T) {
	for _, bad := range []string{"", "e", strings.Repeat("0", 31), strings.Repeat("0", 52)} {
		_, err := presence.Key(bad)
		require.Error(t, err, bad)
	}
}

func TestNew(t *testing.T) {
	for name, lifetime := range map[string]time.Duration{
		"": time.Hour, "a b": time.Hour, "a\nSig:x": time.Hour, strings.Repeat("x", 257): time.Hour, "ä": time.Hour,
		"none": 0, "negative": -time.Hour, "long": presence.MaxLifetime + time.Second, "short": time.Millisecond,
	} {
		_, err := presence.New(name, storepath.Default, start, lifetime)
		require.ErrorIs(t, err, presence.ErrFormat, name)
	}
	_, err := presence.New("ci", "nix", start, time.Hour)
	require.ErrorIs(t, err, presence.ErrFormat)
}

func TestCheck(t *testing.T) {
	x, err := presence.New("ci", storepath.Default, start, time.Hour)
	require.NoError(t, err)
	for _, tt := range []struct {
		name  string
		cache string
		dir   storepath.Dir
		after time.Duration
		err   error
	}{
		{"fresh", "ci", "/nix/store", 0, nil},
		{"almost old", "ci", "/nix/store", time.Hour - 1, nil},
		{"old", "ci", "/nix/store", time.Hour, presence.ErrExpired},
		{"a clock that is late", "ci", "/nix/store", -time.Minute, nil},
		{"of the future", "ci", "/nix/store", -time.Hour, presence.ErrFormat},
		{"of another cache", "prod", "/nix/store", 0, presence.ErrOther},
		{"of another store directory", "ci", "/gnu/store", 0, presence.ErrOther},
	} {
		require.ErrorIs(t, x.Check(tt.cache, tt.dir, start.Add(tt.after)), tt.err, tt.name)
	}
}

func TestSignatures(t *testing.T) {
	old, current, other := newKey(t, "ci-1"), newKey(t, "ci-2"), newKey(t, "other-1")
	forged, err := narinfo.GenerateKey("ci-1", bytes.NewReader(bytes.Repeat([]byte("forged"), 64)))
	require.NoError(t, err)
	keys := keysOf(t, 0, 10)
	data := encode(t, keys, old, current)
	for _, trusted := range []narinfo.TrustedKeys{{old.Public()}, {current.Public()}, {other.Public(), current.Public()}} {
		_, err := presence.Parse(data, trusted)
		require.NoError(t, err)
	}
	for _, trusted := range []narinfo.TrustedKeys{nil, {}, {other.Public()}, {forged.Public()}} {
		_, err := presence.Parse(data, trusted)
		require.ErrorIs(t, err, presence.ErrUntrusted)
	}
	_, err = presence.Parse(encode(t, keys), narinfo.TrustedKeys{old.Public()})
	require.ErrorIs(t, err, presence.ErrUntrusted)

	wrong := wrongSigner{old, other}
	x, err := presence.New("ci", storepath.Default, start, time.Hour)
	require.NoError(t, err)
	_, err = x.Encode(t.Context(), keys, wrong)
	require.ErrorContains(t, err, "does not verify")
}

// wrongSigner is a service that has another key than it says.
type wrongSigner struct{ says, has narinfo.SecretKey }

func (s wrongSigner) KeyName() string           { return s.says.KeyName() }
func (s wrongSigner) Public() narinfo.PublicKey { return s.says.Public() }
func (s wrongSigner) Sign(ctx context.Context, data []byte) (narinfo.Signature, error) {
	sig, err := s.has.Sign(ctx, data)
	sig.KeyName = s.says.KeyName()
	return sig, err
}

// Every change of a byte, every truncation and every addition is refused.
func TestTampering(t *testing.T) {
	key := newKey(t, "ci-1")
	keys := narinfo.TrustedKeys{key.Public()}
	good := encode(t, keysOf(t, 0, 20), key)
	sig := bytes.Index(good, []byte("\n\n"))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		_, err := presence.Parse(bad, keys)
		if i < sig-3 || i > sig { // base64 has bits that mean nothing at its end
			require.Error(t, err, i)
		}
		_, err = presence.Parse(good[:i], keys)
		require.Error(t, err, i)
	}
	_, err := presence.Parse(append(good, 0), keys)
	require.ErrorIs(t, err, presence.ErrFormat)
	_, err = presence.Parse([]byte(strings.Repeat("x", 1<<20)), keys)
	require.ErrorIs(t, err, presence.ErrFormat)
}

// sign makes an index as a trusted signer with faults of its own would.
func sign(t testing.TB, key narinfo.SecretKey, body []byte, lines ...string) []byte {
	sum := sha256.Sum256(body)
	head := strings.Join(lines, "\n") + "\n"
	head = strings.ReplaceAll(head, "BODY", fmt.Sprintf("%d %s", len(body), nixhash.FromSHA256(sum)))
	sig, err := key.Sign(t.Context(), []byte(head))
	require.NoError(t, err)
	return append([]byte(head+"Sig: "+sig.String()+"\n\n"), body...)
}

func fuse(length, count uint32, slots int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, 1)
	b = binary.LittleEndian.AppendUint32(b, length)
	b = binary.LittleEndian.AppendUint32(b, count)
	return append(b, make([]byte, slots)...)
}

func TestSignedButMalformed(t *testing.T) {
	key := newKey(t, "ci-1")
	lines := []string{"nixs3-presence: 1", "Cache: ci", "StoreDir: /nix/store", "Time: 2026-11-25T19:00:00Z",
		"Expires: 2026-11-25T20:00:00Z", "Paths: 1", "Filter: binary-fuse8 BODY"}
	with := func(i int, line string) []string {
		changed := append([]string{}, lines...)
		changed[i] = line
		return changed
	}
	good := fuse(4, 1, 12)
	x, err := presence.Parse(sign(t, key, good, lines...), narinfo.TrustedKeys{key.Public()})
	require.NoError(t, err)
	for i := range uint64(1000) {
		x.Has(i * 0x9E3779B97F4A7C15)
	}
	for name, data := range map[string][]byte{
		"another version":       sign(t, key, good, with(0, "nixs3-presence: 2")...),
		"no name":               sign(t, key, good, with(1, "Cache: ")...),
		"an odd directory":      sign(t, key, good, with(2, "StoreDir: nix")...),
		"no time":               sign(t, key, good, with(3, "Time: yesterday")...),
		"a time in another way": sign(t, key, good, with(3, "Time: 2026-11-25T19:00:00+00:00")...),
		"expired at once":       sign(t, key, good, with(4, "Expires: 2026-11-25T19:00:00Z")...),
		"a long life":           sign(t, key, good, with(4, "Expires: 2036-11-25T19:00:00Z")...),
		"a negative number":     sign(t, key, good, with(5, "Paths: -1")...),
		"another filter":        sign(t, key, good, with(6, "Filter: bloom BODY")...),
		"a field too few":       sign(t, key, good, lines[:6]...),
		"a field too many":      sign(t, key, good, append(lines[:7:7], "X: y")...),
		"another order":         sign(t, key, good, lines[1], lines[0], lines[2], lines[3], lines[4], lines[5], lines[6]),
		"no filter":             sign(t, key, nil, lines...),
		"a short filter":        sign(t, key, good[:15], lines...),
		"segments of no bytes":  sign(t, key, fuse(0, 1, 0), lines...),
		"segments of 3 bytes":   sign(t, key, fuse(3, 1, 9), lines...),
		"huge segments":         sign(t, key, fuse(1<<19, 1, 3<<19), lines...),
		"no segments":           sign(t, key, fuse(4, 0, 8), lines...),
		"too few slots":         sign(t, key, fuse(4, 1, 11), lines...),
		"a product that wraps":  sign(t, key, fuse(1<<18, 1<<14-2, 0), lines...),
		"segments that wrap":    sign(t, key, fuse(1, 1<<32-2, 0), lines...),
	} {
		_, err := presence.Parse(data, narinfo.TrustedKeys{key.Public()})
		require.ErrorIs(t, err, presence.ErrFormat, name)
	}
}

func FuzzParse(f *testing.F) {
	key := newKey(f, "ci-1")
	f.Add([]byte("nixs3-presence: 1\nCache: ci\nStoreDir: /nix/store\nTime: 2026-11-25T19:00:00Z\nExpires: 2026-11-25T20:00:00Z\nPaths: 1\nFilter: binary-fuse8 BODY\n"), fuse(4, 1, 12), true)
	f.Add([]byte("nixs3-presence: 1\n"), []byte{}, true)
	f.Add(encode(f, keysOf(f, 0, 3), key), []byte{}, false)
	f.Fuzz(func(t *testing.T, head, body []byte, signed bool) {
		data := append(bytes.Clone(head), body...)
		if signed {
			data = sign(t, key, body, strings.TrimSuffix(string(head), "\n"))
		}
		x, err := presence.Parse(data, narinfo.TrustedKeys{key.Public()})
		if err != nil {
			return
		}
		for i := range uint64(100) {
			x.Has(i * 0x9E3779B97F4A7C15)
		}
	})
}
