package narinfo_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
)

func TestKeysAreNix(t *testing.T) {
	for _, name := range []string{"lab-cache-1", "other-2"} {
		t.Run(name, func(t *testing.T) {
			secretText := readFile(t, "testdata/keys/"+name+".sec")
			publicText := readFile(t, "testdata/keys/"+name+".pub")
			for _, text := range []string{secretText, secretText + "\n", "\n " + secretText + "\r\n"} {
				key, err := narinfo.ParseSecretKey(text)
				require.NoError(t, err)
				assert.Equal(t, name, key.KeyName())
				assert.Equal(t, publicText, key.Public().String())
				assert.Equal(t, secretText, key.Reveal())
			}
			public, err := narinfo.ParsePublicKey(publicText + "\n")
			require.NoError(t, err)
			assert.Equal(t, name, public.Name())
			assert.Equal(t, publicText, public.String())
		})
	}
}

func TestGenerateKey(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, 32)
	a, err := narinfo.GenerateKey("cache.example.org-1", bytes.NewReader(seed))
	require.NoError(t, err)
	assert.Equal(t, "cache.example.org-1:"+base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed(seed)), a.Reveal())

	b, err := narinfo.GenerateKey("cache.example.org-1", nil)
	require.NoError(t, err)
	c, err := narinfo.GenerateKey("cache.example.org-1", nil)
	require.NoError(t, err)
	assert.NotEqual(t, b.Reveal(), c.Reveal())

	again, err := narinfo.ParseSecretKey(b.Reveal())
	require.NoError(t, err)
	assert.Equal(t, b.Public(), again.Public())

	_, err = narinfo.GenerateKey("", nil)
	require.ErrorContains(t, err, "key name is empty")
	_, err = narinfo.GenerateKey("a:b", nil)
	require.ErrorContains(t, err, `generate key "a:b": key name has ':' at byte 1`)
	_, err = narinfo.GenerateKey("a", iotest.ErrReader(errors.New("no entropy")))
	require.ErrorContains(t, err, "no entropy")
	_, err = narinfo.GenerateKey("a", bytes.NewReader(seed[:31]))
	require.Error(t, err)
}

func TestSecretKeyRefuses(t *testing.T) {
	good := readFile(t, "testdata/keys/lab-cache-1.sec")
	name, data, _ := strings.Cut(good, ":")
	raw, err := base64.StdEncoding.DecodeString(data)
	require.NoError(t, err)
	mixed := append(raw[:32:32], make([]byte, 32)...)
	for _, test := range []struct{ name, text, message string }{
		{"empty", "", "no colon"},
		{"no name", ":" + data, "key name is empty"},
		{"no key", name + ":", "0 characters of base64, expected 88"},
		{"a public key", readFile(t, "testdata/keys/lab-cache-1.pub"), "44 characters of base64, expected 88"},
		{"not base64", name + ":" + strings.Repeat("*", 88), "malformed base64"},
		{"halves of two keys", name + ":" + base64.StdEncoding.EncodeToString(mixed), "does not belong to its seed"},
		{"two keys", good + "\n" + good, "expected 88"},
		{"no colon", data, "no colon"},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := narinfo.ParseSecretKey(test.text)
			require.ErrorContains(t, err, test.message)
			assert.True(t, key.IsZero())
			assert.NotContains(t, err.Error(), data[:20])
		})
	}
}

// mistaken are texts with a secret key, in place of SECRET, in a wrong place or
// form.
var mistaken = []string{
	"SECRET", "SECRET:name", "SECRET\nname:x", "name SECRET:x", "name\nSECRET:x", "name=SECRET", "name SECRET",
	"SECRET:", ":SECRET", "name:SECRET!", "name: SECRET", "na me:SECRET", "SECRET:SECRET!", "name:x:SECRET", "\xff SECRET:x",
	"name:SECRET SECRET:name", "SECRETSECRETSECRETSECRET:x",
}

// keyParsers are all functions that read keys.
var keyParsers = map[string]func(text string) error{
	"ParseSecretKey":   func(text string) error { _, err := narinfo.ParseSecretKey(text); return err },
	"ParsePublicKey":   func(text string) error { _, err := narinfo.ParsePublicKey(text); return err },
	"ParseTrustedKeys": func(text string) error { _, err := narinfo.ParseTrustedKeys(text); return err },
}

// requireNoSecret fails if the message contains a part of the secret that is too
// long to occur by chance.
func requireNoSecret(t *testing.T, message, secret string) {
	t.Helper()
	const part = 8
	for i := range len(secret) - part + 1 {
		require.NotContains(t, message, secret[i:i+part])
	}
}

func TestNoErrorQuotesAKey(t *testing.T) {
	_, data, _ := strings.Cut(readFile(t, "testdata/keys/lab-cache-1.sec"), ":")
	for name, parse := range keyParsers {
		for _, shape := range mistaken {
			t.Run(name+" of "+shape, func(t *testing.T) {
				err := parse(strings.ReplaceAll(shape, "SECRET", data))
				require.Error(t, err)
				requireNoSecret(t, err.Error(), data)
			})
		}
	}
}

func TestKeyNames(t *testing.T) {
	key := strings.Repeat("A", 43) + "="
	for name, message := range map[string]string{
		"cache.example.org-1":       "",
		"Zwischenlager-für-München": "",
		"a=b/c+d":                   "",
		"":                          "key name is empty",
		"a b":                       "key name has ' ' at byte 1, expected no colon, white space or control character",
		"a\x1b[2J":                  `key name has '\x1b' at byte 1`,
		"a\x7f":                     `key name has '\x7f' at byte 1`,
		"ü\u009b2J":                 `key name has '\u009b' at byte 2`,
		"a\u00a0b":                  `key name has '\u00a0' at byte 1`,
		"a\u2028b":                  `key name has '\u2028' at byte 1`,
		"a\x9b2J":                   "key name is not valid UTF-8",
		"a\xc3":                     "key name is not valid UTF-8",
		strings.Repeat("x", 256):    "key name has 256 bytes, at most 255 are allowed",
	} {
		t.Run(name, func(t *testing.T) {
			public, err := narinfo.ParsePublicKey(name + ":" + key)
			if message == "" {
				require.NoError(t, err)
				assert.Equal(t, name, public.Name())
				return
			}
			require.ErrorContains(t, err, message)
			_, err = narinfo.GenerateKey(name, nil)
			require.ErrorContains(t, err, message)
			_, err = narinfo.ParseSignature(name + ":" + strings.Repeat("A", 86) + "==")
			require.ErrorContains(t, err, message)
		})
	}
}

func TestSignersCompare(t *testing.T) {
	key, again := secret(t, "lab-cache-1"), secret(t, "lab-cache-1")
	var a, b, c narinfo.Signer = key, key, again
	assert.True(t, a == b, "a copy")
	assert.False(t, a == c, "the same key, read twice")
	assert.False(t, a == narinfo.Signer(narinfo.SecretKey{}))
}

func TestLoadSecretKey(t *testing.T) {
	text := readFile(t, "testdata/keys/lab-cache-1.sec")
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for _, path := range []string{write("plain", text), write("line", text+"\n")} {
		key, err := narinfo.LoadSecretKey(path)
		require.NoError(t, err)
		assert.Equal(t, text, key.Reveal())
	}
	_, err := narinfo.LoadSecretKey(filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "absent")
	_, err = narinfo.LoadSecretKey(dir)
	require.ErrorContains(t, err, "secret key file")
	_, err = narinfo.LoadSecretKey(write("broken", text[:60]))
	require.ErrorContains(t, err, "broken")
	assert.NotContains(t, err.Error(), text[20:40])
	_, err = narinfo.LoadSecretKey(write("large", strings.Repeat("x", 5000)))
	require.ErrorContains(t, err, "more than 4096 bytes")
}

// TestSecretKeyNeverPrintsItself looks for the key in the output of packages that
// print values, even if it is in an unexported field, where its methods are not
// called.
func TestSecretKeyNeverPrintsItself(t *testing.T) {
	key := secret(t, "lab-cache-1")
	_, data, _ := strings.Cut(key.Reveal(), ":")
	raw, err := base64.StdEncoding.DecodeString(data)
	require.NoError(t, err)

	type holder struct {
		Key     narinfo.SecretKey
		hidden  narinfo.SecretKey
		pointer *narinfo.SecretKey
		list    []narinfo.SecretKey
	}
	values := []any{key, &key, holder{key, key, &key, []narinfo.SecretKey{key}}, &holder{hidden: key}, map[string]any{"k": key}, narinfo.Signer(key)}
	var prints []string
	for _, value := range values {
		for _, verb := range "vsqxXdbcoOUeEfFgGtTpw" {
			for _, flag := range []string{"", "+", "#", " ", "0", "-", "100", ".3"} {
				prints = append(prints, fmt.Sprintf("%"+flag+string(verb), value))
			}
		}
		text, err := json.Marshal(value)
		require.NoError(t, err)
		prints = append(prints, string(text), fmt.Sprint(value))
		for _, handler := range []func(*bytes.Buffer) slog.Handler{
			func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var b bytes.Buffer
			slog.New(handler(&b)).Info("key", "key", value)
			prints = append(prints, b.String())
		}
	}
	secrets := []string{
		data[:20], string(raw[:16]), fmt.Sprint(raw[:8])[1:20], hex.EncodeToString(raw[:8]), strings.ToUpper(hex.EncodeToString(raw[:8])),
		fmt.Sprintf("%x", raw[:4]), fmt.Sprintf("% x", raw[:4]), fmt.Sprintf("%#v", raw[:4])[7:20],
	}
	for _, text := range prints {
		for _, secret := range secrets {
			require.NotContains(t, text, secret)
		}
	}
	assert.Equal(t, "SecretKey(lab-cache-1, redacted)", fmt.Sprintf("%v", key))
}

func TestZeroKeys(t *testing.T) {
	var sec narinfo.SecretKey
	_, err := sec.Sign(t.Context(), nil)
	require.ErrorContains(t, err, "zero value")
	assert.Empty(t, sec.Reveal())
	assert.True(t, sec.Public().IsZero())
	assert.Equal(t, "SecretKey(, redacted)", fmt.Sprint(sec))

	var pub narinfo.PublicKey
	assert.Empty(t, pub.String())
	assert.False(t, pub.Verify(nil, narinfo.Signature{}))
	text, err := json.Marshal(pub)
	require.NoError(t, err)
	again := secret(t, "lab-cache-1").Public()
	require.NoError(t, json.Unmarshal(text, &again))
	assert.True(t, again.IsZero())
}

func TestPublicKeyVerify(t *testing.T) {
	key := secret(t, "lab-cache-1")
	sig, err := key.Sign(t.Context(), []byte("message"))
	require.NoError(t, err)
	assert.True(t, key.Public().Verify([]byte("message"), sig))
	assert.False(t, key.Public().Verify([]byte("massage"), sig))
	sig.KeyName = "other-2"
	assert.False(t, key.Public().Verify([]byte("message"), sig), "another name")
}

func TestPublicKeyText(t *testing.T) {
	key := secret(t, "lab-cache-1").Public()
	text, err := json.Marshal(map[string]narinfo.PublicKey{"key": key})
	require.NoError(t, err)
	var out map[string]narinfo.PublicKey
	require.NoError(t, json.Unmarshal(text, &out))
	assert.Equal(t, key, out["key"])

	for text, message := range map[string]string{
		"":                                       "no colon",
		"key:":                                   "0 characters of base64, expected 44",
		":" + strings.Repeat("A", 43) + "=":      "key name is empty",
		"k:" + strings.Repeat("A", 44):           "malformed base64",
		readFile(t, "testdata/keys/other-2.sec"): "88 characters of base64, expected 44",
	} {
		_, err := narinfo.ParsePublicKey(text)
		require.ErrorContains(t, err, message)
		assert.NotContains(t, err.Error(), "B+ssKfVknRiW")
	}
}

func TestSignWithNoSigner(t *testing.T) {
	n := parse(t, fromCorpus(t, wrapperBase))
	require.ErrorContains(t, n.Sign(t.Context(), nil), "a signer is nil")
}

func TestSignIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("shutting down")
	cancel(cause)
	key := secret(t, "lab-cache-1")
	_, err := key.Sign(ctx, []byte("x"))
	require.ErrorIs(t, err, cause)
	err = parse(t, minimal).Sign(ctx, key)
	require.ErrorIs(t, err, cause)
	assert.EqualError(t, err, "store object "+helloBase+`: signer "lab-cache-1": sign: shutting down`)
}

func TestParseSignature(t *testing.T) {
	data := sha512.Sum512([]byte("any 64 bytes"))
	text := "cache-1:" + base64.StdEncoding.EncodeToString(data[:])
	sig, err := narinfo.ParseSignature(text)
	require.NoError(t, err)
	assert.Equal(t, "cache-1", sig.KeyName)
	assert.Equal(t, data, sig.Data)
	assert.Equal(t, text, sig.String())

	encoded, err := json.Marshal(sig)
	require.NoError(t, err)
	assert.Equal(t, `"`+text+`"`, string(encoded))
	var out narinfo.Signature
	require.NoError(t, json.Unmarshal(encoded, &out))
	assert.Equal(t, sig, out)
	require.Error(t, json.Unmarshal([]byte(`"x:y"`), &out))
	assert.Equal(t, sig, out, "unchanged by the failure")

	for _, name := range []string{"", "a b", "a:b", "a\xff"} {
		_, err := narinfo.Signature{KeyName: name}.MarshalText()
		require.Error(t, err, name)
		dst, err := narinfo.Signature{KeyName: name}.AppendText([]byte("before"))
		require.Error(t, err, name)
		assert.Equal(t, "before", string(dst))
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, name := range []string{"lab-cache-1.pub", "lab-cache-1.sec", "other-2.pub"} {
		f.Add(readFile(f, "testdata/keys/"+name))
	}
	f.Add("a:b c:d")
	for _, shape := range mistaken {
		f.Add(shape)
	}
	_, data, _ := strings.Cut(readFile(f, "testdata/keys/lab-cache-1.sec"), ":")
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range keyParsers {
			if err := parse(strings.ReplaceAll(text, "SECRET", data)); err != nil {
				requireNoSecret(t, err.Error(), data)
			}
		}
		if key, err := narinfo.ParseSecretKey(text); err == nil {
			require.Equal(t, strings.TrimSpace(text), key.Reveal())
		}
		if key, err := narinfo.ParsePublicKey(text); err == nil {
			again, err := narinfo.ParsePublicKey(key.String())
			require.NoError(t, err)
			require.Equal(t, key, again)
		}
		if keys, err := narinfo.ParseTrustedKeys(text); err == nil {
			again, err := narinfo.ParseTrustedKeys(keys.String())
			require.NoError(t, err)
			require.Equal(t, keys, again)
		}
		if sig, err := narinfo.ParseSignature(text); err == nil {
			again, err := narinfo.ParseSignature(sig.String())
			require.NoError(t, err)
			require.Equal(t, sig, again)
		}
	})
}
