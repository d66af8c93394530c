// Package s3access knows what a bucket in S3 must allow so that a binary cache
// in it can be read, written and collected: [NewPolicy] makes the AWS policy,
// [Doctor] tries an access step by step and names what is missing.
package s3access

import (
	"context"
	"errors"
	"net/http"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
)

// Check is one thing that [Doctor] has tried.
type Check struct {
	Step   string // "read nix-cache-info"
	OK     bool
	Detail string // what came of it, or why it was not tried

	// Remedy is the parameter of the URL, or the IAM action and the resource
	// it is missing on, that mends a failure. Where OK is true it is advice:
	// the cache works without.
	Remedy string
}

// Doctor tries one by one what an access to the cache at u needs and returns a
// row for each, in order. After a failure that others would only repeat, those
// are listed as not tried. AccessAnonymous tries without credentials, whatever
// u says.
//
// Reading stores nothing. From AccessWrite on a small object named
// "nixs3-doctor" is stored and, where that is allowed, removed again.
func Doctor(ctx context.Context, u *s3url.URL, access Access, opts s3blob.Options) []Check {
	if access == AccessAnonymous {
		anonymous := *u
		anonymous.Anonymous, anonymous.Profile, anonymous.RequesterPays = true, "", false
		u = &anonymous
	}
	d := &doctor{url: u, opts: opts, access: access}
	defer d.close()
	var checks []Check
	halted := "" // by which step
	for _, s := range steps {
		if access < s.from {
			continue
		}
		c := Check{Step: s.name}
		switch {
		case halted != "":
			c.Detail = "not tried: without the step " + halted + " it fails too"
		case ctx.Err() != nil:
			c.Detail = "not tried: " + context.Cause(ctx).Error()
		default:
			c = d.try(ctx, s)
			if !c.OK && s.halts {
				halted = s.name
			}
		}
		checks = append(checks, c)
	}
	return checks
}

// step is one row of the result. try returns what was found, and advice if any;
// a failure without advice gets that of the error.
type step struct {
	name  string
	from  Access // the least access that needs it
	halts bool   // the steps that follow cannot succeed without it
	try   func(d *doctor, ctx context.Context) (detail, remedy string, err error)
}

var steps = []step{
	{"understand the URL", AccessAnonymous, true, (*doctor).open},
	{"find credentials", AccessAnonymous, true, (*doctor).credentials},
	{"reach the bucket", AccessAnonymous, true, (*doctor).reach},
	{"read nix-cache-info", AccessAnonymous, false, (*doctor).readCacheInfo},
	{"detect missing objects", AccessAnonymous, false, (*doctor).headMissing},
	{"list the bucket", AccessAnonymous, false, (*doctor).list},
	{"store an object", AccessWrite, true, (*doctor).put},
	{"read it back", AccessWrite, false, (*doctor).readBack},
	{"store only what is not there", AccessWrite, false, (*doctor).putConditionally},
	{"store in parts", AccessWrite, false, (*doctor).putParts},
	{"list unfinished uploads", AccessWrite, false, (*doctor).listUploads},
	{"delete the object", AccessWrite, false, (*doctor).delete},
}

// doctor is one run of Doctor.
type doctor struct {
	url    *s3url.URL
	opts   s3blob.Options
	access Access

	bucket *s3blob.Bucket // after the first step
	probe  []byte         // the content of the object that was stored
}

func (d *doctor) close() {
	if d.bucket != nil {
		d.bucket.Close()
	}
}

func (d *doctor) try(ctx context.Context, s step) Check {
	detail, remedy, err := s.try(d, ctx)
	if err == nil {
		return Check{Step: s.name, OK: true, Detail: detail, Remedy: remedy}
	}
	c := Check{Step: s.name, Detail: err.Error(), Remedy: remedy}
	if e, ok := errors.AsType[*blob.Error](err); ok {
		plain := *e
		plain.Hint = "" // has a column of its own
		c.Detail = plain.Error()
		if c.Remedy == "" {
			c.Remedy = e.Hint
		}
	}
	return c
}

// unproven are the codes of refusals for wrong or outdated credentials.
var unproven = map[string]bool{
	"InvalidAccessKeyId": true, "SignatureDoesNotMatch": true, "ExpiredToken": true, "InvalidToken": true, "RequestTimeTooSkewed": true,
}

// denied reports whether the server accepts the credentials and does not permit
// the request.
func denied(err error) bool {
	e, ok := errors.AsType[*blob.Error](err)
	return ok && errors.Is(e, blob.ErrAccessDenied) && !unproven[e.Code]
}

// unknown reports whether the server does not have what it was asked for.
func unknown(err error) bool {
	e, ok := errors.AsType[*blob.Error](err)
	return ok && (e.Status == http.StatusNotImplemented || e.Status == http.StatusMethodNotAllowed)
}

// onBucket and onObjects are remedies: an IAM action and where it is missing.
func (d *doctor) onBucket(action string) string {
	bucket, _ := arns(d.url)
	return action + " on " + bucket
}

func (d *doctor) onObjects(action string) string {
	_, objects := arns(d.url)
	return action + " on " + objects
}

// permission returns the remedy where err is a denial, else none.
func permission(err error, remedy string) string {
	if denied(err) {
		return remedy
	}
	return ""
}
