package codec

// The order is that of detection, from last to first: lzma has no signature
// that is worth the name.
func init() {
	for _, c := range []Codec{
		lzmaCodec(),
		noneCodec(),
		lzipCodec(),
		lz4Codec(),
		brotliCodec(),
		bzip2Codec(),
		compressCodec(),
		gzipCodec(),
		xzCodec(),
		zstdCodec(),
	} {
		Register(c)
	}
}
