package narinfo_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

func TestVerify(t *testing.T) {
	bad := func(name string) narinfo.Signature { return narinfo.Signature{KeyName: name} }
	for _, test := range []struct {
		name    string
		change  func(p *narinfo.PathInfo)
		keys    []string
		message string // of the error, empty where trusted
	}{
		{"signed by the one trusted", func(p *narinfo.PathInfo) {}, []string{"lab-cache-1"}, ""},
		{"signed by one of two trusted", func(p *narinfo.PathInfo) {}, []string{"other-2", "lab-cache-1"}, ""},
		{"bad signature before the good one of the same key", func(p *narinfo.PathInfo) {
			p.Signatures = slices.Insert(p.Signatures, 0, bad("lab-cache-1"))
		}, []string{"lab-cache-1"}, ""},
		{"bad signatures all around", func(p *narinfo.PathInfo) {
			p.Signatures = append([]narinfo.Signature{bad("a"), bad("lab-cache-1")}, append(p.Signatures, bad("lab-cache-1"))...)
		}, []string{"lab-cache-1"}, ""},
		{"references in disorder", func(p *narinfo.PathInfo) {
			slices.Reverse(p.References)
			p.References = append(p.References, p.References[0])
		}, []string{"lab-cache-1"}, ""},

		{"signed by another", func(p *narinfo.PathInfo) {}, []string{"other-2"},
			"signed by lab-cache-1; trusted are other-2"},
		{"no signature", func(p *narinfo.PathInfo) { p.Signatures = nil }, []string{"other-2", "lab-cache-1"},
			"it has no signatures; trusted are other-2, lab-cache-1"},
		{"no keys", func(p *narinfo.PathInfo) {}, nil, "signed by lab-cache-1; no keys are trusted"},
		{"signature under another's name", func(p *narinfo.PathInfo) { p.Signatures[0].KeyName = "other-2" }, []string{"other-2", "lab-cache-1"},
			"signed by other-2, of which do not verify: other-2; trusted are"},
		{"other size", func(p *narinfo.PathInfo) { p.NarSize++ }, []string{"lab-cache-1"}, "do not verify: lab-cache-1"},
		{"other hash", func(p *narinfo.PathInfo) { p.NarHash = nixhash.Sum(nixhash.SHA256, nil) }, []string{"lab-cache-1"}, "do not verify"},
		{"other path", func(p *narinfo.PathInfo) { p.Path = p.References[1] }, []string{"lab-cache-1"}, "do not verify"},
		{"other store directory", func(p *narinfo.PathInfo) { p.StoreDir = "/other" }, []string{"lab-cache-1"}, "/other/" + wrapperBase + " is not signed by a trusted key"},
		{"reference missing", func(p *narinfo.PathInfo) { p.References = p.References[:1] }, []string{"lab-cache-1"}, "do not verify"},
		{"content address that is not its own", func(p *narinfo.PathInfo) {
			p.CA = storepath.ContentAddress{Method: storepath.MethodNAR, Hash: p.NarHash}
			p.Signatures = nil
		}, []string{"lab-cache-1"}, "it has no signatures; trusted are lab-cache-1; content address fixed:r:sha256:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := parse(t, fromCorpus(t, wrapperBase)).PathInfo
			test.change(&p)
			err := trusted(t, test.keys...).Verify(&p)
			if test.message == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, narinfo.ErrUntrusted)
			require.ErrorContains(t, err, test.message)
		})
	}
}

func TestUntrustedErrorNamesWho(t *testing.T) {
	n := parse(t, fromCorpus(t, helloBase))
	require.Len(t, n.Signatures, 2)
	n.Signatures = append(n.Signatures, n.Signatures...)
	n.NarSize++
	err := trusted(t, "other-2", "other-2").Verify(&n.PathInfo)
	var untrusted *narinfo.UntrustedError
	require.ErrorAs(t, err, &untrusted)
	assert.Equal(t, &narinfo.UntrustedError{
		Subject:  "/nix/store/" + helloBase,
		SignedBy: []string{"lab-cache-1", "other-2"},
		Bad:      []string{"other-2"},
		Trusted:  []string{"other-2"},
	}, untrusted)
}

func TestUntrustedErrorQuotesNames(t *testing.T) {
	err := &narinfo.UntrustedError{
		Subject:  "x",
		SignedBy: []string{"a-1", "b\x1b[2J", "c\u009b", "d\xff", "e, f", "g\u202e", "für-1"},
		Bad:      []string{"h\n"},
		Trusted:  []string{"i; j"},
	}
	assert.Equal(t, `x is not signed by a trusted key: signed by a-1, "b\x1b[2J", "c\u009b", "d\xff", "e, f", "g\u202e", für-1`+
		`, of which do not verify: "h\n"; trusted are "i; j"`, err.Error())
}

func TestVerifyWithoutFingerprint(t *testing.T) {
	err := trusted(t, "lab-cache-1").Verify(&narinfo.PathInfo{})
	require.EqualError(t, err, "store object has no path")
	assert.NotErrorIs(t, err, narinfo.ErrUntrusted)
}

func TestContentAddressedNeedsNoKey(t *testing.T) {
	var none narinfo.TrustedKeys
	count := 0
	for _, text := range corpus(t)["full-xz"] {
		n := parse(t, text)
		n.Signatures = nil
		err := none.Verify(&n.PathInfo)
		if n.CA.IsZero() {
			require.ErrorIs(t, err, narinfo.ErrUntrusted)
			continue
		}
		require.NoError(t, err)
		count++
	}
	assert.Equal(t, 31, count)
}

func TestVerifyContentAddress(t *testing.T) {
	const (
		tree  = "nh2l6875qwinqq4q9wwygw332b82bxd1-added-tree"
		self  = "29vjn7njjx5g3afbmmc9gf9spbzkadky-ca-drv"
		other = "5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv"
	)
	for _, test := range []struct {
		name, path string
		change     func(p *narinfo.PathInfo)
		message    string
	}{
		{"tree", tree, func(p *narinfo.PathInfo) {}, ""},
		{"self-reference, where CA is not NarHash", self, func(p *narinfo.PathInfo) {}, ""},
		{"none", wrapperBase, func(p *narinfo.PathInfo) {}, "has no content address"},
		{"NarHash of other contents", tree, func(p *narinfo.PathInfo) { p.NarHash = nixhash.Sum(nixhash.SHA256, nil) }, "is not its NarHash"},
		{"other contents", tree, func(p *narinfo.PathInfo) {
			p.NarHash = nixhash.Sum(nixhash.SHA256, nil)
			p.CA.Hash = p.NarHash
		}, "makes "},
		{"reference more", tree, func(p *narinfo.PathInfo) { p.References = []storepath.Path{storePath(t, other)} }, "makes "},
		{"self-reference less", self, func(p *narinfo.PathInfo) { p.References = nil }, "makes "},
		{"text that refers to itself", other, func(p *narinfo.PathInfo) { p.References = []storepath.Path{p.Path} }, "cannot refer to itself"},
		{"other store directory", tree, func(p *narinfo.PathInfo) { p.StoreDir = "/other" }, "makes "},
		{"no store directory", tree, func(p *narinfo.PathInfo) { p.StoreDir = "" }, "store directory is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := parse(t, fromCorpus(t, test.path)).PathInfo
			test.change(&p)
			err := p.VerifyContentAddress()
			if test.message == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.message)
		})
	}
}

func TestParseTrustedKeys(t *testing.T) {
	lab, other := readFile(t, "testdata/keys/lab-cache-1.pub"), readFile(t, "testdata/keys/other-2.pub")
	keys, err := narinfo.ParseTrustedKeys("  " + lab + " " + other + "\n" + lab + "\t")
	require.NoError(t, err)
	assert.Equal(t, lab+" "+other, keys.String())

	keys, err = narinfo.ParseTrustedKeys(" ")
	require.NoError(t, err)
	assert.Empty(t, keys)

	_, err = narinfo.ParseTrustedKeys(lab + " nonsense")
	require.EqualError(t, err, "trusted key 2: public key has no colon, expected <name>:<base64>")
}

func TestSignAddsWithoutRepeating(t *testing.T) {
	n := parse(t, fromCorpus(t, helloBase))
	want := n.Signatures
	n.Signatures = nil
	lab, other := secret(t, "lab-cache-1"), secret(t, "other-2")
	require.NoError(t, n.Sign(t.Context(), other, lab, other))
	assert.Equal(t, want, n.Signatures, "as Nix signed, in its order")
	require.NoError(t, n.Sign(t.Context(), lab))
	assert.Equal(t, want, n.Signatures)
	require.NoError(t, n.Sign(t.Context()))
	assert.Equal(t, want, n.Signatures)

	fingerprint, err := n.Fingerprint()
	require.NoError(t, err)
	assert.Equal(t, "1;/nix/store/"+helloBase+";sha256:1qg2sq2vdipzhwsqljsyk3npvd62jx2bc2627j7nq50xb7lcsas5;1984;", fingerprint)
}

func TestSignKeepsOtherSignaturesOfTheKey(t *testing.T) {
	n := parse(t, fromCorpus(t, helloBase))
	stale := narinfo.Signature{KeyName: "lab-cache-1"}
	good := n.Signatures[0]
	n.Signatures = []narinfo.Signature{stale}
	require.NoError(t, n.Sign(t.Context(), secret(t, "lab-cache-1")))
	assert.ElementsMatch(t, []narinfo.Signature{stale, good}, n.Signatures)
}

// remoteSigner is a Signer that is not a SecretKey.
type remoteSigner struct {
	name string
	sign func(ctx context.Context, fingerprint []byte) (narinfo.Signature, error)
}

func (s remoteSigner) KeyName() string { return s.name }

func (s remoteSigner) Sign(ctx context.Context, fingerprint []byte) (narinfo.Signature, error) {
	return s.sign(ctx, fingerprint)
}

func TestSignFailsWhole(t *testing.T) {
	lab := secret(t, "lab-cache-1")
	down := errors.New("key service is down")
	for _, test := range []struct {
		name    string
		signer  narinfo.Signer
		message string
	}{
		{"signer fails", remoteSigner{"kms-1", func(context.Context, []byte) (narinfo.Signature, error) { return narinfo.Signature{}, down }}, `signer "kms-1": key service is down`},
		{"signature by another name", remoteSigner{"kms-1", lab.Sign}, `signer "kms-1" returned a signature by "lab-cache-1"`},
		{"signer without a name", remoteSigner{"", func(context.Context, []byte) (narinfo.Signature, error) { return narinfo.Signature{}, nil }}, "key name is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := parse(t, minimal)
			err := n.Sign(t.Context(), lab, test.signer)
			require.ErrorContains(t, err, test.message)
			require.ErrorContains(t, err, helloBase)
			assert.Empty(t, n.Signatures, "unchanged by the failure")
		})
	}
	n := parse(t, minimal)
	n.NarSize = 0
	require.ErrorContains(t, n.Sign(t.Context(), lab), "NarSize is 0")
}

func TestRemoteSigner(t *testing.T) {
	lab := secret(t, "lab-cache-1")
	var got []byte
	n := parse(t, minimal)
	require.NoError(t, n.Sign(t.Context(), remoteSigner{"lab-cache-1", func(ctx context.Context, fingerprint []byte) (narinfo.Signature, error) {
		got = bytes.Clone(fingerprint)
		return lab.Sign(ctx, fingerprint)
	}}))
	want, err := n.Fingerprint()
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
	require.NoError(t, narinfo.TrustedKeys{lab.Public()}.Verify(&n.PathInfo))
}

func TestFingerprint(t *testing.T) {
	n := parse(t, fromCorpus(t, wrapperBase))
	want := "1;/nix/store/" + wrapperBase + ";sha256:0zqgzrh33asafmjnviil3n40n689hd895bn91vyqy3z9m03yp090;1056;" +
		"/nix/store/" + wrapperBase + ",/nix/store/" + helloBase
	got, err := n.Fingerprint()
	require.NoError(t, err)
	assert.Equal(t, want, got)

	slices.Reverse(n.References)
	n.References = append(n.References, n.References...)
	disordered := slices.Clone(n.References)
	got, err = n.Fingerprint()
	require.NoError(t, err)
	assert.Equal(t, want, got, "sorted, each once")
	assert.Equal(t, disordered, n.References, "not sorted in place")

	appended, err := n.AppendFingerprint([]byte("before"))
	require.NoError(t, err)
	assert.Equal(t, "before"+want, string(appended))

	n.StoreDir = "relative"
	appended, err = n.AppendFingerprint([]byte("before"))
	require.ErrorContains(t, err, "not absolute")
	assert.Equal(t, "before", string(appended))
}

func TestFingerprintOfManyReferences(t *testing.T) {
	n := narInfoWith(t, 20_000)
	fingerprint, err := n.Fingerprint()
	require.NoError(t, err)
	_, refs, _ := strings.Cut(fingerprint, ";1056;")
	assert.True(t, slices.IsSorted(strings.Split(refs, ",")))
	assert.Equal(t, 20_000, strings.Count(refs, "/nix/store/"))
}
