package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDiff(t *testing.T) {
	got := nixs3(t, "", "diff", "--store", testCache(t), "--json", hello, env)
	require.Equal(t, exitOK, got.exit, got.stderr)
	var d closureDiff
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &d))
	assert.Empty(t, d.Removed)
	require.Len(t, d.Added, 2)
	assert.Equal(t, env, d.Added[0].Path)
	assert.Equal(t, wrapper, d.Added[1].Path)
	assert.Equal(t, d.After-d.Before, d.Added[0].NARSize+d.Added[1].NARSize)

	text := nixs3(t, "", "diff", "--store", testCache(t), env, hello)
	assert.Regexp(t, `(?m)^ *- .*`+env+`$`, text.stdout)
	assert.Regexp(t, `(?m)^ *-[0-9.]+ .iB +closure, now`, text.stdout)
}

func TestDu(t *testing.T) {
	got := nixs3(t, "", "du", "--store", testCache(t), "--json", env)
	require.Equal(t, exitOK, got.exit, got.stderr)
	var rows []usage
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &rows))
	require.Len(t, rows, 3)
	byPath := map[string]usage{}
	var total int64
	for _, row := range rows {
		byPath[row.Path] = row
		total += row.NARSize
	}
	assert.Equal(t, total, byPath[env].ClosureSize)
	assert.Equal(t, total, byPath[env].Alone, "nothing is left without the root")
	assert.Equal(t, byPath[wrapper].NARSize+byPath[hello].NARSize, byPath[wrapper].ClosureSize)
	assert.Equal(t, byPath[wrapper].NARSize, byPath[wrapper].Alone, "the root refers to hello too")
	assert.Contains(t, nixs3(t, "", "du", "--store", testCache(t), env).stdout, "CLOSURE")
}

func TestSplitUpstream(t *testing.T) {
	key := publicKey(t)
	for value, want := range map[string]string{
		"https://cache.example.org=" + key:               "https://cache.example.org",
		"s3://cache?region=eu-west-1=" + key:             "s3://cache?region=eu-west-1",
		"s3://cache?region=eu-west-1=" + key + "," + key: "s3://cache?region=eu-west-1",
	} {
		url, keys, err := splitUpstream(value)
		require.NoError(t, err)
		assert.Equal(t, want, url)
		assert.NotEmpty(t, keys)
	}
	for _, value := range []string{"", "https://cache.example.org", "https://cache.example.org=", "https://cache.example.org=x:y"} {
		_, _, err := splitUpstream(value)
		assert.ErrorContains(t, err, "expected URL=KEY", value)
	}
}

func TestCopyLeavesOutUpstreams(t *testing.T) {
	got := nixs3(t, "", "copy", "--json", "--from", testCache(t), "--to", t.TempDir(), "--upstream", testCache(t)+"="+publicKey(t), env)
	require.Equal(t, exitOK, got.exit, got.stderr)
	var r copyResult
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &r))
	assert.Equal(t, 3, r.Upstream)
	assert.Zero(t, r.Copied)
}
