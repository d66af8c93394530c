package s3url_test

import (
	"fmt"
	"log"

	"example.com/nixs3/s3url"
)

func ExampleParse() {
	u, err := s3url.Parse("s3://my-cache/stable?region=eu-west-1&compression=zstd&secret-key=/run/keys/cache")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(u.Bucket, u.Prefix, u.Region)
	fmt.Println(u.Rest.Get("compression"))
	// Output:
	// my-cache stable eu-west-1
	// zstd
}

func ExampleParse_misspelt() {
	_, err := s3url.Parse("s3://my-cache?secretkey=/run/keys/cache")
	fmt.Println(err)
	// Output:
	// s3 URL of bucket "my-cache": unknown parameter "secretkey"; the nearest known one is "secret-key"
}

func ExampleURL_ObjectURL() {
	for _, s := range []string{"s3://my-cache/stable?region=eu-west-1", "s3://my-cache?endpoint=http://localhost:9000"} {
		u, err := s3url.Parse(s)
		if err != nil {
			log.Fatal(err)
		}
		info, err := u.ObjectURL("nix-cache-info")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info)
	}
	// Output:
	// https://my-cache.s3.eu-west-1.amazonaws.com/stable/nix-cache-info
	// http://localhost:9000/my-cache/nix-cache-info
}
