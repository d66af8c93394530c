package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPolicy(t *testing.T) {
	for _, c := range []struct {
		name          string
		args          []string
		has, hasNot   []string
		regionFromEnv string
	}{
		{
			name: "anonymous", args: []string{"s3://cache", "--anonymous"},
			has:    []string{`"Principal": "*"`, `"s3:GetObject"`, `"arn:aws:s3:::cache/*"`},
			hasNot: []string{"s3:ListBucket", "s3:PutObject"},
		},
		{
			name: "read", args: []string{"s3://cache/team", "--read"},
			has:    []string{`"s3:ListBucket"`, `"arn:aws:s3:::cache/team/*"`},
			hasNot: []string{"Principal", "s3:PutObject"},
		},
		{
			name: "write", args: []string{"s3://cache", "--write"},
			has:    []string{`"s3:PutObject"`, `"s3:AbortMultipartUpload"`},
			hasNot: []string{"s3:DeleteObject"},
		},
		{
			name: "gc", args: []string{"s3://cache?region=cn-north-1", "--gc"},
			has: []string{`"s3:DeleteObject"`, `"arn:aws-cn:s3:::cache/*"`},
		},
		{
			name: "in the partition of the environment's region", args: []string{"s3://cache", "--read"}, regionFromEnv: "us-gov-west-1",
			has: []string{`"arn:aws-us-gov:s3:::cache"`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cleanAWS(t)
			t.Setenv("AWS_REGION", c.regionFromEnv)
			got := nixs3(t, "", append([]string{"policy"}, c.args...)...)
			require.Equal(t, exitOK, got.exit, got.stderr)
			for _, part := range c.has {
				assert.Contains(t, got.stdout, part)
			}
			for _, part := range c.hasNot {
				assert.NotContains(t, got.stdout, part)
			}
		})
	}
}

func TestPolicyMistakes(t *testing.T) {
	check(t, []command{
		{"no access named", []string{"policy", "s3://cache"}, "", "", "--anonymous", exitUsage},
		{"two named", []string{"policy", "--read", "--write", "s3://cache"}, "", "", "can't be used together", exitUsage},
		{"no bucket", []string{"policy", "--read", "s3://"}, "", "", "the bucket is missing", exitFailed},
	})
}
