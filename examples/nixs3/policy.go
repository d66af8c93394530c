package main

import (
	"context"
	"encoding/json"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/s3access"
)

type policyCommand struct {
	URL       string `arg:"" name:"url" help:"s3://bucket[/prefix]?parameter=value&…"`
	Anonymous bool   `required:"" xor:"access" help:"Bucket policy: everybody reads."`
	Read      bool   `required:"" xor:"access" help:"IAM policy: reads and lists."`
	Write     bool   `required:"" xor:"access" help:"IAM policy: also adds paths."`
	GC        bool   `required:"" xor:"access" name:"gc" help:"IAM policy: also deletes paths."`
}

func (policyCommand) Help() string {
	return "Prints the bucket policy (--anonymous) or the IAM policy of a user or role that a cache needs, as JSON.\n" +
		"Sends no request.\n\n" +
		"    nixs3 policy 's3://cache?region=eu-west-1' --anonymous > policy.json\n" +
		"    aws s3api put-bucket-policy --bucket cache --policy file://policy.json"
}

func (c *policyCommand) Run(ctx context.Context, con *console) error {
	u, err := s3url.Parse(c.URL)
	if err != nil {
		return err
	}
	region, err := effectiveRegion(ctx, u)
	if err != nil {
		return err
	}
	u.Region = region.value // decides the partition
	policy, err := s3access.NewPolicy(u, c.access())
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(con.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(policy)
}

func (c *policyCommand) access() s3access.Access {
	switch {
	case c.GC:
		return s3access.AccessCollect
	case c.Write:
		return s3access.AccessWrite
	case c.Read:
		return s3access.AccessRead
	}
	return s3access.AccessAnonymous
}
