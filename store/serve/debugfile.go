package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"example.com/nixs3/nar"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
)

// buildID returns the build ID of a debuginfod request,
// /buildid/<id>/debuginfo.
func buildID(urlPath string) (string, bool) {
	rest, ok := strings.CutPrefix(urlPath, "/buildid/")
	id, ok2 := strings.CutSuffix(rest, "/debuginfo")
	return id, ok && ok2 && layout.KindOf(layout.DebugInfoKey(id)) == layout.DebugInfo
}

// debugLink is the content of a debuginfo object.
type debugLink struct {
	Archive string `json:"archive"`
	Member  string `json:"member"`
}

// readDebugFile answers a debuginfod client with the debug file itself, which
// it takes out of the archive.
func (s *Server) readDebugFile(w http.ResponseWriter, r *http.Request, id string) {
	o, err := s.lookup(r.Context(), target{kind: layout.DebugInfo, key: layout.DebugInfoKey(id)})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	data, err := o.bytes(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var link debugLink
	if err := json.Unmarshal(data, &link); err != nil {
		s.fail(w, r, fmt.Errorf("%s: %w", layout.DebugInfoKey(id), err))
		return
	}
	key, err := archiveOf(link)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	m, err := s.openMember(r.Context(), key, link.Member)
	if err != nil {
		s.fail(w, r, fmt.Errorf("%s: %w", key, err))
		return
	}
	defer m.close()
	e := &entity{
		kind: layout.DebugInfo, contentType: "application/octet-stream", size: m.size,
		etag: strings.TrimSuffix(storedETag(m.attrs), `"`) + "-" + id + `"`, modTime: m.attrs.ModTime,
		open: func(_ context.Context, part byteRange) (io.ReadCloser, error) {
			body, err := m.open(part)
			return io.NopCloser(body), err
		},
	}
	w.Header().Set("X-DEBUGINFOD-SIZE", fmt.Sprint(m.size))
	s.send(w, r, e)
}

// archiveOf returns the key of a link's archive, which is relative to the
// folder of links.
func archiveOf(link debugLink) (string, error) {
	key := path.Join(layout.DebugInfoPrefix, link.Archive)
	if layout.KindOf(key) != layout.Archive {
		return "", fmt.Errorf("archive %q of a debuginfo link: expected one below ../%s", link.Archive, layout.ArchivePrefix)
	}
	return key, nil
}

// find advances to a regular file of an archive.
func find(r *nar.Reader, member string) (*nar.Header, error) {
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("member %q: %w", member, store.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		if h.Path == member && h.Type == nar.TypeRegular {
			return h, nil
		}
	}
}

// bytes returns the whole of a small object.
func (o *small) bytes(ctx context.Context) ([]byte, error) {
	body, err := o.entity.open(ctx, byteRange{0, o.entity.size})
	if err != nil {
		return nil, err
	}
	return io.ReadAll(body)
}
