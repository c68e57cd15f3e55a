# Waiting for parts, ending them, and telling of it.
# shellcheck shell=bash

say() { echo "ci/$(basename "$0"): $*" >&2; }
fail() {
  say "$*"
  exit 1
}

# Waits for up to a minute.
wait_for() {
  local what=$1 _
  shift
  for _ in $(seq 300); do
    "$@" && return
    sleep 0.2
  done
  fail "waited a minute for $what"
}

# Ends processes, by force if they do not end in five seconds.
stop() {
  local pids=("$@") _
  ((${#pids[@]})) || return 0
  kill "${pids[@]}" 2>/dev/null || return 0
  for _ in $(seq 50); do
    kill -0 "${pids[@]}" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "${pids[@]}" 2>/dev/null || true
}
