#!/usr/bin/env bash
# Real container engines for the integration tests, each on its own private unix socket.
#
#   eval "$(integration/engines.sh start [legacy|overlay|containerd|podman ...])"   (default: all four)
#   integration/engines.sh stop [--purge]                                 (--purge also deletes all state)
#
#   legacy      dockerd 20.10 (bookworm), overlay2          save: <v1 id>/layer.tar directories
#   overlay     dockerd 26.1  (trixie),   overlay2          save: OCI layout + manifest.json, plain layers
#   containerd  dockerd 28.5  (forky),    containerd store  save: OCI layout + manifest.json, blobs as stored
#   podman      podman 4.3    (the machine's own apt)       optional: a failure is only a warning
#
# stdout: `export S3LO_TEST_ENGINE_<NAME>=unix://...` lines, S3LO_TEST_CONTAINERD with the socket of the containerd of
# the engine of that name, S3LO_TEST_CTR and S3LO_TEST_DOCKER with clients; progress goes to stderr.
# Needs root on Debian (tried on 12) with curl. The docker packages are unpacked below
# ${S3LO_TEST_DIR:-/tmp/s3lo-integration}/engines from the machine's own Debian mirror, leaving the machine's
# package state alone; podman is installed with apt-get. There is no container network
# (use `--network host`) and nothing listens on TCP. Starting is idempotent.
set -euo pipefail

ROOT=$(realpath -m "${S3LO_TEST_DIR:-/tmp/s3lo-integration}")/engines
LIMIT=${S3LO_TEST_TIMEOUT:-600} # seconds, for each download or installation

log() { echo "engines: $*" >&2; }
die() { log "$*"; exit 1; }

# shellcheck source=integration/debian.sh
. "$(dirname "$(realpath "$0")")/debian.sh"

install_podman() {
  command -v podman >/dev/null || { apt update || true; apt install podman; }
}

alive() { [ -S "$1" ] && curl -fsS -m 5 -o /dev/null --unix-socket "$1" http://engine/_ping 2>/dev/null; }

# spawn DIR SOCKET command...: run a daemon that outlives this script, until it answers on the socket (30 s).
spawn() {
  local dir=$1 sock=$2 pid
  shift 2
  rm -f "$sock"
  setsid nohup "$@" >"$dir/log" 2>&1 </dev/null 9>&- &
  pid=$!
  echo "$pid" >"$dir/pid"
  for _ in $(seq 300); do
    alive "$sock" && return
    grep -qs '^State:.[^ZX]' "/proc/$pid/status" || break
    sleep 0.1
  done
  log "$(basename "$dir") does not answer; the end of $dir/log:"
  tail -n 25 "$dir/log" >&2
  return 1
}

# start_docker NAME SUITE DRIVER DAEMON-JSON
start_docker() {
  local dir=$ROOT/$1 pkg=$ROOT/pkg/$2 old=$ROOT/pkg/bookworm libs
  mkdir -p "$dir/bin"
  # the newer suites' runc wants a newer libc than bookworm's: its own one serves all three
  ln -sf "$old/usr/sbin/runc" "$dir/bin/runc"
  libs=$(echo "$old"/lib/*-linux-gnu*)
  echo "$4" >"$dir/daemon.json"
  rm -f "$dir/docker.pid"
  spawn "$dir" "$dir/engine.sock" env PATH="$dir/bin:$pkg/usr/sbin:$pkg/usr/bin:$PATH" LD_LIBRARY_PATH="$libs" \
    dockerd --host "unix://$dir/engine.sock" --data-root "$dir/data" --exec-root "$dir/exec" \
    --pidfile "$dir/docker.pid" --config-file "$dir/daemon.json" --storage-driver "$3" \
    --iptables=false --ip6tables=false --ip-masq=false --bridge=none --insecure-registry 127.0.0.0/8
}

start_podman() {
  local dir=$ROOT/podman
  mkdir -p "$dir/root" "$dir/run" "$dir/tmp"
  spawn "$dir" "$dir/engine.sock" env TMPDIR="$dir/tmp" podman --root "$dir/root" --runroot "$dir/run" \
    --storage-driver overlay --cgroup-manager cgroupfs --events-backend file \
    system service --time=0 "unix://$dir/engine.sock"
}

engine() {
  local sock=$ROOT/$1/engine.sock version
  if ! alive "$sock"; then
    halt "$1" # what a killed engine may have left
    case $1 in
      legacy) start_docker legacy bookworm overlay2 '{}' ;;
      overlay) start_docker overlay trixie overlay2 '{}' ;;
      containerd) start_docker containerd forky overlayfs '{"features":{"containerd-snapshotter":true}}' ;;
      podman) start_podman ;;
    esac || return
  fi
  version=$(curl -fsS -m 10 --unix-socket "$sock" http://engine/version | grep -o '"Version":"[^"]*"' | head -n 1) || true
  version=$(cut -d '"' -f 4 <<<"$version")
  log "$1: $version on $sock"
  case $1:$version in
    legacy:20.10.* | overlay:26.* | containerd:28.* | podman:4.*) ;;
    *) log "note: $1 is not of the version the tests were written with" ;;
  esac
}

start() {
  local names=("$@") name pids=() failed=0
  [ ${#names[@]} -gt 0 ] || names=(legacy overlay containerd podman)
  for name in "${names[@]}"; do
    case $name in legacy | overlay | containerd | podman) ;; *) die "unknown engine: $name" ;; esac
  done
  [ "$(id -u)" = 0 ] || die "needs root"

  local docker=0 suites=() missing=()
  for name in "${names[@]}"; do
    case $name in
      overlay) docker=1 suites+=("trixie docker.io containerd") ;;
      containerd) docker=1 suites+=("forky docker.io containerd") ;;
      legacy) docker=1 ;;
    esac
  done
  [ $docker = 0 ] || suites+=("bookworm docker.io containerd runc libdevmapper1.02.1")
  for name in ${suites[@]+"${suites[@]}"}; do
    [ -d "$ROOT/pkg/${name%% *}" ] || missing+=("$name")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    MIRROR=$(mirror)
    # apt names it only once it has package lists
    [ -n "$MIRROR" ] || { apt update && MIRROR=$(mirror); }
    [ -n "$MIRROR" ] || die "no Debian mirror in the apt configuration"
    log "fetching packages of ${missing[*]%% *}"
    for name in "${missing[@]}"; do
      # shellcheck disable=SC2086
      fetch $name &
      pids+=($!)
    done
  fi
  # while the suites load: podman comes up as soon as it is installed
  if [[ " ${names[*]} " == *" podman "* ]]; then
    { install_podman && engine podman; } || log "warning: podman is not available, its tests are to be skipped" &
    pids+=($!)
  fi
  for name in ${pids[@]+"${pids[@]}"}; do wait "$name" || failed=1; done
  [ $failed = 0 ] || die "the engines' packages could not be fetched"

  pids=()
  for name in "${names[@]}"; do
    [ "$name" = podman ] || { engine "$name" & pids+=($!); }
  done
  for name in ${pids[@]+"${pids[@]}"}; do wait "$name" || failed=1; done
  for name in "${names[@]}"; do
    if alive "$ROOT/$name/engine.sock"; then
      echo "export S3LO_TEST_ENGINE_${name^^}=unix://$ROOT/$name/engine.sock"
      case $name in
        legacy) echo "export S3LO_TEST_DOCKER=$ROOT/pkg/bookworm/usr/bin/docker" ;;
        containerd)
          echo "export S3LO_TEST_CTR=$ROOT/pkg/forky/usr/bin/ctr"
          echo "export S3LO_TEST_CONTAINERD=$ROOT/containerd/exec/containerd/containerd.sock"
          ;;
      esac
    fi
  done
  [ $failed = 0 ] || die "not all engines came up"
}

# halt NAME: end the engine's processes (only ones that are known to be its own) and unmount what they mounted.
halt() {
  local dir=$ROOT/$1 file pid
  for file in "$dir/pid" "$dir/docker.pid" "$dir/exec/containerd/containerd.pid"; do
    pid=$(cat "$file" 2>/dev/null) || continue
    if grep -qsF "$dir/" "/proc/$pid/cmdline"; then
      kill "$pid" 2>/dev/null || true
      # a zombie is gone, even where nothing reaps it
      for _ in $(seq 150); do grep -qs '^State:.[^ZX]' "/proc/$pid/status" || break; sleep 0.1; done
      if grep -qs '^State:.[^ZX]' "/proc/$pid/status"; then kill -9 "$pid" 2>/dev/null || true; fi
    fi
    rm -f "$file"
  done
  rm -f "$dir/engine.sock"
  awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r -n 1 umount -l || true
}

stop() {
  local name
  for name in legacy overlay containerd podman; do halt "$name" & done
  wait
  if [ "${1:-}" = --purge ]; then rm -rf --one-file-system "$ROOT"; fi
}

case ${1:-} in
  start | stop) ;;
  *) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
mkdir -p "$ROOT"
exec 9>"$ROOT.lock"
flock -w "$LIMIT" 9 || die "another engines.sh holds $ROOT.lock"
"$@"
