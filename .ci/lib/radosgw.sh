# Ceph's object gateway on the smallest cluster there is: one monitor, and one
# OSD that keeps objects in memory. The strictest server of the lab.

start_radosgw() {
	local dir=$LAB_DATA/radosgw mon_port http_port https_port
	local cluster=00000000-0000-4000-8000-000000000001 osd=00000000-0000-4000-8000-000000000002
	mon_port=$(free_port) http_port=$(free_port) https_port=$(free_port)
	mkdir -p "$dir"/{mon,osd,rgw,run}
	cat >"$dir/ceph.conf" <<-CONF
		[global]
		fsid = $cluster
		mon host = [v2:127.0.0.1:$mon_port]
		public addr = 127.0.0.1
		cluster addr = 127.0.0.1
		keyring = $dir/keyring
		run dir = $dir/run
		crash dir = $dir/run
		admin socket =
		pid file =
		log file = $dir/run/\$name.log
		mon cluster log file = $dir/run/cluster.log
		mon data = $dir/mon
		mon data avail crit = 1
		mon allow pool size one = true
		mon max pg per osd = 1000
		osd data = $dir/osd
		osd objectstore = memstore
		memstore device bytes = 2147483648
		osd crush chooseleaf type = 0
		osd pool default size = 1
		osd pool default min size = 1
		osd pool default pg num = 1
		osd pool default pgp num = 1
		osd pool default pg autoscale mode = off
		rgw data = $dir/rgw
		rgw dns name = localhost
		rgw frontends = beast tcp_nodelay=1 endpoint=127.0.0.1:$http_port ssl_endpoint=127.0.0.1:$https_port ssl_certificate=$LAB_TLS/cert.pem ssl_private_key=$LAB_TLS/key.pem
		debug rgw = 0
	CONF
	export CEPH_CONF=$dir/ceph.conf CEPH_ARGS=''
	(
		# The gateway insists on keys, so all of them get one.
		ceph-authtool "$dir/keyring" --create-keyring --gen-key -n mon. --cap mon 'allow *'
		ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
		ceph-authtool "$dir/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
		monmaptool --create --fsid $cluster --addv a "[v2:127.0.0.1:$mon_port]" "$dir/monmap"
		ceph-mon --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
	) >"$dir/log" 2>&1 || ceph_failed "$dir"
	background "$dir/run/mon.out" ceph-mon -f -i a
	timeout 60 ceph osd new $osd >>"$dir/log" 2>&1 || ceph_failed "$dir"
	ceph-osd -i 0 --mkfs --osd-uuid $osd >>"$dir/log" 2>&1 || ceph_failed "$dir"
	background "$dir/run/osd.out" ceph-osd -f -i 0
	timeout 120 radosgw-admin user create --uid lab --display-name lab \
		--access-key "$LAB_ACCESS_KEY" --secret-key "$LAB_SECRET_KEY" >>"$dir/log" 2>&1 || ceph_failed "$dir"
	background "$dir/run/rgw.out" radosgw -f -n client.admin
	offer radosgw "http://127.0.0.1:$http_port" "$dir/run/rgw.out"
	offer radosgw-tls "https://127.0.0.1:$https_port" "$dir/run/rgw.out"
}

ceph_failed() {
	tail -n 40 "$1/log" >&2
	die 'the Ceph cluster of one did not start'
}
