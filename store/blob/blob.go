// Package blob is the small interface through which package store reaches
// stored objects: a bucket of named byte strings with a few attributes.
//
// Drivers live in the packages below it: s3blob (S3 and what speaks its
// protocol), fileblob (a directory), httpblob (a web server) and memblob
// (memory). storetest.TestBucket is the contract as a test. Run it against a
// driver of your own.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Bucket is a flat collection of objects, each known by its key. A key is any
// non-empty UTF-8 string of at most 1024 bytes without NUL. Slashes have a
// meaning for [ListOptions.Shallow] only.
//
// Every method may be called from any number of goroutines at once. A method
// returns soon after its context is cancelled, with an error that wraps
// context.Cause, and leaves no goroutine behind. Failures are [*Error] values,
// so that errors.Is works with the sentinels of this package.
type Bucket interface {
	// Get opens an object, or a part of it, for reading. The caller closes
	// the body. The context governs the whole read, not only its beginning.
	// A body that ends before Object.Length bytes fails with
	// io.ErrUnexpectedEOF.
	Get(ctx context.Context, key string, opts GetOptions) (*Object, error)

	// Head returns the attributes of an object.
	Head(ctx context.Context, key string) (Attrs, error)

	// Put stores an object whole or not at all: a reader sees the old
	// object or the new one, never a part, and a failed Put leaves nothing
	// behind. Put may read the content more than once, and several parts of
	// it at a time. A read of the content cannot be interrupted: while one
	// blocks, Put does too, whatever happens to the context.
	Put(ctx context.Context, key string, content Content, opts PutOptions) (Attrs, error)

	// Delete removes objects. A key that does not exist is not an error.
	// Delete tries all keys. Its error joins one *Error for each failure.
	Delete(ctx context.Context, keys ...string) error

	// List yields the objects with a prefix in the byte order of their keys.
	// It stops after the first error.
	List(ctx context.Context, opts ListOptions) iter.Seq2[Attrs, error]

	// String names the bucket in messages, without secrets.
	String() string

	// Close releases connections and files. No call may follow it.
	Close() error
}

// Content is the bytes of an object to be stored. *bytes.Reader,
// *strings.Reader and *io.SectionReader implement it.
type Content interface {
	io.ReaderAt
	Size() int64
}

// Attrs are the attributes of a stored object. An attribute that the driver
// does not know is zero. Key is always known. Size is -1 where a web server
// does not tell it.
type Attrs struct {
	Key             string
	Size            int64     // of the whole object, as stored
	ETag            string    // opaque; changes when the object does
	ModTime         time.Time // of the last write
	ContentType     string
	ContentEncoding string

	// SHA256 is the digest of the object that the store computed or checked
	// when the object was written. It is nil where the store keeps none. Head
	// returns it; Get, Put and List may.
	SHA256 *[32]byte
}

// Object is an open object, or an open part of one.
type Object struct {
	Attrs
	Offset int64 // where Body begins in the object
	Length int64 // number of bytes in Body; -1 where the server does not tell
	Body   io.ReadCloser
}

// GetOptions select what Get reads. The zero value is the whole object.
type GetOptions struct {
	Offset  int64  // first byte
	Length  int64  // number of bytes, fewer where the object ends; 0 means all that follow
	IfMatch string // fail with ErrPrecondition unless the object has this ETag

	// Verified says that the caller checks the bytes against a digest. A
	// download that breaks off then resumes even where neither an ETag nor a
	// date proves that the object is still the same. It fails where one of them
	// proves that the object is another.
	Verified bool
}

// PutOptions say how an object is stored. The zero value overwrites.
type PutOptions struct {
	ContentType     string
	ContentEncoding string
	CacheControl    string

	// SHA256 is the digest of the content, nil where the caller does not know
	// it. It saves the driver from reading the content to compute it. A driver
	// whose server checks it fails with ErrChecksum when it is wrong.
	SHA256 *[32]byte

	// IfNoneMatch stores only when no object has the key, else fails with
	// ErrPrecondition. Of several writers at once exactly one succeeds, if the
	// documentation of the driver says so.
	IfNoneMatch bool

	// IfMatch stores only when the object with the key has this ETag, else
	// fails with ErrPrecondition.
	IfMatch string
}

// ListOptions select what List yields. The zero value is every object.
type ListOptions struct {
	Prefix     string // only keys that begin with it
	StartAfter string // only keys greater than it

	// Shallow leaves out the keys that have a slash after the prefix. They
	// cost no request where the server has delimiters.
	Shallow bool
}

// Pager is implemented by buckets whose List takes a request for each page of
// keys, and whose ranges can be listed in parallel for that reason.
type Pager interface {
	// PageSize is the greatest number of keys of a page.
	PageSize() int
}

// Copier is implemented by buckets that can copy an object without moving its
// bytes through this process.
type Copier interface {
	// CopyFrom copies src's object srcKey to key. Where the two buckets are
	// not of one service, it fails with errors.ErrUnsupported before anything
	// is sent. The caller then reads and writes the object itself.
	CopyFrom(ctx context.Context, key string, src Bucket, srcKey string, opts PutOptions) (Attrs, error)
}

// Presigner is implemented by buckets that can grant access to one object by
// a URL.
type Presigner interface {
	// PresignGet and PresignPut return a URL that allows GET or PUT of the key
	// until the time has passed.
	PresignGet(ctx context.Context, key string, expires time.Duration) (string, error)
	PresignPut(ctx context.Context, key string, expires time.Duration) (string, error)
}

// ContentPresigner is implemented by buckets that can grant the upload of one
// content by a URL.
type ContentPresigner interface {
	// PresignContent returns a URL that allows PUT of the content with the
	// SHA-256 under the key until the time has passed. It fails with
	// errors.ErrUnsupported where the bucket's settings need headers that the
	// sender of the content would not send.
	PresignContent(ctx context.Context, key string, sha256 [32]byte, expires time.Duration) (string, error)

	// PinsContent reports whether the server takes that content, and no other,
	// at such a URL. It writes to the key to find out.
	PinsContent(ctx context.Context, key string) (bool, error)
}

// Upload is an unfinished multipart upload.
type Upload struct {
	Key       string
	ID        string
	Initiated time.Time
}

// UploadCleaner is implemented by buckets in which a killed writer may leave
// unfinished uploads, which take space and appear in no listing.
type UploadCleaner interface {
	// Uploads yields the unfinished uploads whose keys have the prefix.
	Uploads(ctx context.Context, prefix string) iter.Seq2[Upload, error]
	// AbortUpload discards one. One that does not exist is not an error.
	AbortUpload(ctx context.Context, u Upload) error
}

// Stager is implemented by buckets that can store an object's bytes before its
// key is known, and name them later without moving them.
type Stager interface {
	// Stage opens a new staged object. The context governs all its methods.
	Stage(ctx context.Context) (Staged, error)
}

// Staged is an object on its way into a bucket. It appears in no listing. Only
// one goroutine may use it at a time.
type Staged interface {
	io.Writer

	// Commit stores the bytes under a key, as Put does, and ends the staging.
	Commit(key string, opts PutOptions) (Attrs, error)

	// Close discards the bytes unless they were committed. It may be called
	// after Commit and more than once.
	Close() error
}

// Referrer is implemented by buckets with an address of their own. In these a
// narinfo's URL may be any RFC 3986 reference: with a query, with "../" or
// absolute. In all other buckets it is a key.
type Referrer interface {
	GetRef(ctx context.Context, ref string, opts GetOptions) (*Object, error)
}

// ReadAll reads a whole object of at most limit bytes. It fails with
// ErrTooLarge for a larger one, before it reads it where the size is known.
func ReadAll(ctx context.Context, b Bucket, key string, limit int64) ([]byte, Attrs, error) {
	obj, err := b.Get(ctx, key, GetOptions{})
	if err != nil {
		return nil, Attrs{}, err
	}
	defer obj.Body.Close()
	tooLarge := &Error{Op: "Get", Bucket: b.String(), Key: key, Err: ErrTooLarge}
	if obj.Length > limit {
		return nil, Attrs{}, tooLarge
	}
	data, err := readBody(obj, limit)
	if err != nil {
		return nil, Attrs{}, err
	}
	if int64(len(data)) > limit {
		return nil, Attrs{}, tooLarge
	}
	return data, obj.Attrs, nil
}

// readBody reads at most one byte more than limit. Where the length is known,
// the buffer has that size.
func readBody(obj *Object, limit int64) ([]byte, error) {
	if obj.Length >= 0 {
		data := make([]byte, obj.Length)
		if _, err := io.ReadFull(obj.Body, data); err != nil {
			return nil, err
		}
		// A body may say only at its end that its checksum does not match.
		if _, err := io.ReadFull(obj.Body, make([]byte, 1)); err != nil && err != io.EOF {
			return nil, err
		}
		return data, nil
	}
	return io.ReadAll(io.LimitReader(obj.Body, limit+1))
}

// Sentinels for errors.Is. Every driver maps its own failures to them.
var (
	ErrNotFound      = errors.New("not found")
	ErrAccessDenied  = errors.New("access denied")
	ErrNoSuchBucket  = errors.New("no such bucket")
	ErrPrecondition  = errors.New("precondition failed")
	ErrNoCredentials = errors.New("no credentials")
	ErrRegion        = errors.New("wrong region")
	ErrThrottled     = errors.New("throttled")
	ErrChecksum      = errors.New("checksum mismatch")
	ErrTooLarge      = errors.New("object too large")
	ErrReadOnly      = errors.New("bucket is read-only")
	ErrStalled       = errors.New("transfer stalled") // see [Retry]
)
