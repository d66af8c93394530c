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
		{name: "https", server: fakes3.Options{TLS: true}, location: "?"},
		{name: "http, strict", server: strict, location: "?"},
		{name: "https, strict", server: strictTLS, location: "?"},
		{name: "HTTP/2", server: fakes3.Options{TLS: true, HTTP2: true}, location: "?"},
		{name: "with a prefix", location: "/a/prefix?", features: prefixed},
		{name: "virtual hosts", server: fakes3.Options{TLS: true, NoPathStyle: true}, location: "?addressing-style=virtual&endpoint=https://localhost"},
		{name: "AWS's dialect", server: fakes3.Options{TLS: true}, location: "?", options: s3blob.Options{Dialect: s3blob.DialectAWS}},
		{name: "multipart and window", location: "?multipart-threshold=1", options: s3blob.Options{Window: 3}},
		{name: "conditions refused", server: fakes3.Options{Conditions: fakes3.RefuseConditions}, location: "?", features: storetest.Features{NoConditionalWrites: true}},
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
