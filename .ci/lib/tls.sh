# make_certificates DIR leaves a throw-away certificate authority, ca.pem, and
# a certificate of this machine under it, cert.pem with key.pem. The key of
# the authority is not kept.
make_certificates() {
	local dir=$1
	mkdir -p "$dir"
	(
		cd "$dir"
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
			-subj '/CN=nixs3 test authority' -keyout ca-key.pem -out ca.pem
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
			-subj '/CN=localhost' -keyout key.pem -out request.pem
		printf '%s\n' 'subjectAltName = DNS:localhost, DNS:*.localhost, IP:127.0.0.1' \
			'extendedKeyUsage = serverAuth' >extensions
		openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
			-days 2 -extfile extensions -out cert.pem
		rm -f ca-key.pem ca.srl request.pem extensions
	) 2>"$dir/openssl.log" || { cat "$dir/openssl.log" >&2; die 'openssl failed'; }
}
