package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
)

const unsigned = `StorePath: /nix/store/a6qzp68m5h3sa7v283h5l0250s2ccj7g-wrapper-1.0
URL: nar/094fzk7y7y9kmqsx6w2y4s3glpxdvpz1r5bqagqgla3wna85aqv5.nar.zst
Compression: zstd
FileHash: sha256:094fzk7y7y9kmqsx6w2y4s3glpxdvpz1r5bqagqgla3wna85aqv5
FileSize: 324
NarHash: sha256:0zqgzrh33asafmjnviil3n40n689hd895bn91vyqy3z9m03yp090
NarSize: 1056
References: a6qzp68m5h3sa7v283h5l0250s2ccj7g-wrapper-1.0 jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0
Deriver: dwrnx9k4q86d1l8c9pw7mv6rwc35l16g-wrapper-1.0.drv
`

func TestSign(t *testing.T) {
	key, err := narinfo.GenerateKey("example-1", nil)
	require.NoError(t, err)
	keyFile := filepath.Join(t.TempDir(), "key.sec")
	require.NoError(t, os.WriteFile(keyFile, []byte(key.Reveal()), 0o600))

	var once, twice bytes.Buffer
	require.NoError(t, sign(t.Context(), keyFile, strings.NewReader(unsigned), &once))
	assert.True(t, strings.HasPrefix(once.String(), unsigned+"Sig: example-1:"), "%s", once.String())
	info, err := narinfo.Parse(once.Bytes())
	require.NoError(t, err)
	require.NoError(t, narinfo.TrustedKeys{key.Public()}.Verify(&info.PathInfo))

	require.NoError(t, sign(t.Context(), keyFile, bytes.NewReader(once.Bytes()), &twice))
	assert.Equal(t, once.String(), twice.String(), "a signature is not repeated")

	for _, tt := range []struct{ name, keyFile, in, wantErr string }{
		{"no key", keyFile + ".absent", unsigned, "secret key file"},
		{"no narinfo", keyFile, "hello\n", "line 1"},
		{"too much", keyFile, strings.Repeat("x", maxNarInfo+1), "expected a narinfo of at most"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			require.ErrorContains(t, sign(t.Context(), tt.keyFile, strings.NewReader(tt.in), &out), tt.wantErr)
			assert.Empty(t, out.String())
		})
	}
}
