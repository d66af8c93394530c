package s3access_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/s3access"
)

// TestPoliciesSuffice has real servers judge: the policy of an access suffices
// for all steps of Doctor, and what it leaves out fails. The policies apply to
// anonymous users, who have no other permissions.
func TestPoliciesSuffice(t *testing.T) {
	for _, server := range lab.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			server.URL(t) // for the environment
			for _, prefix := range []string{"", "/stable"} {
				bucket := newBucket(t, server)
				u, err := s3url.Parse("s3://" + bucket.name + prefix + "?anonymous=true&endpoint=" + url.QueryEscape(server.Endpoint))
				require.NoError(t, err)
				kinds := []string{"anonymous", "read", "write", "collect"}
				// Anonymous users cannot do everything, whatever the policy: no
				// parts on versitygw, no batch deletes on Ceph.
				switch {
				case strings.HasPrefix(server.Name, "versitygw"):
					kinds = kinds[:2]
				case strings.HasPrefix(server.Name, "radosgw"):
					kinds = kinds[:3]
				}
				for access, kind := range kinds {
					t.Run(kind+prefix, func(t *testing.T) {
						bucket.allow(t, u, s3access.Access(access))
						for _, c := range s3access.Doctor(t.Context(), u, s3access.Access(access), s3blob.Options{}) {
							assert.True(t, c.OK, "%+v", c)
						}
						if kind != "write" {
							return
						}
						for _, c := range s3access.Doctor(t.Context(), u, s3access.AccessCollect, s3blob.Options{}) {
							if c.Step == "delete the object" {
								assert.Contains(t, c.Remedy, "s3:DeleteObject on arn:aws:s3:::"+bucket.name+prefix+"/*")
							}
							assert.Equal(t, c.Step != "delete the object", c.OK, "%+v", c)
						}
					})
				}
			}
		})
	}
}

// labBucket is a bucket of one test.
type labBucket struct {
	name   string
	client *s3.Client
}

func newBucket(t *testing.T, server lab.Server) labBucket {
	t.Helper()
	name := "nixs3-" + strings.ToLower(rand.Text())
	u, err := s3url.Parse("s3://" + name + "?endpoint=" + url.QueryEscape(server.Endpoint))
	require.NoError(t, err)
	b, err := s3blob.Open(t.Context(), u, s3blob.Options{})
	require.NoError(t, err)
	_, err = b.Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for o, err := range b.List(ctx, blob.ListOptions{}) {
			require.NoError(t, err)
			require.NoError(t, b.Delete(ctx, o.Key))
		}
		_, err := b.Client().DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &name})
		assert.NoError(t, err)
		assert.NoError(t, b.Close())
	})
	for _, prefix := range []string{"", "stable/"} {
		_, err = b.Put(t.Context(), prefix+"nix-cache-info", strings.NewReader("StoreDir: /nix/store\n"), blob.PutOptions{})
		require.NoError(t, err)
	}
	return labBucket{name, b.Client()}
}

// allow gives everybody the policy of an access.
func (b labBucket) allow(t *testing.T, u *s3url.URL, access s3access.Access) {
	t.Helper()
	policy, err := s3access.NewPolicy(u, access)
	require.NoError(t, err)
	for i := range policy.Statement {
		policy.Statement[i].Principal = "*"
	}
	document, err := json.Marshal(policy)
	require.NoError(t, err)
	_, err = b.client.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &b.name, Policy: aws.String(string(document))})
	require.NoError(t, err)
}
