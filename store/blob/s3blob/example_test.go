package s3blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest/fakes3"
)

// Open takes what Nix takes, and finds credentials where the AWS tools do.
func ExampleOpen() {
	server, err := fakes3.Start(fakes3.Options{Buckets: []string{"cache"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	os.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	os.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)

	u, err := s3url.Parse("s3://cache/stable?endpoint=" + server.Endpoint())
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	bucket, err := s3blob.Open(ctx, u, s3blob.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bucket.Close()

	content := []byte("StoreDir: /nix/store\n")
	digest := sha256.Sum256(content) // the server checks it
	if _, err := bucket.Put(ctx, "nix-cache-info", bytes.NewReader(content), blob.PutOptions{
		ContentType: "text/x-nix-cache-info",
		SHA256:      &digest,
		IfNoneMatch: true,
	}); err != nil {
		fmt.Println(err)
		return
	}
	for attrs, err := range bucket.List(ctx, blob.ListOptions{Shallow: true}) {
		fmt.Println(attrs.Key, attrs.Size, err)
	}
	// Output: nix-cache-info 21 <nil>
}

// New takes a client that is there already, with its credentials and retries.
func ExampleNew() {
	endpoint := "https://minio.example.org"
	client := s3.New(s3.Options{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	bucket := s3blob.New(client, "cache", "stable", s3blob.Options{Window: 4})
	fmt.Println(bucket)
	// Output: s3://cache/stable?endpoint=https://minio.example.org
}
