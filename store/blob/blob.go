// Package blob is the small interface through which package store reaches
// stored objects: a bucket of named byte strings with a few attributes.
//
// Drivers live in the packages below it: s3blob (S3 and what speaks its
// protocol), fileblob (a directory), httpblob (a web server) and memblob
// (memory). storetest.TestBucket is the contract as a test; a driver of your
// own passes it before it serves a cache.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Bucket is a flat collection of objects, each known by its key. A key is any
// non-empty UTF-8 string of at most 1024 bytes without NUL; slashes only have
// a meaning for [ListOptions.Shallow].
//
// Every method may be called from any number of goroutines at once. A method
// returns soon after its context is cancelled, with an error that wraps
// context.Cause, and leaves no goroutine behind. Failures are [*Error] values,
// so that errors.Is works with the sentinels of this package.
type Bucket interface {
	// Get opens an object, or a part of it, for reading. The caller closes
	// what it gets. The context governs the whole read, not only its begin.
	// The body fails with io.ErrUnexpectedEOF, never a clean io.EOF, when it
	// ends before Object.Length bytes.
	Get(ctx context.Context, key string, opts GetOptions) (*Object, error)

	// Head returns the attributes of an object.
	Head(ctx context.Context, key string) (Attrs, error)

	// Put stores an object whole or not at all: a reader sees the old
	// object or the new one, never a part, and after a failure nothing
	// remains of the attempt. The content may be read more than once, and
	// in several places at a time.
	Put(ctx context.Context, key string, content Content, opts PutOptions) (Attrs, error)

	// Delete removes objects. A key that does not exist is not an error.
	// All keys are tried; the error joins one *Error for each that failed.
	Delete(ctx context.Context, keys ...string) error

	// List yields the objects with a prefix in the byte order of their keys.
	// It stops after the first error.
	List(ctx context.Context, opts ListOptions) iter.Seq2[Attrs, error]

	// String describes the bucket for messages, without secrets.
	String() string

	// Close releases what the bucket holds. No call may follow it.
	Close() error
}

// Content is the bytes of an object to be stored. *bytes.Reader,
// *strings.Reader and *io.SectionReader implement it.
type Content interface {
	io.ReaderAt
	Size() int64
}

// Attrs are the attributes of a stored object. What a driver does not know is
// left zero; Key and Size are always known.
type Attrs struct {
	Key             string
	Size            int64     // of the whole object, as stored
	ETag            string    // opaque, changes when the object does
	ModTime         time.Time // of the last write
	ContentType     string
	ContentEncoding string

	// SHA256 is the digest of the object, as the store computed or checked it
	// when the object was written and keeps it since. nil where the store has
	// none. Head returns it; Get, Put and List may.
	SHA256 *[32]byte
}

// Object is an open object, or an open part of one.
type Object struct {
	Attrs
	Offset int64 // where Body begins in the object
	Length int64 // how many bytes Body has; -1 where the server does not tell
	Body   io.ReadCloser
}

// GetOptions select what Get reads. The zero value is the whole object.
type GetOptions struct {
	Offset  int64  // first byte
	Length  int64  // number of bytes; 0 means all that follow, and less come where the object ends
	IfMatch string // fail with ErrPrecondition unless the object has this ETag

	// Verified says that the caller checks what it reads against a digest. A
	// broken download then resumes where nothing proves that the server still
	// sends the same object, unless something proves that it does not.
	Verified bool
}

// PutOptions say how an object is stored. The zero value overwrites.
type PutOptions struct {
	ContentType     string
	ContentEncoding string
	CacheControl    string

	// SHA256 is the digest of the content where the caller knows it. A driver
	// may send it along so that the server checks it, and need not read the
	// content once more to compute it. A driver that can check it fails with
	// ErrChecksum when it is wrong.
	SHA256 *[32]byte

	// IfNoneMatch stores only when no object has the key, else fails with
	// ErrPrecondition. Of several writers at once exactly one succeeds, where
	// the driver says that it can.
	IfNoneMatch bool

	// IfMatch stores only when the object with the key has this ETag, else
	// fails with ErrPrecondition.
	IfMatch string
}

// ListOptions select what List yields. The zero value is every object.
type ListOptions struct {
	Prefix     string // only keys that begin with it
	StartAfter string // only keys greater than it

	// Shallow leaves out the keys that have a slash behind the prefix. Where
	// the server can, they cost no request.
	Shallow bool
}

// Copier is implemented by buckets that can copy an object without moving its
// bytes through this process.
type Copier interface {
	// CopyFrom copies src's object srcKey to key. It fails with
	// errors.ErrUnsupported, before anything is sent, where the two buckets
	// are not of one service; the caller then reads and writes itself.
	CopyFrom(ctx context.Context, key string, src Bucket, srcKey string, opts PutOptions) (Attrs, error)
}

// Presigner is implemented by buckets that can grant access to one object by
// an URL.
type Presigner interface {
	// PresignGet and PresignPut return an URL that is good for GET or PUT of
	// the key until the time has passed.
	PresignGet(ctx context.Context, key string, expires time.Duration) (string, error)
	PresignPut(ctx context.Context, key string, expires time.Duration) (string, error)
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

// Stager is implemented by buckets that can take an object's bytes before its
// key is known, and name them in the end without moving them again.
type Stager interface {
	// Stage opens a new staged object. The context governs all that is done
	// with it.
	Stage(ctx context.Context) (Staged, error)
}

// Staged is an object on its way into a bucket. It is seen by no listing. It is
// not safe for use by several goroutines at once.
type Staged interface {
	io.Writer

	// Commit names what was written, as Put would, and ends the staging.
	Commit(key string, opts PutOptions) (Attrs, error)

	// Close discards what was not committed. It may be called after Commit
	// and more than once.
	Close() error
}

// Referrer is implemented by buckets that live at an address of their own, in
// which a narinfo's URL may be any RFC 3986 reference: with a query, with "../"
// or absolute. In all other buckets it is a key.
type Referrer interface {
	GetRef(ctx context.Context, ref string, opts GetOptions) (*Object, error)
}

// ReadAll reads a whole object of at most limit bytes. A larger one fails with
// ErrTooLarge before it is read.
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

// readBody reads at most one byte more than limit, into a buffer of the right
// size where the length is known.
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
