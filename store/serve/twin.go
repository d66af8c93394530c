package serve

import (
	"context"
	"io"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
)

// keepTwin publishes a path of an upstream whose archive was kept for another
// path with the same contents.
func (s *Server) keepTwin(o *small) {
	if !o.from.PullThrough {
		return
	}
	stored, ok := s.keptFiles.get(archiveKeyOf(o.info))
	if !ok || stored.NarHash != o.info.NarHash || stored.NarSize != o.info.NarSize || stored.Path == o.info.Path {
		return
	}
	info := stored.Clone()
	info.PathInfo = *o.info.PathInfo.Clone()
	s.background.Go(func() {
		if err := s.checkTwin(info); err != nil {
			s.log.Error("keeping a path of an upstream", "path", info.Path.String(), "error", err)
			return
		}
		s.kept.publish(s.ctx, &twin{s.cache, info}, s.log)
	})
}

// checkTwin verifies a content address, which the check of the other path's
// archive did not cover.
func (s *Server) checkTwin(info *narinfo.NarInfo) error {
	if info.CA.IsZero() {
		return nil
	}
	if err := info.VerifyContentAddress(); err != nil {
		return err
	}
	r, err := s.cache.OpenNAR(s.ctx, info)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// twin is a path whose archive is stored.
type twin struct {
	cache *store.Cache
	info  *narinfo.NarInfo
}

func (t *twin) NarInfo() *narinfo.NarInfo { return t.info }

func (t *twin) Publish(ctx context.Context) error {
	_, err := t.cache.PublishStored(ctx, t.info, store.AddOptions{})
	return err
}
