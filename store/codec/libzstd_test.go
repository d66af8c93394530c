//go:build cgo && libzstd

package codec_test

import _ "example.com/nixs3/store/codec/libzstd" // all tests of this package hold with it too
