package serve

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
)

// Page is what the page for people says besides what the cache itself says.
type Page struct {
	// Title is the name of the cache; its URL where it is empty.
	Title string

	// PublicKeys are those that clients need.
	PublicKeys narinfo.TrustedKeys
}

//go:embed page/*.html page/style.css
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"size": humanSize, "base": path.Base}).ParseFS(pageFiles, "page/*.html"))

// Bounds of what a page shows.
const (
	maxClosure = 5000    // paths that are walked for the size of a closure
	maxText    = 1 << 20 // bytes of a file that are shown
	maxResults = 200     // of a search
	maxIndexed = 50_000  // paths that a search by name looks at
)

// pageData is what a template gets.
type pageData struct {
	Title, Host, URL string
	Keys             []string
	Private, Pushes  bool
	Query            string
	Results          []result
	Notes            []string

	Info          *narinfo.NarInfo
	Name, Path    string
	Closure       *closureSize
	Referrers     []storepath.Path
	HasLog        bool
	File          string // in the path, "" for its root
	Crumbs        []crumb
	Entries       []entry
	Text          string
	Bytes         int64
	Target        string
	Unshown       string
	Unverified    bool // the archive's hash, when the file was read
	HasReferrers  bool
	DerivationLog string
}

type result struct {
	Path string
	Size int64
}

type crumb struct{ Name, Link string }

type entry struct {
	Name, Link, Kind string
	Size             int64
}

type closureSize struct {
	Paths    int
	NarSize  int64
	FileSize int64
	Complete bool
}

// readPage answers a GET of the page for people and reports whether there is
// one at the path.
func (s *Server) readPage(w http.ResponseWriter, r *http.Request) bool {
	p := r.URL.Path
	switch {
	case s.opts.Page == nil:
		return false
	case p == "/":
		s.showPage(w, r, "index.html", s.newPageData(r))
	case p == "/-/style.css":
		css, _ := pageFiles.ReadFile("page/style.css")
		h := w.Header()
		h.Set("Content-Type", "text/css; charset=utf-8")
		h.Set("Cache-Control", "max-age=3600")
		_, _ = w.Write(css)
	case p == "/-/search":
		s.searchPage(w, r)
	case strings.HasPrefix(p, "/-/path/"):
		s.pathPage(w, r, strings.TrimPrefix(p, "/-/path/"))
	default:
		return false
	}
	return true
}

func (s *Server) newPageData(r *http.Request) *pageData {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	d := &pageData{Title: s.opts.Page.Title, Host: hostname(r.Host), URL: scheme + "://" + r.Host, Private: !s.auth.anonymous().Has(AccessRead), Pushes: s.push != nil}
	if d.Title == "" {
		d.Title = d.URL
	}
	for _, key := range s.opts.Page.PublicKeys {
		d.Keys = append(d.Keys, key.String())
	}
	return d
}

func hostname(hostport string) string {
	u := url.URL{Host: hostport}
	return u.Hostname()
}

func (s *Server) showPage(w http.ResponseWriter, r *http.Request, name string, d *pageData) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, d); err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, max-age=30")
	h.Set("Content-Length", fmt.Sprint(page.Len()))
	_, _ = w.Write(page.Bytes())
}

// searchPage finds paths by hash or by a part of the name.
func (s *Server) searchPage(w http.ResponseWriter, r *http.Request) {
	d := s.newPageData(r)
	d.Query = strings.TrimSpace(r.URL.Query().Get("q"))
	query := path.Base(d.Query)
	if hashPart, _, _ := strings.Cut(query, "-"); storepath.ValidateHashPart(hashPart) == nil {
		if info, err := s.pathInfo(r.Context(), hashPart); err == nil {
			http.Redirect(w, r, "/-/path/"+info.Path.String(), http.StatusSeeOther)
			return
		} else if !isAbsent(err) {
			s.fail(w, r, err)
			return
		}
	} else if d.Query != "" {
		if err := s.searchNames(r.Context(), d); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	s.showPage(w, r, "search.html", d)
}

func (s *Server) searchNames(ctx context.Context, d *pageData) error {
	all, complete, err := s.index.get(ctx, s)
	if err != nil {
		return err
	}
	if !complete {
		d.Notes = append(d.Notes, fmt.Sprintf("Only the first %d paths of this cache were searched.", len(all)))
	}
	want := strings.ToLower(d.Query)
	for _, info := range all {
		if !strings.Contains(strings.ToLower(info.path.Name()), want) {
			continue
		}
		if len(d.Results) == maxResults {
			d.Notes = append(d.Notes, fmt.Sprintf("Only the first %d results are shown.", maxResults))
			break
		}
		d.Results = append(d.Results, result{info.path.String(), info.narSize})
	}
	return nil
}

// pathInfo returns the narinfo of a path as clients get it.
func (s *Server) pathInfo(ctx context.Context, hashPart string) (*narinfo.NarInfo, error) {
	key := layout.NarInfoKey(hashPart)
	o, err := s.lookup(ctx, target{kind: layout.NarInfo, key: key, ref: key})
	if err != nil {
		return nil, err
	}
	return o.info, nil
}

// pathPage shows a path, or a file in it.
func (s *Server) pathPage(w http.ResponseWriter, r *http.Request, rest string) {
	base, file, inside := strings.Cut(rest, "/")
	p, err := storepath.ParseBase(base)
	if err != nil {
		s.missing(w)
		return
	}
	info, err := s.pathInfo(r.Context(), p.HashPart())
	if err == nil && info.Path != p {
		s.missing(w)
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	d := s.newPageData(r)
	d.Info, d.Name, d.Path = info, p.Name(), info.StoreDir.Join(p)
	if inside {
		err = s.fillFile(r.Context(), d, p, strings.Trim(file, "/"))
	} else {
		err = s.fillPath(r.Context(), d, info)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if inside {
		s.showPage(w, r, "file.html", d)
		return
	}
	s.showPage(w, r, "path.html", d)
}

func (s *Server) fillPath(ctx context.Context, d *pageData, info *narinfo.NarInfo) error {
	var err error
	if d.Closure, err = s.closureSize(ctx, info); err != nil {
		return err
	}
	if known, ok := s.index.known(); ok {
		d.HasReferrers = true
		for _, other := range known {
			if other.path != info.Path && slices.Contains(other.references, info.Path) && len(d.Referrers) < maxResults {
				d.Referrers = append(d.Referrers, other.path)
			}
		}
	}
	if !info.Deriver.IsZero() {
		_, err := s.bucket.Head(ctx, layout.LogKey(info.Deriver))
		if d.HasLog = err == nil; d.HasLog {
			d.DerivationLog = "/" + layout.LogKey(info.Deriver)
		}
	}
	return nil
}

// closureSize walks a closure, at most maxClosure paths of it.
func (s *Server) closureSize(ctx context.Context, root *narinfo.NarInfo) (*closureSize, error) {
	c := &closureSize{Complete: true}
	seen := map[storepath.Path]bool{root.Path: true}
	for next := []*narinfo.NarInfo{root}; len(next) > 0; {
		info := next[0]
		next = next[1:]
		c.Paths++
		c.NarSize += info.NarSize
		c.FileSize += info.FileSize
		for _, ref := range info.References {
			if seen[ref] {
				continue
			}
			if seen[ref] = true; len(seen) > maxClosure {
				c.Complete = false
				return c, nil
			}
			switch found, err := s.pathInfo(ctx, ref.HashPart()); {
			case err == nil:
				next = append(next, found)
			case isAbsent(err):
				c.Complete = false
			default:
				return nil, err
			}
		}
	}
	return c, nil
}

// fillFile lists a folder or reads a file.
func (s *Server) fillFile(ctx context.Context, d *pageData, p storepath.Path, name string) error {
	listing, err := s.cache.Listing(ctx, p)
	if err != nil {
		return err
	}
	node := listing.Lookup(name)
	if node == nil {
		return fmt.Errorf("%s: %w", name, store.ErrNotFound)
	}
	d.File = name
	prefix := "/-/path/" + p.String()
	d.Crumbs = append(d.Crumbs, crumb{p.String(), prefix + "/"})
	at := ""
	for part := range strings.SplitSeq(name, "/") {
		if part != "" {
			at += "/" + part
			d.Crumbs = append(d.Crumbs, crumb{part, link(prefix, at)})
		}
	}
	switch node.Type {
	case nar.TypeSymlink:
		d.Target = node.LinkTarget
	case nar.TypeRegular:
		d.Bytes = node.Size
		return s.fillText(ctx, d, p, node)
	default:
		for _, e := range node.Entries {
			d.Entries = append(d.Entries, entry{e.Name, link(prefix, "/"+path.Join(name, e.Name)), e.Type.String(), e.Size})
		}
		sort.SliceStable(d.Entries, func(i, j int) bool { return d.Entries[i].Kind == "directory" && d.Entries[j].Kind != "directory" })
	}
	return nil
}

// fillText shows a file that is text.
func (s *Server) fillText(ctx context.Context, d *pageData, p storepath.Path, node *nar.Node) error {
	if node.Size > maxText {
		d.Unshown = "It is too large to be shown here."
		return nil
	}
	text, verified, err := s.readFile(ctx, d.Info, d.File)
	switch {
	case errors.Is(err, errTooLarge):
		d.Unshown = "It is too large to be shown here."
		return nil
	case err != nil:
		return fmt.Errorf("%s: %s: %w", p, d.File, err)
	}
	d.Bytes, d.Unverified = int64(len(text)), !verified
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		d.Unshown = "It is not text."
		return nil
	}
	d.Text = string(text)
	return nil
}

// link escapes the path of a link.
func link(prefix, name string) string { return (&url.URL{Path: prefix + name}).EscapedPath() }

func humanSize(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d %s", n, units[0])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
