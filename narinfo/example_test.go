package narinfo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

func ExampleParse() {
	info, err := narinfo.Parse([]byte(`StorePath: /nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0
URL: nar/1bjis00k3w8rmkh7kydmq40lylvi59y69awvkwh6j50x0d1hmdfw.nar.xz
Compression: xz
FileHash: sha256:1bjis00k3w8rmkh7kydmq40lylvi59y69awvkwh6j50x0d1hmdfw
FileSize: 340
NarHash: sha256:1qg2sq2vdipzhwsqljsyk3npvd62jx2bc2627j7nq50xb7lcsas5
NarSize: 1984
References: 
Deriver: 5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv
`))
	if err != nil {
		panic(err)
	}
	fmt.Println(info.Path.Name(), "takes", info.NarSize, "bytes,", info.FileSize, "as", info.Compression)

	_, err = narinfo.Parse([]byte("StorePath: /nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0\nNarSize: many\n"))
	fmt.Println(err)
	// Output:
	// hello-1.0 takes 1984 bytes, 340 as xz
	// narinfo: line 2: NarSize: "many" is not a number of bytes below 2^63
}

// Sign a store object, and verify it with only the public key.
func ExamplePathInfo_Sign() {
	// A fixed key for the example; programs pass nil as the second argument.
	key, err := narinfo.GenerateKey("cache.example.org-1", bytes.NewReader(make([]byte, 32)))
	if err != nil {
		panic(err)
	}
	path, err := storepath.ParseBase("jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0")
	if err != nil {
		panic(err)
	}
	info := &narinfo.PathInfo{
		StoreDir: storepath.Default,
		Path:     path,
		NarHash:  nixhash.Sum(nixhash.SHA256, []byte("the NAR")),
		NarSize:  7,
	}
	if err := info.Sign(context.Background(), key); err != nil {
		panic(err)
	}

	trusted, err := narinfo.ParseTrustedKeys(key.Public().String())
	if err != nil {
		panic(err)
	}
	fmt.Println("as it was signed:", trusted.Verify(info))
	info.NarSize++
	err = trusted.Verify(info)
	fmt.Println("changed:", errors.Is(err, narinfo.ErrUntrusted))
	fmt.Println(err)
	fmt.Println(key)
	// Output:
	// as it was signed: <nil>
	// changed: true
	// /nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0 is not signed by a trusted key: signed by cache.example.org-1, of which do not verify: cache.example.org-1; trusted are cache.example.org-1
	// SecretKey(cache.example.org-1, redacted)
}

func ExampleCacheInfo() {
	info, err := narinfo.ParseCacheInfo([]byte("StoreDir: /nix/store\nWantMassQuery: 1\n"))
	if err != nil {
		panic(err)
	}
	if info.Priority == nil {
		info.Priority = new(30)
	}
	text, err := info.MarshalText()
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(text)
	// Output:
	// StoreDir: /nix/store
	// WantMassQuery: 1
	// Priority: 30
}

func ExampleDrvOutput_Key() {
	for _, text := range []string{
		"sha256:bd014a83ce0c667dd5882aac5f4ddb72699fb88414abf0f2db5e2e1ec3855451!out",
		"5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv^out",
	} {
		id, err := narinfo.ParseDrvOutput(text)
		if err != nil {
			panic(err)
		}
		fmt.Println(id.Key())
	}
	// Output:
	// realisations/sha256:bd014a83ce0c667dd5882aac5f4ddb72699fb88414abf0f2db5e2e1ec3855451!out.doi
	// build-trace-v2/5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv/out.doi
}

func ExampleAppendRecords() {
	records, err := narinfo.ParseRecords([]byte(`[{"path":"/nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0",` +
		`"narHash":"sha256-RSvN6FkdFGyPPMIItkSXwrR97ZheS4o1h//GtgXW4uE=","narSize":1984,"references":[]}]`))
	if err != nil {
		panic(err)
	}
	text, err := narinfo.AppendRecords(nil, 2, records...)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
	// Output: {"info":{"jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0":{"ca":null,"deriver":null,"narHash":"sha256-RSvN6FkdFGyPPMIItkSXwrR97ZheS4o1h//GtgXW4uE=","narSize":1984,"references":[],"registrationTime":null,"signatures":[],"storeDir":"/nix/store","ultimate":false,"version":2}},"storeDir":"/nix/store","version":2}
}
