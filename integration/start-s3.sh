#!/usr/bin/env bash
# Two real S3 services for the integration tests, on loopback only:
#   Ceph RADOS Gateway: strict; conditions, signatures and their ends, multipart and versions are what they should be
#   Swift with s3api:   weak; If-None-Match is not atomic, If-Match is refused, checksums are not kept
#
#   eval "$(integration/start-s3.sh start)"
#   integration/start-s3.sh stop [--purge]        (--purge also deletes the software and the data)
#
# stdout: `export …` lines and nothing else; progress goes to stderr. Starting is idempotent.
# Needs root on Debian with curl. The software lives in a chroot of its own below S3LO_TEST_DIR, made from the mirror
# that the machine's own apt uses; only mmdebstrap is installed on the machine itself.
set -euo pipefail

# shellcheck disable=SC2034 # for lib.sh
NAME=s3
ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/s3
JAIL=$ROOT/jail
# The same path inside and outside of the jail.
STATE=$ROOT/state
S3_PORT=${S3LO_S3_PORT:-18480}
SWIFT_PORT=${S3LO_SWIFT_PORT:-18403}
SUITE=forky
LIMIT=600 # seconds, for the installation
KEY=S3LOINTEGRATION00000 SECRET=a-secret-key-that-opens-nothing-but-tests
OTHER_KEY=S3LOINTEGRATIONOTHER OTHER_SECRET=another-secret-key-that-opens-nothing
SERVERS=(mon osd rgw memcached account container object proxy)

# shellcheck source=integration/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"

# A command inside the jail. Its mounts are in a namespace of their own: nothing stays mounted.
jailed() {
  # shellcheck disable=SC2016
  unshare -m sh -ec '
    jail=$0 state=$1; shift
    mount -t proc proc "$jail/proc"
    mount --rbind /dev "$jail/dev"
    mount --rbind /sys "$jail/sys"
    mount --bind "$state" "$jail$state"
    exec chroot "$jail" env CEPH_CONF="$state/ceph.conf" "$@"' "$JAIL" "$STATE" "$@"
}

# start_server NAME command...: in the background, with a log and a pid file.
start_server() {
  local name=$1
  shift
  setsid nohup bash -c "$(declare -f jailed); JAIL=$JAIL STATE=$STATE; jailed \"\$@\"" - "$@" >>"$STATE/log/$name" 2>&1 </dev/null 9>&- &
  echo $! >"$STATE/run/$name"
}

running() { local pid; pid=$(cat "$STATE/run/$1" 2>/dev/null) && [ -n "$pid" ] && [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status"; }

# wait_for NAME seconds command...
wait_for() {
  local name=$1 seconds=$2 i
  shift 2
  for ((i = 0; i < seconds * 10; i++)); do
    "$@" && return
    sleep 0.1
  done
  log "$name does not come up; the ends of its logs:"
  tail -n 5 "$STATE"/log/* >&2 || true
  exit 1
}

rgw_answers() { curl -s -m 3 -o /dev/null "http://127.0.0.1:$S3_PORT/"; }
swift_answers() { curl -sf -m 3 -o /dev/null "http://127.0.0.1:$SWIFT_PORT/healthcheck"; }

mirror() {
  # the placeholders are apt's, not the shell's
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
    awk '$1 ~ /^(bookworm|trixie|forky|sid|(old)?stable|testing|unstable)$/ && !m { m = $2 } END { print m }'
}

# bootstrap PACKAGES URI: makes the jail anew. Its mounts are in a namespace of their own, so that none is left behind
# when it is killed; mounts that an older run left are taken off first.
bootstrap() {
  local left
  for left in $(awk -v jail="$JAIL/" 'index($2, jail) == 1 { print $2 }' /proc/mounts | sort -r); do umount -l "$left"; done
  rm -rf --one-file-system "$JAIL"
  timeout "$LIMIT" unshare -m mmdebstrap --mode=root --variant=essential \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --include="$1" "$SUITE" "$JAIL" "$2" >&2 </dev/null
}

install_software() {
  [ -e "$JAIL/.ready" ] && return
  local uri packages=ceph-mon,ceph-osd,radosgw,swift-proxy,swift-account,swift-container,swift-object,memcached
  uri=$(mirror)
  if [ -z "$uri" ]; then
    apt-get -qq update >&2
    uri=$(mirror)
  fi
  [ -n "$uri" ] || die 'the machine has no Debian mirror'
  if ! command -v mmdebstrap >/dev/null; then
    log 'installing mmdebstrap'
    (apt-get -qq update && DEBIAN_FRONTEND=noninteractive timeout "$LIMIT" apt-get -qq -y -o APT::Install-Recommends=false \
      -o DPkg::Lock::Timeout="$LIMIT" install mmdebstrap) >&2 </dev/null
  fi
  log "installing ceph and swift of $SUITE"
  bootstrap "$packages" "$uri" || {
    log 'the installation failed; once more'
    bootstrap "$packages" "$uri"
  }
  touch "$JAIL/.ready"
}

prepare_state() { mkdir -p "$STATE"/{log,run,mon,osd,disks/sdb1} "$JAIL$STATE"; }

write_ceph_conf() {
  cat >"$STATE/ceph.conf" <<CONF
[global]
fsid = $1
mon host = [v2:127.0.0.1:$((S3_PORT + 1))/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms bind port min = $((S3_PORT + 2))
ms bind port max = $((S3_PORT + 60))
run dir = $STATE/run
admin socket = $STATE/run/\$name.\$pid.asok
log file = $STATE/log/\$name.ceph
crash dir = $STATE/log
keyring = $STATE/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = false
mon max pg per osd = 1000
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
# else each of the gateway's pools takes a second
paxos propose interval = 0.02
paxos min wait = 0.01
[mon]
mon data = $STATE/mon
[osd]
osd data = $STATE/osd
# all content is in memory: nothing of it outlives a stop
osd objectstore = memstore
memstore device bytes = 8589934592
osd class load list = *
osd class default list = *
[client.rgw.test]
# without nodelay every answer waits 40 ms for the client's acknowledgement
rgw frontends = beast endpoint=127.0.0.1:$S3_PORT tcp_nodelay=1
# the gateway insists on encryption, which needs the keys that are switched off above
ms mon client mode = crc
rgw enable usage log = false
rgw enable ops log = false
rgw dynamic resharding = false
rgw override bucket index max shards = 1
rgw lc debug interval = 10
# Deleted content is freed soon: the store has only so much memory.
rgw gc obj min wait = 60
rgw gc processor period = 30
rgw gc processor max time = 30
CONF
}

start_ceph() {
  rgw_answers && return
  stop_servers mon osd rgw
  rm -rf --one-file-system "$STATE/mon" "$STATE/osd"
  mkdir -p "$STATE/mon" "$STATE/osd"
  local id
  id=$(cat /proc/sys/kernel/random/uuid)
  write_ceph_conf "$id"
  {
    jailed ceph-authtool --create-keyring "$STATE/keyring" --gen-key -n mon. --cap mon 'allow *'
    jailed ceph-authtool "$STATE/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
    jailed monmaptool --create --clobber --fsid "$id" --addv a "[v2:127.0.0.1:$((S3_PORT + 1))]" "$STATE/monmap"
    jailed ceph-mon -i a --mkfs --monmap "$STATE/monmap" --keyring "$STATE/keyring" --setuser root --setgroup root
  } >>"$STATE/log/setup" 2>&1
  start_server mon ceph-mon -f -i a
  id=$(cat /proc/sys/kernel/random/uuid)
  {
    jailed ceph --connect-timeout 30 osd new "$id"
    jailed ceph-osd -i 0 --mkfs --osd-uuid "$id" --setuser root --setgroup root
    jailed ceph osd crush add osd.0 1.0 root=default host=localhost
  } >>"$STATE/log/setup" 2>&1
  start_server osd ceph-osd -f -i 0
  osd_up() { jailed ceph osd stat 2>/dev/null | grep -q '1 up'; }
  wait_for 'the object store' 30 osd_up
  user() { jailed radosgw-admin -n client.rgw.test user create --uid="$1" --display-name="$1" --access-key="$2" --secret-key="$3"; }
  {
    user s3lo "$KEY" "$SECRET"
    user other "$OTHER_KEY" "$OTHER_SECRET"
    jailed radosgw-admin -n client.rgw.test zonegroup modify --rgw-zonegroup default --api-name us-east-1
  } >>"$STATE/log/setup" 2>&1
  start_server rgw radosgw -f -n client.rgw.test
  wait_for 'the gateway' 60 rgw_answers
}

write_swift_conf() {
  local dir=$JAIL/etc/swift name port
  rm -rf "$dir"
  mkdir -p "$dir"
  printf '[swift-hash]\nswift_hash_path_suffix = s3lo\nswift_hash_path_prefix = s3lo\n[storage-policy:0]\nname = only\ndefault = yes\n' >"$dir/swift.conf"
  for name in account container object; do
    port=$(swift_port $name)
    printf '[DEFAULT]\ndevices = %s\nmount_check = false\nbind_ip = 127.0.0.1\nbind_port = %s\nuser = root\nworkers = 1\nlog_level = WARNING\n[pipeline:main]\npipeline = %s-server\n[app:%s-server]\nuse = egg:swift#%s\n' \
      "$STATE/disks" "$port" "$name" "$name" "$name" >"$dir/$name-server.conf"
    (jailed sh -ec "cd /etc/swift; swift-ring-builder $name.builder create 4 1 1; swift-ring-builder $name.builder add r1z1-127.0.0.1:$port/sdb1 1; swift-ring-builder $name.builder rebalance") >>"$STATE/log/setup" 2>&1
  done
  {
    printf '[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = %s\nworkers = 1\nuser = root\nlog_level = WARNING\n' "$SWIFT_PORT"
    printf '[pipeline:main]\npipeline = catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth copy slo dlo symlink proxy-server\n'
    printf '[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n'
    printf '[filter:s3api]\nuse = egg:swift#s3api\nlocation = us-east-1\nmin_segment_size = 5242880\n'
    printf '[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = testing .admin\n'
    printf '[filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = 127.0.0.1:%s\n' "$(swift_port memcached)"
    for name in catch_errors gatekeeper healthcheck listing_formats copy slo dlo symlink; do
      printf '[filter:%s]\nuse = egg:swift#%s\n' $name $name
    done
  } >"$dir/proxy-server.conf"
}

swift_port() {
  case $1 in object) echo $((SWIFT_PORT + 1)) ;; container) echo $((SWIFT_PORT + 2)) ;; account) echo $((SWIFT_PORT + 3)) ;; memcached) echo $((SWIFT_PORT + 4)) ;; esac
}

start_swift() {
  swift_answers && return
  stop_servers memcached account container object proxy
  write_swift_conf
  start_server memcached memcached -u root -l 127.0.0.1 -p "$(swift_port memcached)"
  local name
  for name in account container object proxy; do start_server $name "swift-$name-server" "/etc/swift/$name-server.conf"; done
  wait_for swift 60 swift_answers
}

start() {
  install_software
  prepare_state
  start_ceph
  start_swift
  log "listening on 127.0.0.1:$S3_PORT (ceph) and 127.0.0.1:$SWIFT_PORT (swift)"
  echo "export S3LO_TEST_S3_ENDPOINT=http://127.0.0.1:$S3_PORT S3LO_TEST_S3_KEY=$KEY S3LO_TEST_S3_SECRET=$SECRET"
  echo "export S3LO_TEST_S3_OTHER_KEY=$OTHER_KEY S3LO_TEST_S3_OTHER_SECRET=$OTHER_SECRET"
  echo "export S3LO_TEST_SWIFT_ENDPOINT=http://127.0.0.1:$SWIFT_PORT S3LO_TEST_SWIFT_KEY=test:tester S3LO_TEST_SWIFT_SECRET=testing"
}

# Killed, not asked: all they hold is in memory, and the gateway takes 16 s to go by itself.
stop_servers() {
  local name pid
  for name in "$@"; do
    if running "$name"; then
      pid=$(cat "$STATE/run/$name")
      grep -qsF -e "$STATE" -e /etc/swift/ -e memcached "/proc/$pid/cmdline" || grep -qs "$STATE" "/proc/$pid/environ" || continue
      kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$STATE/run/$name"
  done
  stop_sessions "$@"
}

# stop_sessions NAME...: Swift's servers leave the process group that they were started in.
stop_sessions() {
  local name pid
  for name in "$@"; do
    for pid in $(pgrep -f "swift-$name-server /etc/swift/" || true); do
      case $(readlink "/proc/$pid/root") in "$JAIL" | "$JAIL "*) kill -KILL "$pid" 2>/dev/null || true ;; esac
    done
  done
}

stop() {
  stop_servers "${SERVERS[@]}"
  purge "$@"
}

[ "$(id -u)" = 0 ] || die 'needs root'
main "$LIMIT" "$@"
