package localstore

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
)

// FuzzRow reads rows with any values that a database may have.
func FuzzRow(f *testing.F) {
	const hash = "sha256:878832cd22b5e038e117b701378558f8a9b6cad7381a0e6d57a9e865d34f85a6"
	const full = "/nix/store/z9ziz7ipnh5x6xdw46pb1wdlw0ss1m78-t"
	f.Add(hash, int64(288), full+".drv", "a:AAAA b:BBBB", "fixed:r:sha256:19l59z9nbs59axnhw6iqsz5bdagqb22kf0dp2zhkiq5m4b6k5247", full+"\n"+full)
	f.Add(hash, int64(1), "", "", "", "")
	f.Add("sha1:", int64(-1), "/", ":", "text:", "\n")
	p, err := storepath.Default.Parse(full)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, hash string, narSize int64, deriver, sigs, ca, references string) {
		text := func(s string) sql.NullString { return sql.NullString{String: s, Valid: true} }
		r := row{hash: hash, narSize: sql.NullInt64{Int64: narSize, Valid: true},
			deriver: text(deriver), sigs: text(sigs), ca: text(ca), references: text(references)}
		record, err := r.record(storepath.Default, p)
		if err != nil {
			return
		}
		_, err = record.NarInfo.Fingerprint()
		assert.NoError(t, err, "what is accepted can be signed")
	})
}
