package localstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/localstore"
)

// realisationTables are those of Nix 2.8 for content-addressed derivations.
const realisationTables = `
CREATE TABLE Realisations (
    id integer primary key autoincrement not null,
    drvPath text not null,
    outputName text not null,
    outputPath integer not null,
    signatures text,
    foreign key (outputPath) references ValidPaths(id) on delete cascade
);
CREATE TABLE RealisationsRefs (
    referrer integer not null,
    realisationReference integer,
    foreign key (referrer) references Realisations(id) on delete cascade,
    foreign key (realisationReference) references Realisations(id) on delete restrict
);`

const realisationSignature = "lab-1:96F2Mhbh1b/ExZhdylwShSC4P84IJ6vzrHpGxRuihgtqBPU6LPEreUzwVRFpNAWOqN/Th80n5dxn/4hR7qfVBw=="

func output(n int, name string) narinfo.DrvOutput {
	return narinfo.DrvOutput{DrvHash: nixhash.Sum(nixhash.SHA256, fmt.Append(nil, n)), Output: name}
}

func listRealisations(t *testing.T, s *localstore.Store) (found []*narinfo.Realisation, errs []error) {
	t.Helper()
	for r, err := range s.Realisations(t.Context()) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, r)
	}
	return found, errs
}

func TestRealisations(t *testing.T) {
	f := newFixture(t)
	s := f.open()
	found, errs := listRealisations(t, s)
	assert.Empty(t, found, "without the tables there is none")
	assert.Empty(t, errs)

	f.write(realisationTables)
	found, errs = listRealisations(t, s)
	assert.Empty(t, found)
	assert.Empty(t, errs)

	realise := func(n int, name string, path int, sigs any) {
		f.write(`INSERT INTO Realisations (drvPath, outputName, outputPath, signatures) VALUES (?, ?, ?, ?)`,
			"sha256:"+output(n, name).DrvHash.Base16(), name, path, sigs)
	}
	f.addFile(1, "leaf")
	f.addFile(2, "top")
	realise(1, "out", 1, realisationSignature+" not-a-signature")
	realise(1, "dev", 1, nil)
	realise(2, "out", 2, "")
	f.write(`INSERT INTO RealisationsRefs VALUES (3, 1), (3, 2), (3, NULL)`)
	sig, err := narinfo.ParseSignature(realisationSignature)
	require.NoError(t, err)
	found, errs = listRealisations(t, s)
	assert.Empty(t, errs)
	assert.Equal(t, []*narinfo.Realisation{
		{ID: output(1, "out"), OutPath: path(1), Signatures: []narinfo.Signature{sig}},
		{ID: output(1, "dev"), OutPath: path(1)},
		{ID: output(2, "out"), OutPath: path(2), Dependent: map[narinfo.DrvOutput]storepath.Path{output(1, "out"): path(1), output(1, "dev"): path(1)}},
	}, found)

	f.write(`CREATE TABLE BuildTraceV2 (id integer primary key)`)
	again, errs := listRealisations(t, s)
	assert.Equal(t, found, again)
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], errors.ErrUnsupported)
	require.ErrorContains(t, errs[0], "BuildTraceV2")
	for range s.Realisations(t.Context()) {
		break // and nothing is yielded after it
	}
}

func TestManyRealisations(t *testing.T) {
	f := newFixture(t)
	f.write(realisationTables)
	f.addFile(1, "leaf")
	const n = 600
	f.write(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO Realisations (drvPath, outputName, outputPath) SELECT ?, 'out' || i, 1 FROM n`, n, "sha256:"+someHash)
	found, errs := listRealisations(t, f.open())
	assert.Empty(t, errs)
	require.Len(t, found, n)
	for i, r := range found {
		require.Equal(t, fmt.Sprint("out", i+1), r.ID.Output)
	}
}

func TestWrongRealisations(t *testing.T) {
	for name, tt := range map[string]struct {
		query string
		err   string
	}{
		"hash":                  {`UPDATE Realisations SET drvPath = 'sha256:x' WHERE id = 1`, "column drvPath"},
		"a path for the hash":   {`UPDATE Realisations SET drvPath = '` + full(1) + `' WHERE id = 1`, "column drvPath"},
		"no hash":               {`UPDATE Realisations SET drvPath = '' WHERE id = 1`, "column drvPath"},
		"output":                {`UPDATE Realisations SET outputName = 'a/b' WHERE id = 1`, "output"},
		"no output":             {`UPDATE Realisations SET outputName = '' WHERE id = 1`, "output"},
		"line feed":             {`UPDATE Realisations SET outputName = 'a' || char(10) WHERE id = 1`, "output"},
		"path":                  {`UPDATE ValidPaths SET path = '/nix/store/x' WHERE id = 2`, "column outputPath"},
		"dependent":             {`UPDATE Realisations SET outputName = 'a/b' WHERE id = 3`, "dependent realisation"},
		"dependent's line feed": {`UPDATE Realisations SET outputName = 'a' || char(10) || '` + full(1) + `' WHERE id = 3`, "dependent realisation"},
		"dependent's path":      {`UPDATE ValidPaths SET path = '/nix/store/x' WHERE id = 3`, "dependent realisation"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.write(realisationTables)
			for n := 1; n <= 3; n++ {
				f.write(insert, full(n), someHash, 1)
			}
			f.write(`INSERT INTO Realisations (drvPath, outputName, outputPath) VALUES (?1, 'out', 2), (?1, 'dev', 1), (?1, 'lib', 3)`, "sha256:"+someHash)
			f.write(`INSERT INTO RealisationsRefs VALUES (1, 3)`)
			f.write(tt.query)
			found, errs := listRealisations(t, f.open())
			require.NotEmpty(t, errs)
			require.ErrorContains(t, errs[0], tt.err)
			assert.NotEmpty(t, found, "the iteration goes on")
		})
	}
	t.Run("tables", func(t *testing.T) {
		f := newFixture(t)
		f.write(`CREATE TABLE Realisations (x integer)`)
		_, errs := listRealisations(t, f.open())
		require.Len(t, errs, 1)
		require.ErrorContains(t, errs[0], "not a Nix database")
	})
}

// TestRealisationsOfNix lists the realisations that a real Nix has recorded of a
// derivation that uses another one, both content-addressed. It verifies the
// signatures, which cover all of a realisation, and copies them.
func TestRealisationsOfNix(t *testing.T) {
	n := lab.NewNix(t)
	secret, public := n.GenerateKey("lab-1")
	built := n.Run("nix-build", "--no-out-link", "--option", "secret-key-files", secret, "--expr", `
		let run = name: text: derivation {
		      inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" text ];
		      __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
		    };
		    leaf = run "leaf" "echo leaf $out > $out";
		in run "top" "echo ${leaf} > $out"`)
	top, err := storepath.Default.Parse(built)
	require.NoError(t, err)
	keys, err := narinfo.ParseTrustedKeys(public)
	require.NoError(t, err)
	s, err := localstore.OpenURL(t.Context(), "local?root="+n.Root())
	require.NoError(t, err)
	defer s.Close()

	found, errs := listRealisations(t, s)
	for _, err := range errs {
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err) // a Nix of the second generation
		}
		require.NoError(t, err)
	}
	outputs := map[string]bool{}
	for _, r := range found {
		outputs[r.OutPath.Name()] = true
		require.NoError(t, keys.VerifyRealisation(r), "%+v", r)
	}
	assert.Equal(t, map[string]bool{"leaf": true, "top": true}, outputs)

	cache, err := store.Open(t.Context(), "mem://")
	require.NoError(t, err)
	defer cache.Close()
	report, err := store.Copy(t.Context(), cache, s, []storepath.Path{top}, store.CopyOptions{TrustedKeys: keys})
	require.NoError(t, err)
	assert.Equal(t, 2, report.Copied)
	assert.Equal(t, len(found), report.Realisations)
	assert.False(t, report.Unlisted)
	for _, r := range found {
		copied, err := cache.Realisation(t.Context(), r.ID)
		require.NoError(t, err)
		assert.Equal(t, r, copied)
	}
	// Nix itself copies the same.
	dest := "file://" + filepath.Join(n.Dir, "cache")
	n.Run("nix", "copy", "--to", dest, built)
	nixs, err := store.Open(t.Context(), dest)
	require.NoError(t, err)
	defer nixs.Close()
	for r, err := range nixs.Realisations(t.Context()) {
		require.NoError(t, err)
		copied, err := cache.Realisation(t.Context(), r.ID)
		require.NoError(t, err)
		assert.Equal(t, r, copied)
	}
}
