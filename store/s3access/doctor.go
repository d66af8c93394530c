// Package s3access is about the access to S3 that a binary cache needs for its
// readers, writers and collectors. [NewPolicy] makes the AWS policy for it;
// [Doctor] tries an access step by step and names the missing permissions.
package s3access

import (
	"context"
	"errors"
	"net/http"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
)

// Check is the result of one step of [Doctor].
type Check struct {
	Step   string // "read nix-cache-info"
	OK     bool
	Detail string // outcome, or the reason that it was not tried

	// Remedy repairs a failure: a parameter of the URL, or an IAM action and
	// the resource it is missing on. If OK is true it is advice, and the cache
	// works without.
	Remedy string
}

// Doctor tries the steps of an access to the cache at u and returns a row for
// each, in order. After a failure that later steps would only repeat, they are
// listed as not tried. AccessAnonymous tries without credentials, whatever u
// says.
//
// Reading stores nothing. AccessWrite and above store a small object named
// "nixs3-doctor" and remove it again if that is allowed.
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

// step is a row of the result. try returns its detail and advice. A failure
// without advice gets the hint of the error.
type step struct {
	name  string
	from  Access // the lowest access that needs it
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

// unknown reports whether the server does not implement the request.
func unknown(err error) bool {
	e, ok := errors.AsType[*blob.Error](err)
	return ok && (e.Status == http.StatusNotImplemented || e.Status == http.StatusMethodNotAllowed)
}

// onBucket and onObjects return a remedy: an IAM action and its resource.
func (d *doctor) onBucket(action string) string {
	bucket, _ := arns(d.url)
	return action + " on " + bucket
}

func (d *doctor) onObjects(action string) string {
	_, objects := arns(d.url)
	return action + " on " + objects
}

// permission returns the remedy if err is a denial, else none.
func permission(err error, remedy string) string {
	if denied(err) {
		return remedy
	}
	return ""
}
