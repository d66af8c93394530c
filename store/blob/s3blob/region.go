package s3blob

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"example.com/nixs3/s3url"
)

// maxErrorBody bounds how much of an error response is looked at for a region.
const maxErrorBody = 64 << 10

// followRegion makes a client learn the region of its bucket. S3 answers a
// request for a bucket of another region, or one signed for another region,
// with an error that names the right one: in the header x-amz-bucket-region, or
// in the body as other servers do. The request is then made once more there,
// and all that follow go there at once. It is for clients of one bucket.
//
// See the Amazon S3 User Guide, "Making requests to the regional endpoint".
func followRegion(log *slog.Logger) func(*s3.Options) {
	return func(o *s3.Options) {
		r := &regionFollower{EndpointResolverV2: o.EndpointResolverV2, log: log, configured: o.Region}
		o.EndpointResolverV2 = r
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			if err := stack.Deserialize.Add(answeredRegion{}, middleware.After); err != nil {
				return err
			}
			return stack.Finalize.Insert(r, "ResolveAuthScheme", middleware.Before)
		})
	}
}

// regionFollower resolves endpoints, and with them the region of signatures,
// for the region that was learnt, and repeats requests that went elsewhere.
type regionFollower struct {
	s3.EndpointResolverV2
	log        *slog.Logger
	configured string
	learnt     atomic.Pointer[string]
}

// Region returns the region that the bucket is in, as far as it is known: the
// configured one until an answer names another.
func (b *Bucket) Region() string {
	o := b.client.Options()
	if r, ok := o.EndpointResolverV2.(*regionFollower); ok {
		return r.region()
	}
	return o.Region
}

func (r *regionFollower) region() string {
	if learnt := r.learnt.Load(); learnt != nil {
		return *learnt
	}
	return r.configured
}

func (r *regionFollower) ResolveEndpoint(ctx context.Context, params s3.EndpointParameters) (smithyendpoints.Endpoint, error) {
	if learnt := r.learnt.Load(); learnt != nil {
		params.Region = learnt
	}
	return r.EndpointResolverV2.ResolveEndpoint(ctx, params)
}

func (*regionFollower) ID() string { return "nixs3:FollowRegion" }

// HandleFinalize runs inside the SDK's retry loop, before the endpoint is
// resolved and the request is signed.
func (r *regionFollower) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return next.HandleFinalize(ctx, in)
	}
	again, used := req.Clone(), r.region()
	var told string
	out, metadata, err := next.HandleFinalize(context.WithValue(ctx, toldRegion{}, &told), in)
	if err == nil || told == "" || told == used || again.RewindStream() != nil {
		return out, metadata, err
	}
	if old := r.learnt.Swap(&told); old == nil || *old != told {
		r.log.Warn("the bucket is in another region; set region= to save a request", "configured", r.configured, "region", told)
	}
	in.Request = again
	// Once is enough: two regions may name each other.
	return next.HandleFinalize(ctx, in)
}

// toldRegion is the context key of the *string that answeredRegion sets.
type toldRegion struct{}

// answeredRegion reads the region out of error responses.
type answeredRegion struct{}

func (answeredRegion) ID() string { return "nixs3:AnsweredRegion" }

func (answeredRegion) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	told, asked := ctx.Value(toldRegion{}).(*string)
	response, ok := out.RawResponse.(*smithyhttp.Response)
	if asked && ok && err == nil {
		*told = regionOf(response)
	}
	return out, metadata, err
}

// regionOf returns the region that a response says is the right one, empty
// where it does not or where that could not be the name of one.
func regionOf(response *smithyhttp.Response) string {
	switch response.StatusCode {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusBadRequest:
	default:
		return ""
	}
	region := response.Header.Get("X-Amz-Bucket-Region")
	if region == "" {
		region = regionInBody(response)
	}
	// It becomes part of a host name.
	if (&s3url.URL{Bucket: "bucket", Region: region}).Validate() != nil {
		return ""
	}
	return region
}

// regionInBody looks for the region in an error's XML, and leaves the body to
// be read again.
func regionInBody(response *smithyhttp.Response) string {
	if response.Body == nil {
		return ""
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(data), response.Body), response.Body}
	var body struct{ Region string }
	if err != nil || xml.Unmarshal(data, &body) != nil {
		return ""
	}
	return body.Region
}
