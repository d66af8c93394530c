package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/layout"
)

func compareKeys(a, b string) int { return strings.Compare(a, b) }

// closures mirrors the closures of the roots and what belongs to them.
func (m *mirror) closures(ctx context.Context, dst *store.Cache) (err error) {
	infos, err := store.Closure(ctx, m.src, m.opts.Roots)
	if err != nil {
		return err
	}
	var beside sides
	for _, root := range m.opts.Roots {
		if _, err := m.src.Bucket().Head(ctx, layout.ListingKey(root.HashPart())); err == nil {
			beside.listing = true
		}
	}
	realisations, links, err := m.belonging(ctx)
	if err != nil {
		return err
	}
	beside.links = links
	if m.dst, err = withSides(dst, beside); err != nil {
		return err
	}
	m.report.Paths = len(infos)
	if err := m.copy(ctx, m.opts.Roots, store.CopyOptions{}); err != nil {
		return err
	}
	m.report.Unchanged = m.report.Paths - m.report.Changed - len(m.report.Failed)
	there := slices.DeleteFunc(slices.Clone(infos), func(info *narinfo.PathInfo) bool { return m.copied[info.Path] })
	if err := m.addSignatures(ctx, flow.Values(there)); err != nil {
		return err
	}
	var logs []string
	members := map[storepath.Path]bool{}
	for _, info := range infos {
		members[info.Path] = true
		drv := info.Deriver
		if info.Path.IsDerivation() {
			drv = info.Path
		}
		if !drv.IsZero() {
			logs = append(logs, layout.LogKey(drv))
		}
	}
	err = m.objects(ctx, realisations, func(ctx context.Context, key string) error {
		r, err := m.readRealisation(ctx, key)
		if err != nil || !members[r.OutPath] {
			return errors.Join(err, skipped(err == nil))
		}
		return m.unlessPresent(ctx, key, m.realisation)
	})
	if err != nil {
		return err
	}
	return m.objects(ctx, logs, func(ctx context.Context, key string) error { return m.unlessPresent(ctx, key, m.log) })
}

// skipped is an error that makes objects pass over a key.
func skipped(yes bool) error {
	if yes {
		return store.ErrNotFound
	}
	return nil
}

// belonging lists the source's realisations, and reports whether it has links
// to debug files. A source that cannot be listed is taken to have neither.
func (m *mirror) belonging(ctx context.Context) (realisations []string, links bool, err error) {
	for _, prefix := range layout.RealisationPrefixes() {
		if _, err = list(ctx, m.src.Bucket(), blob.ListOptions{Prefix: prefix}, func(a blob.Attrs) {
			if layout.KindOf(a.Key) == layout.Realisation {
				realisations = append(realisations, a.Key)
			}
		}); err != nil {
			break
		}
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, false, nil
	}
	for _, lerr := range m.src.Bucket().List(ctx, blob.ListOptions{Prefix: layout.DebugInfoPrefix}) {
		links = lerr == nil
		break
	}
	return realisations, links, err
}

// unlessPresent copies an object that dst lacks.
func (m *mirror) unlessPresent(ctx context.Context, key string, copy func(context.Context, string) error) error {
	_, err := m.dst.Bucket().Head(ctx, key)
	switch {
	case err == nil:
		return skipped(true)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	return copy(ctx, key)
}

func (m *mirror) log(ctx context.Context, key string) error {
	drv, err := storepath.ParseBase(strings.TrimPrefix(key, layout.LogPrefix))
	if err != nil {
		return err
	}
	log, err := m.src.Log(ctx, drv)
	if err != nil || m.opts.DryRun {
		return errors.Join(err, closed(log))
	}
	return errors.Join(m.dst.PutLog(ctx, drv, log), log.Close())
}

func closed(c interface{ Close() error }) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

func (m *mirror) readRealisation(ctx context.Context, key string) (*narinfo.Realisation, error) {
	id, err := narinfo.ParseRealisationKey(key)
	if err != nil {
		return nil, err
	}
	return m.src.Realisation(ctx, id)
}

// realisation copies a realisation whose path is at dst.
func (m *mirror) realisation(ctx context.Context, key string) error {
	r, err := m.readRealisation(ctx, key)
	if err != nil || m.opts.DryRun {
		return err
	}
	if has, err := m.dst.Has(ctx, r.OutPath); err != nil || !has {
		return errors.Join(err, fmt.Errorf("its path %s is not at the destination", r.OutPath))
	}
	return m.dst.PutRealisation(ctx, r)
}

// debugLink copies a link whose archive is at dst under the same key. Links of
// paths that were copied just now are there already.
func (m *mirror) debugLink(ctx context.Context, key string) error {
	limit := layout.DebugInfo.Limit()
	text, attrs, err := blob.ReadAll(ctx, m.src.Bucket(), key, limit)
	if err != nil {
		return err
	}
	var link debugInfo
	if err := json.Unmarshal(text, &link); err != nil {
		return err
	}
	if _, err := m.dst.Bucket().Head(ctx, link.file().archive); err != nil || m.opts.DryRun {
		return err
	}
	_, err = m.dst.Bucket().Put(ctx, key, strings.NewReader(string(text)), blob.PutOptions{ContentType: attrs.ContentType})
	return err
}
