package s3blob

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"example.com/nixs3/store/blob/internal/wire"
)

// The limits of a page of a listing, which has at most a thousand entries. Each
// has a key, encoded with up to three bytes for each of its own, and some 30
// tags.
const (
	maxPage     = maxBatch * (3*maxKey + 1<<10)
	maxPageTags = maxBatch * 64
)

// answers are the bodies that operations expect. Other operations expect a short
// body.
var answers = map[string]wire.Answer{
	"GetObject":               {Object: true},
	"ListObjectsV2":           {Limit: maxPage, Tags: maxPageTags},
	"ListMultipartUploads":    {Limit: maxPage, Tags: maxPageTags},
	"ListObjectVersions":      {Limit: maxPage, Tags: maxPageTags},
	"ListParts":               {Limit: maxPage, Tags: maxPageTags},
	"DeleteObjects":           {Limit: maxPage, Tags: maxPageTags},
	"CopyObject":              {Limit: 64 << 10}, // with more time than other short ones
	"UploadPartCopy":          {Limit: 64 << 10},
	"CompleteMultipartUpload": {Limit: 64 << 10},
	"CreateMultipartUpload":   {Limit: 64 << 10},
}

// roots are the first elements of the answers that report success or an empty
// result by saying nothing.
var roots = map[string]string{
	"ListObjectsV2":        "ListBucketResult",
	"ListMultipartUploads": "ListMultipartUploadsResult",
	"ListObjectVersions":   "ListVersionsResult",
	"ListParts":            "ListPartsResult",
	"DeleteObjects":        "DeleteResult",
}

// expectAnswers sets up a client. It bounds all answers, refuses a success that is
// not of the operation, and repeats without Expect a request that the server
// refuses because of it.
func expectAnswers(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		if _, ok := stack.Finalize.Get("Retry"); !ok {
			return nil // presigning sends nothing
		}
		if err := stack.Finalize.Insert(unexpecting{}, "Retry", middleware.After); err != nil {
			return err
		}
		return stack.Deserialize.Add(expected{}, middleware.After)
	})
}

type expected struct{}

func (expected) ID() string { return "nixs3:Expected" }

// HandleDeserialize is next to the HTTP client.
func (expected) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	op := awsmiddleware.GetOperationName(ctx)
	out, metadata, err := next.HandleDeserialize(wire.WithAnswer(ctx, answers[op]), in)
	response, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok {
		return out, metadata, err
	}
	if response.StatusCode/100 != 2 {
		return out, metadata, nil
	}
	if op == "HeadObject" && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("unexpected answer %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	if root := roots[op]; root != "" {
		err = checkRoot(response, root)
	}
	if err != nil {
		response.Body.Close()
		err = &smithyhttp.ResponseError{Response: response, Err: err}
	}
	return out, metadata, err
}

// checkRoot checks the first element of an answer, which the SDK does not do. The
// body can be read again.
func checkRoot(response *smithyhttp.Response, root string) error {
	var seen bytes.Buffer
	decoder := xml.NewDecoder(io.TeeReader(response.Body, &seen))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			err = fmt.Errorf("%w: expected %s, got nothing", errNotS3, root)
		}
		if err != nil {
			return err
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if name := element.Name.Local; name != root && name != "Error" {
			return fmt.Errorf("%w: expected %s, got %s", errNotS3, root, name)
		}
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(&seen, response.Body), response.Body}
		return nil
	}
}

type unexpecting struct{}

func (unexpecting) ID() string { return "nixs3:Unexpecting" }

// HandleFinalize repeats a request after 417 Expectation Failed. After that answer
// the transport leaves Expect out.
func (unexpecting) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	request, ok := in.Request.(*smithyhttp.Request)
	if !ok || request.Header.Get("Expect") == "" {
		return next.HandleFinalize(ctx, in)
	}
	again := request.Clone()
	out, metadata, err := next.HandleFinalize(ctx, in)
	if statusOf(err) != http.StatusExpectationFailed || again.RewindStream() != nil {
		return out, metadata, err
	}
	again.Header.Del("Expect")
	in.Request = again
	return next.HandleFinalize(ctx, in)
}
