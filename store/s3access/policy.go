package s3access

import (
	"slices"
	"strings"

	"example.com/nixs3/s3url"
)

// Access is a set of permissions on a cache. Each includes those before it.
type Access uint8

// The sets of permissions.
const (
	AccessAnonymous Access = iota // read without credentials
	AccessRead                    // read and list with credentials
	AccessWrite                   // add paths
	AccessCollect                 // delete paths
)

// Policy is an AWS policy document. Its JSON is what the AWS console, command
// line and API take. See the IAM User Guide, "JSON policy element reference".
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement is one permission in a [Policy].
type Statement struct {
	Sid       string
	Effect    string
	Principal string `json:",omitempty"` // "*" in a policy of a bucket; a policy of a user or role has none
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string `json:",omitempty"` // operator, key, values
}

// NewPolicy returns the policy that allows an access to the cache at u and
// nothing else: a bucket policy for AccessAnonymous, otherwise a policy for a
// user or role. The partition is that of u's region, and the objects are those
// below u's prefix.
//
// The policy follows the Nix manual, "S3 Binary Cache Store". Anonymous readers
// may not list the bucket. S3 then answers 403 for missing objects, which readers
// of narinfos expect. Actions that a parameter of u needs are included:
// s3:PutObjectTagging for tags, s3:GetObjectVersion for versionId, and those of
// KMS if sse-kms-key-id is the ARN of a key.
func NewPolicy(u *s3url.URL, access Access) (*Policy, error) {
	if err := u.Validate(); err != nil {
		return nil, err
	}
	bucket, objects := arns(u)
	p := &Policy{Version: "2012-10-17"}
	add := func(sid, resource string, actions ...string) *Statement {
		slices.Sort(actions)
		p.Statement = append(p.Statement, Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: []string{resource}})
		return &p.Statement[len(p.Statement)-1]
	}

	onBucket, onObjects := []string{"s3:GetBucketLocation"}, []string{"s3:GetObject"}
	if u.VersionID != "" {
		onObjects = append(onObjects, "s3:GetObjectVersion")
	}
	if access >= AccessWrite {
		onBucket = append(onBucket, "s3:ListBucketMultipartUploads")
		onObjects = append(onObjects, "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
		if len(u.Tags) > 0 {
			onObjects = append(onObjects, "s3:PutObjectTagging")
		}
	}
	if access >= AccessCollect {
		onObjects = append(onObjects, "s3:DeleteObject")
	}
	if access >= AccessRead && u.Prefix == "" {
		onBucket = append(onBucket, "s3:ListBucket")
	}
	add("NixCacheBucket", bucket, onBucket...)
	if access >= AccessRead && u.Prefix != "" {
		add("NixCacheList", bucket, "s3:ListBucket").Condition = map[string]map[string][]string{
			"StringLike": {"s3:prefix": {literal(u.Prefix) + "/*"}},
		}
	}
	add("NixCacheObjects", objects, onObjects...)
	if strings.HasPrefix(u.SSEKMSKeyID, "arn:") && access >= AccessRead {
		actions := []string{"kms:Decrypt"}
		if access >= AccessWrite {
			actions = append(actions, "kms:GenerateDataKey")
		}
		add("NixCacheKey", u.SSEKMSKeyID, actions...)
	}
	if access == AccessAnonymous {
		for i := range p.Statement {
			p.Statement[i].Principal = "*"
		}
	}
	return p, nil
}

// arns returns the resource names of u's bucket and of the objects in it.
func arns(u *s3url.URL) (bucket, objects string) {
	bucket = "arn:" + s3url.PartitionOf(u.Region) + ":s3:::" + u.Bucket
	objects = bucket + "/*"
	if u.Prefix != "" {
		objects = bucket + "/" + literal(u.Prefix) + "/*"
	}
	return bucket, objects
}

// literal writes s so that a policy does not read it as a pattern or variable.
func literal(s string) string {
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(s)
}
