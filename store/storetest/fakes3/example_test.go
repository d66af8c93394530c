package fakes3_test

import (
	"fmt"

	"example.com/nixs3/store/storetest/fakes3"
)

func Example() {
	server, err := fakes3.Start(fakes3.Options{Buckets: []string{"cache"}, Anonymous: fakes3.FullAccess})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	server.PutObject("cache", "nix-cache-info", []byte("StoreDir: /nix/store\n"), nil)
	server.Inject(fakes3.Fault{Op: "GetObject"}) // the first one fails

	client := server.Client()
	for range 2 {
		resp, err := client.Get(server.Endpoint() + "/cache/nix-cache-info")
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	fmt.Println(server.Count("GetObject"), "requests")
	// Output:
	// 503 Service Unavailable
	// 200 OK
	// 2 requests
}
