package s3access_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/s3access"
)

// TestNewPolicy compares whole documents with those in testdata/policy.
func TestNewPolicy(t *testing.T) {
	tests := []struct {
		golden string
		url    string
		access s3access.Access
	}{
		{"anonymous", "s3://example-nix-cache", s3access.AccessAnonymous},
		{"read", "s3://example-nix-cache?region=eu-west-1", s3access.AccessRead},
		{"write", "s3://example-nix-cache", s3access.AccessWrite},
		{"collect", "s3://example-nix-cache", s3access.AccessCollect},
		{"anonymous-china-prefix", "s3://example-nix-cache/stable?region=cn-north-1", s3access.AccessAnonymous},
		{"collect-govcloud-prefix", "s3://example-nix-cache/a*b?region=us-gov-west-1", s3access.AccessCollect},
		{
			"write-parameters", "s3://example-nix-cache?tags=team=infra&versionId=1&sse=aws:kms&sse-kms-key-id=arn:aws:kms:us-east-1:123456789012:key/k",
			s3access.AccessWrite,
		},
	}
	for _, tt := range tests {
		t.Run(tt.golden, func(t *testing.T) {
			u, err := s3url.Parse(tt.url)
			require.NoError(t, err)
			p, err := s3access.NewPolicy(u, tt.access)
			require.NoError(t, err)
			got, err := json.MarshalIndent(p, "", "  ")
			require.NoError(t, err)
			want, err := os.ReadFile(filepath.Join("testdata", "policy", tt.golden+".json"))
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got)+"\n")
		})
	}
}

func TestNewPolicyOfWrongURL(t *testing.T) {
	_, err := s3access.NewPolicy(&s3url.URL{Bucket: "Not A Bucket"}, s3access.AccessRead)
	require.ErrorContains(t, err, "invalid bucket name")
}

func ExampleNewPolicy() {
	u, err := s3url.Parse("s3://my-cache")
	if err != nil {
		panic(err)
	}
	p, err := s3access.NewPolicy(u, s3access.AccessAnonymous)
	if err != nil {
		panic(err)
	}
	document, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", document)
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Sid": "NixCacheBucket",
	//       "Effect": "Allow",
	//       "Principal": "*",
	//       "Action": [
	//         "s3:GetBucketLocation"
	//       ],
	//       "Resource": [
	//         "arn:aws:s3:::my-cache"
	//       ]
	//     },
	//     {
	//       "Sid": "NixCacheObjects",
	//       "Effect": "Allow",
	//       "Principal": "*",
	//       "Action": [
	//         "s3:GetObject"
	//       ],
	//       "Resource": [
	//         "arn:aws:s3:::my-cache/*"
	//       ]
	//     }
	//   ]
	// }
}
