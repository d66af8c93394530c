//go:build cgo && libzstd

package main

import _ "example.com/nixs3/store/codec/libzstd"
