// Command handler serves a binary cache below a path of a web server that has
// other pages too:
//
//	go run ./examples/handler 's3://bucket?region=eu-west-1' :8080
//
// Nix then reads it as http://host:8080/cache.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/serve"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: handler CACHE-URL ADDRESS")
	}
	cache, err := store.Open(context.Background(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer cache.Close()
	mux, err := pages(cache)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: os.Args[2], Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// pages returns a handler with the cache below /cache/ and a page of its own.
func pages(cache *store.Cache) (http.Handler, error) {
	handler, err := serve.New(cache, serve.Options{})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/cache/", http.StripPrefix("/cache", handler))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "substituters = http://%s/cache\n", r.Host)
	})
	return mux, nil
}
