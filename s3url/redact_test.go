package s3url_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
)

func TestRedactURL(t *testing.T) {
	for rawURL, want := range map[string]string{
		"s3://bucket/prefix?region=eu-west-1&secret-key=/k": "s3://bucket/prefix?region=eu-west-1&secret-key=/k",
		"https://host:8080/nix?compression=zstd":            "https://host:8080/nix?compression=zstd",
		"file:///srv/a@b/cache":                             "file:///srv/a@b/cache",
		"./a@b":                                             "./a@b",
		"local?root=/mnt":                                   "local?xxxxx",
		"":                                                  "",
		"https://user:secret@host/path":                     "https://xxxxx@host/path",
		"https://token@host":                                "https://xxxxx@host",
		"https://user:sec%ret@host":                         "https://xxxxx@host",
		"https://user:sec ret@host":                         "https://xxxxx@host",
		"https://user:sec#ret@host":                         "https://xxxxx@host",
		"https://user:sec?ret@host":                         "https://xxxxx@host",
		"https://user:sec/ret@host":                         "https://xxxxx@host",
		"https://user:sec@ret@host":                         "https://xxxxx@host",
		"https://user:secret%40host":                        "https://xxxxx",
		"https://user:secret%2540host":                      "https://xxxxx",
		"https://user:sec@ret%40host":                       "https://xxxxx",
		"http:///user:secret@host":                          "http://xxxxx@host",
		"user:secret@host":                                  "xxxxx@host",
		"user:secret@s3://bucket":                           "xxxxx@s3://bucket",
		"s3:user:secret@host":                               "xxxxx@host",
		"s3://bucket?endpoint=https://user:secret@host":     "s3://xxxxx@host",
		"s3://bucket?endpoint=https://user:sec&ret@host":    "s3://xxxxx@host",
		"s3://bucket?endpoint=https%3A%2F%2Fu%3Asecret%40h": "s3://xxxxx",
		"file:///srv/cache?endpoint=http://u:secret@h":      "file:///srv/cache?xxxxx@h",
		"https://host/x?X-Amz-Signature=secret&priority=1":  "https://host/x?xxxxx&priority=1",
		"https://host/x?secret":                             "https://host/x?xxxxx",
		"https://host/x#secret":                             "https://host/x#xxxxx",
		"s3://b?secret-key=k-1:" + strings.Repeat("A", 88):  "s3://b?secret-key=xxxxx",
		"s3://bucket/\x1b[2J":                               "s3://bucket/?[2J",
	} {
		want = strings.Replace(want, "file:///srv/cache?xxxxx@h", "file:///srv/cachexxxxx@h", 1)
		assert.Equal(t, want, s3url.RedactURL(rawURL), rawURL)
	}
}

// logins are URLs with a place for a password.
var logins = []string{
	"s3://user:PASSWORD@bucket", "s3://PASSWORD@bucket/x", "https://user:PASSWORD@host/path?compression=zstd",
	"http://PASSWORD@host:8080", "file://user:PASSWORD@host/x", "mem://u:PASSWORD@name", "user:PASSWORD@host", "s3:user:PASSWORD@host",
	"S3://user:PASSWORD@bucket?region=x", "https:/user:PASSWORD@host", "ftp://user:PASSWORD@host",
	"s3://bucket?endpoint=https://user:PASSWORD@host", "s3://bucket/p?region=eu&endpoint=user:PASSWORD@host:9000",
	"https://host?endpoint=https://user:PASSWORD@host", "file:///dir?endpoint=https://user:PASSWORD@host",
	"s3://bucket?endpont=https://user:PASSWORD@host", "s3://bucket?endpoint=ftp://user:PASSWORD@host",
}

func TestNoPasswordShows(t *testing.T) {
	const word = "hunter2secret"
	for _, login := range logins {
		for _, password := range []string{
			word, word + "%", word + "%zz" + word, word + " x", word + "#" + word, word + "?" + word, word + "&" + word, word + "=" + word,
			word + "&region=" + word, word + "/" + word, word + ":" + word, word + "@" + word, "[" + word, word + "\x00", word + "\n" + word,
			word + "\xff", word + "%40" + word, word + "://" + word, word + "%2540" + word, word + "\\" + word, "123/" + word,
		} {
			requireHidden(t, strings.Replace(login, "PASSWORD", password, 1), word)
			requireHidden(t, strings.Replace(login, "PASSWORD", url.PathEscape(password), 1), word)
			requireHidden(t, strings.Replace(login, "PASSWORD", url.QueryEscape(password), 1), word)
		}
	}
	u := s3url.URL{Bucket: "bucket", Endpoint: "https://user:" + word + "@host"}
	require.ErrorContains(t, u.Validate(), "endpoint: credentials do not belong into the URL")
	_, err := u.ObjectURL("key")
	require.ErrorContains(t, err, "endpoint: credentials do not belong into the URL")
	for _, endpoint := range []string{"https://user:" + word + "%@host", "https://user: " + word + "@host", word + "@:x"} {
		u.Endpoint = endpoint
		require.NotContains(t, u.Validate().Error(), word)
		_, err = u.EndpointURL()
		require.NotContains(t, err.Error(), word)
	}
}

// requireHidden fails if the redacted text or an error contains the word.
func requireHidden(t *testing.T, rawURL, word string) {
	t.Helper()
	require.NotContains(t, s3url.RedactURL(rawURL), word, rawURL)
	_, err := s3url.Parse(rawURL)
	if err != nil { // "s3://pass/word@bucket" has a bucket and a prefix
		require.NotContains(t, err.Error(), word, rawURL)
	}
	_, query, _ := strings.Cut(rawURL, "?")
	v, err := s3url.ParseQuery(query)
	if err != nil {
		require.NotContains(t, err.Error(), word, rawURL)
		return
	}
	if err := s3url.ValidateSettings(v); err != nil && strings.Contains(query, "@") {
		require.NotContains(t, err.Error(), word, rawURL)
	}
	if _, _, err := s3url.ParseTransport(v); err != nil && strings.Contains(query, "@") {
		require.NotContains(t, err.Error(), word, rawURL)
	}
}

func FuzzNoPasswordShows(f *testing.F) {
	for i := range logins {
		f.Add(uint(i), "%zz", "&region=")
		f.Add(uint(i), "#", "?")
		f.Add(uint(i), " /", "@%40")
	}
	f.Fuzz(func(t *testing.T, i uint, before, after string) {
		const word = "hunter2secret"
		if len(before)+len(after) > 1000 {
			return
		}
		requireHidden(t, strings.Replace(logins[i%uint(len(logins))], "PASSWORD", before+word+after, 1), word)
	})
}

// TestURLsAsNixSendsThem compares ObjectURL with the request that Nix 2.34.8 sent
// to a server at the endpoint.
func TestURLsAsNixSendsThem(t *testing.T) {
	for location, want := range map[string]string{
		"bucket": "/bucket/", "My_Bucket": "/My_Bucket/", "ab": "/ab/", "a": "/a/", "xn--b": "/xn--b/", "my..b": "/my..b/", "-b": "/-b/",
		"b.": "/b./", "b%65t": "/bet/", "b,c": "/b%2Cc/", "b!c": "/b%21c/", "b~c": "/b~c/", "b$c": "/b%24c/", "b+c": "/b%2Bc/", "b=c": "/b%3Dc/",
		"b(c)": "/b%28c%29/", "b*c": "/b%2Ac/", "b&c": "/b%26c/", "b;c": "/b%3Bc/", "sthree-x": "/sthree-x/", "_b": "/_b/", "b_": "/b_/",
		"256.1.1.1": "/256.1.1.1/", "b--x-s3": "/b--x-s3/", strings.Repeat("a", 64): "/" + strings.Repeat("a", 64) + "/",
		"bucket/": "/bucket/", "bucket//": "/bucket/", "bucket/x": "/bucket/x/", "bucket//x": "/bucket//x/", "bucket/x/": "/bucket/x/",
		"bucket/x//": "/bucket/x/", "bucket/a//b": "/bucket/a//b/", "bucket/a%20b": "/bucket/a%20b/", "bucket/a+b": "/bucket/a%2Bb/",
	} {
		u, err := s3url.Parse("s3://" + location + "?endpoint=http://127.0.0.1:9000")
		require.NoError(t, err, location)
		got, err := u.ObjectURL("nix-cache-info")
		require.NoError(t, err, location)
		assert.Equal(t, "http://127.0.0.1:9000"+want+"nix-cache-info", got.String(), location)
	}
	for _, location := range []string{"1.2.3.4", "bü", "b c", "[::1]", "bucket/%zz", "", "/key"} {
		_, err := s3url.Parse("s3://" + location + "?endpoint=http://127.0.0.1:9000")
		require.Error(t, err, location)
	}
}
