package storetest

import (
	"context"

	"example.com/nixs3/store/blob"
)

// StagingFaultBucket is a [FaultBucket] in front of a bucket that can stage
// objects. What it logs of that is the Commit.
type StagingFaultBucket struct {
	*FaultBucket
	stager blob.Stager
}

var (
	_ blob.Bucket = (*StagingFaultBucket)(nil)
	_ blob.Stager = (*StagingFaultBucket)(nil)
)

// NewStagingFaultBucket wraps a bucket that is a blob.Stager too.
func NewStagingFaultBucket[B interface {
	blob.Bucket
	blob.Stager
}](b B, plan Plan) *StagingFaultBucket {
	return &StagingFaultBucket{FaultBucket: NewFaultBucket(b, plan), stager: b}
}

func (b *StagingFaultBucket) Stage(ctx context.Context) (blob.Staged, error) {
	s, err := b.stager.Stage(ctx)
	if err != nil {
		return nil, err
	}
	return &faultStaged{Staged: s, bucket: b.FaultBucket, ctx: ctx}, nil
}

type faultStaged struct {
	blob.Staged
	bucket  *FaultBucket
	ctx     context.Context
	written int64
}

func (s *faultStaged) Write(p []byte) (int, error) {
	n, err := s.Staged.Write(p)
	s.written += int64(n)
	return n, err
}

func (s *faultStaged) Commit(key string, opts blob.PutOptions) (blob.Attrs, error) {
	op, f, err := s.bucket.begin(s.ctx, Operation{Op: "Commit", Key: key, Put: opts, Size: s.written})
	if err != nil {
		return blob.Attrs{}, err
	}
	if f.breaks() {
		return blob.Attrs{}, s.bucket.fail(op, f.Err)
	}
	attrs, err := s.Staged.Commit(key, opts)
	if err := s.bucket.lost(op, f, err); err != nil {
		return blob.Attrs{}, err
	}
	return attrs, nil
}
