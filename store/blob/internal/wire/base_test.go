package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProxies(t *testing.T) {
	for _, tt := range []struct {
		name       string
		env        map[string]string
		url, proxy string
	}{
		{"none", nil, "http://host/", ""},
		{"http", map[string]string{"http_proxy": "http://a:1"}, "http://host/", "http://a:1"},
		{"http for https", map[string]string{"http_proxy": "http://a:1"}, "https://host/", ""},
		{"https", map[string]string{"HTTPS_PROXY": "http://a:1"}, "https://host/", "http://a:1"},
		{"all for http", map[string]string{"all_proxy": "socks5://a:1"}, "http://host/", "socks5://a:1"},
		{"all for https", map[string]string{"ALL_PROXY": "socks5h://a:1"}, "https://host/", "socks5h://a:1"},
		{"all and its own", map[string]string{"all_proxy": "http://a:1", "https_proxy": "http://b:2"}, "https://host/", "http://b:2"},
		{"all but some", map[string]string{"all_proxy": "http://a:1", "no_proxy": "host,.example"}, "https://host/", ""},
		{"not instance metadata", map[string]string{"all_proxy": "http://a:1", "http_proxy": "http://a:1"}, "http://169.254.169.254/latest", ""},
		{"all but others", map[string]string{"all_proxy": "http://a:1", "NO_PROXY": ".example"}, "https://host/", "http://a:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "REQUEST_METHOD"} {
				t.Setenv(name, tt.env[name])
			}
			r := httptest.NewRequest(http.MethodGet, tt.url, nil)
			got, err := proxies()(r)
			require.NoError(t, err)
			if tt.proxy == "" {
				assert.Nil(t, got)
				return
			}
			require.NotNil(t, got)
			assert.Equal(t, tt.proxy, got.String())
		})
	}
	t.Setenv("http_proxy", "http://user:hunter2%@a:1")
	_, err := proxies()(httptest.NewRequest(http.MethodGet, "http://host/", nil))
	if err != nil {
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// certificate writes a new pair and returns its serial number.
func certificate(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if key == cert {
		certPEM = append(certPEM, keyPEM...)
	} else {
		require.NoError(t, os.WriteFile(key, keyPEM, 0o600))
	}
	require.NoError(t, os.WriteFile(cert, certPEM, 0o600))
}

func TestAuthorities(t *testing.T) {
	dir := t.TempDir()
	file, junk := filepath.Join(dir, "ca"), filepath.Join(dir, "junk")
	certificate(t, file, filepath.Join(dir, "key"), 1)
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))
	for _, tt := range []struct {
		nix, ssl string
		some     bool
		err      string
	}{
		{"", "", false, ""},
		{file, "", true, ""},
		{"", file, true, ""},
		{file, junk, true, ""},
		{junk, file, false, "NIX_SSL_CERT_FILE"},
		{"", filepath.Join(dir, "absent"), false, "SSL_CERT_FILE"},
		{"/no-cert-file.crt", "/no-cert-file.crt", false, ""},
	} {
		t.Setenv("NIX_SSL_CERT_FILE", tt.nix)
		t.Setenv("SSL_CERT_FILE", tt.ssl)
		pool, err := authorities()
		assert.Equal(t, tt.some, pool != nil, "%+v", tt)
		if tt.err != "" {
			assert.ErrorContains(t, err, tt.err)
		} else {
			assert.NoError(t, err)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	for _, keyName := range []string{"key", "cert"} {
		dir := t.TempDir()
		cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, keyName)
		given := key
		if key == cert {
			given = ""
		}
		_, err := ClientCertificate(cert, given)
		require.ErrorIs(t, err, os.ErrNotExist)
		certificate(t, cert, key, 1)
		get, err := ClientCertificate(cert, given)
		require.NoError(t, err)
		serial := func() int64 {
			pair, err := get(nil)
			require.NoError(t, err)
			leaf, err := x509.ParseCertificate(pair.Certificate[0])
			require.NoError(t, err)
			return leaf.SerialNumber.Int64()
		}
		assert.EqualValues(t, 1, serial())
		certificate(t, cert, key, 1<<40) // of another size, whatever the clock of the file system
		assert.EqualValues(t, 1<<40, serial())
		require.NoError(t, os.WriteFile(cert, []byte("half"), 0o600))
		assert.EqualValues(t, 1<<40, serial(), "half of it is written")
	}
}
