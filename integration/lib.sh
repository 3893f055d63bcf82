# What the scripts that start services share: sourced, with NAME (of the service) and ROOT (a folder of its own) set.
# shellcheck shell=bash

log() { echo "$NAME: $*" >&2; }
die() { log "$*"; exit 1; }

# ours PID TEXT: whether the process has TEXT in its command line.
ours() { grep -qsF "$2" "/proc/$1/cmdline"; }

# launch PART COMMAND...: in the background, not holding our lock; its log and process id are in $ROOT.
launch() {
  local part=$1
  shift
  setsid nohup "$@" >"$ROOT/$part.log" 2>&1 </dev/null 9>&- &
  echo $! >"$ROOT/$part.pid"
}

# await PART COMMAND...: until the command succeeds, for 20 s.
await() {
  local part=$1
  shift
  for _ in $(seq 200); do
    "$@" && return
    sleep 0.1
  done
  log "$part does not answer; the end of $ROOT/$part.log:"
  tail -n 25 "$ROOT/$part.log" >&2
  exit 1
}

# halt PART TEXT: ends the process of launch, if its command line still has TEXT.
halt() {
  local pid
  pid=$(cat "$ROOT/$1.pid" 2>/dev/null) || true
  if [ -n "$pid" ] && ours "$pid" "$2"; then
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
      ours "$pid" "$2" || break
      sleep 0.1
    done
  fi
  rm -f "$ROOT/$1.pid"
}

purge() { if [ "${1:-}" = --purge ]; then rm -rf --one-file-system "$ROOT"; fi; }

# main SECONDS start|stop [--purge]: runs the script's own function of that name, one at a time, waiting so long for another.
main() {
  local limit=$1
  shift
  case ${1:-start} in
    start | stop) ;;
    *)
      sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0" >&2
      exit 2
      ;;
  esac
  mkdir -p "$ROOT"
  exec 9>"$ROOT.lock"
  flock -w "$limit" 9 || die "another one holds $ROOT.lock"
  "${@:-start}"
}
