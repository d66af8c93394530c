package s3blob_test

import (
	"testing"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

func TestConformance(t *testing.T) {
	strict := fakes3.Options{
		NoChunked: true, NoChecksums: true, RequireContentMD5: true, ProxyAcceptEncoding: "gzip(gfe)",
	}
	strictTLS := strict
	strictTLS.TLS = true
	prefixed := storetest.Features{NoKey: func(key string) bool { return len("a/prefix/"+key) > 1024 }}
	for _, test := range []struct {
		name     string
		server   fakes3.Options
		location string
		options  s3blob.Options
		features storetest.Features
	}{
		{name: "http", location: "?"},
		{name: "http, strict, with a prefix", server: strict, location: "/a/prefix?", features: prefixed},
		{name: "https, strict, in parts and a window", server: strictTLS, location: "?" + inParts, options: s3blob.Options{Window: 3}},
		{
			name:     "AWS's dialect, HTTP/2, virtual hosts",
			server:   fakes3.Options{TLS: true, HTTP2: true, NoPathStyle: true},
			location: "?addressing-style=virtual&endpoint=https://localhost",
			options:  s3blob.Options{Dialect: s3blob.DialectAWS},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.server.PageSize = 20
			test.features.ListPage = 20
			storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
				return open(t, newFake(t, test.server), test.location, test.options)
			}, test.features)
		})
	}
}
