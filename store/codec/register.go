package codec

// Detection goes from last to first. lzma comes last, since its signature is
// weak.
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
