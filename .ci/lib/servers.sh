# Starts S3 servers on free ports of the loopback interface, each with an empty
# bucket named nixs3. Each start_… function adds what it offers to
# NIXS3_TEST_S3 and is undone at exit.

export LAB_ACCESS_KEY=lab LAB_SECRET_KEY=labsecret123
export NIXS3_TEST_S3=''

# free_port prints a port that nobody listens on, below those that the kernel
# hands out by itself.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12000))
		(: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# background LOG COMMAND… starts a server that ends with the script.
background() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null &
	SERVER=$!
	at_exit stop "$SERVER"
}

stop() {
	kill "$1" 2>/dev/null || return 0
	for _ in $(seq 50); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

# offer NAME URL LOG waits until the server that was started last answers.
offer() {
	local status
	for _ in $(seq 300); do
		status=$(curl -s -o /dev/null -w '%{http_code}' --noproxy '*' --cacert "$LAB_TLS/ca.pem" "$2" || true)
		case $status in
		2?? | 4??)
			make_bucket "$2" || die "$1 makes no bucket at $2"
			NIXS3_TEST_S3="${NIXS3_TEST_S3:+$NIXS3_TEST_S3 }$1=$2"
			return 0
			;;
		esac
		kill -0 "$SERVER" 2>/dev/null || break
		sleep 0.2
	done
	tail -n 30 "$3" >&2
	die "$1 does not answer at $2"
}

EMPTY_SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

make_bucket() {
	curl -s -f -o /dev/null --noproxy '*' --cacert "$LAB_TLS/ca.pem" -X PUT \
		--aws-sigv4 aws:amz:us-east-1:s3 -u "$LAB_ACCESS_KEY:$LAB_SECRET_KEY" \
		-H "x-amz-content-sha256: $EMPTY_SHA256" "$1/nixs3"
}

start_versitygw() {
	local scheme dir port name
	for scheme in http https; do
		port=$(free_port)
		name=versitygw$([ $scheme = http ] || echo -tls)
		dir=$LAB_DATA/$name
		mkdir -p "$dir/objects" "$dir/meta"
		local tls=()
		[ $scheme = http ] || tls=(--cert "$LAB_TLS/cert.pem" --key "$LAB_TLS/key.pem")
		ROOT_ACCESS_KEY=$LAB_ACCESS_KEY ROOT_SECRET_KEY=$LAB_SECRET_KEY background "$dir/log" \
			versitygw --port "127.0.0.1:$port" --region us-east-1 --virtual-domain "localhost:$port" \
			"${tls[@]+"${tls[@]}"}" posix --sidecar "$dir/meta" "$dir/objects"
		offer "$name" "$scheme://127.0.0.1:$port" "$dir/log"
	done
}

start_minio() {
	local scheme dir port name
	for scheme in http https; do
		port=$(free_port)
		name=minio$([ $scheme = http ] || echo -tls)
		dir=$LAB_DATA/$name
		mkdir -p "$dir/certs"
		if [ $scheme = https ]; then
			cp "$LAB_TLS/cert.pem" "$dir/certs/public.crt"
			cp "$LAB_TLS/key.pem" "$dir/certs/private.key"
		fi
		MINIO_ROOT_USER=$LAB_ACCESS_KEY MINIO_ROOT_PASSWORD=$LAB_SECRET_KEY \
			MINIO_DOMAIN=localhost MINIO_BROWSER=off MINIO_UPDATE=off background "$dir/log" \
			minio server --quiet --certs-dir "$dir/certs" --address "127.0.0.1:$port" "$dir/objects"
		offer "$name" "$scheme://127.0.0.1:$port" "$dir/log"
	done
}
