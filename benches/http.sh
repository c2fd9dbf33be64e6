#!/usr/bin/env bash
# What durability costs, and what idempotency keys do: POST /messages/add with the log on disk and with the log in
# memory; with a key on every request, and with the same header under a name that means nothing. Measured with wrk, in
# turns, so that whatever else the machine does meets all alike. Prints medians.
#
#   benches/http.sh [DIR]     DIR: where the logs go; on the disk that is to be measured, default target/
#
# ROUNDS=5 SECONDS_EACH=5 WARM_UP_SECONDS=2 CONNECTIONS="1 64 256"
set -euo pipefail

rounds=${ROUNDS:-5}
seconds_each=${SECONDS_EACH:-5}
warm_up_seconds=${WARM_UP_SECONDS:-2}
read -ra connections <<<"${CONNECTIONS:-1 64 256}"
chats=100
all_kept=(durable labelled keyed ephemeral)
# Lengths of texts: every fourth percentile of a busy public IRC channel.
text_bytes=(3 6 9 12 16 20 23 26 30 33 36 40 44 48 52 57 62 68 75 84 95 108 128 161 248)

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."

die() {
  echo "http.sh: $*" >&2
  exit 1
}

for tool in cargo curl wrk; do
  command -v "$tool" >/dev/null || die "needs $tool"
done

cargo build --release --quiet
target=${CARGO_TARGET_DIR:-target}
mkdir -p "${1:-$target}"
work=$(mktemp -d "${1:-$target}/http-bench.XXXXXX")
server=

stop_server() {
  if [[ -n $server ]]; then
    kill "$server"
    wait "$server" || die "the server did not end well: $(cat "$work/stderr")"
    server=
  fi
}

clean_up() {
  [[ -z $server ]] || kill -9 "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

# start_server durable|labelled|keyed|ephemeral: sets server and url
start_server() {
  local flags=(--listen 127.0.0.1:0 --data "$work/data")
  [[ $1 != ephemeral ]] || flags+=(--ephemeral)
  # What the last server printed must not pass for this one's address.
  rm -rf "$work/data" "$work/stdout"
  "$target/release/chinwag" serve "${flags[@]}" >"$work/stdout" 2>"$work/stderr" &
  server=$!
  for _ in {1..100}; do
    url=$(sed -n 's/^chinwag listening on //p' "$work/stdout" 2>/dev/null) || true
    [[ -z $url ]] || return 0
    sleep 0.1
  done
  die "the server is not ready: $(cat "$work/stderr")"
}

# post PATH: posts every line of stdin as a body, in order, and prints the ids that come back
post() {
  local body
  while IFS= read -r body; do
    printf 'url = "%s"\nheader = "Content-Type: application/json"\ndata = "%s"\nwrite-out = "\\n"\nfail\nnext\n' \
      "$url$1" "${body//\"/\\\"}"
  done | sed '$d' | curl --silent --show-error --fail-early --config - | sed 's/.*"id":"\([^"]*\)".*/\1/'
}

# make_members: users, chats of two, and the list of who is where
make_members() {
  local users=() ids=() number other
  mapfile -t users < <(for ((number = 0; number < chats; number++)); do
    printf '{"username":"user %d"}\n' "$number"
  done | post /users/add)
  mapfile -t ids < <(for ((number = 0; number < chats; number++)); do
    other=$(((number + 1) % chats))
    printf '{"name":"chat %d","users":["%s","%s"]}\n' "$number" "${users[number]}" "${users[other]}"
  done | post /chats/add)
  [[ ${#ids[@]} == "$chats" ]] || die "made ${#ids[@]} chats instead of $chats"
  for ((number = 0; number < 2 * chats; number++)); do
    other=$(((number + number / chats) % chats))
    printf '%s %s\n' "${ids[number % chats]}" "${users[other]}"
  done >"$work/members"
}

position() {
  curl --silent --show-error --fail "$url/health" | sed 's/.*"position":\([0-9]*\).*/\1/'
}

# load CONNECTIONS SECONDS [HEADER WORD]: prints messages a second, p50 and p99 in microseconds
load() {
  local before after requests seconds p50 p99 refused failed
  before=$(position)
  wrk --threads 1 --connections "$1" --duration "$2s" --script "$here/post_message.lua" "$url" -- \
    "$work/members" "$work/texts" "${@:3}" >"$work/wrk" 2>&1 || die "wrk failed: $(cat "$work/wrk")"
  read -r requests seconds p50 p99 refused failed < <(sed -n 's/^result //p' "$work/wrk") ||
    die "wrk gave no result: $(cat "$work/wrk")"
  after=$(position)
  [[ $refused == 0 && $failed == 0 ]] ||
    die "$refused answers were not 2xx, $failed connections failed: $(cat "$work/wrk")"
  ((requests > 0 && after - before >= requests)) ||
    die "$requests requests were answered, but the log grew by $((after - before)) events"
  awk -v r="$requests" -v s="$seconds" -v p50="$p50" -v p99="$p99" 'BEGIN { print r / s, p50, p99 }'
}

# median FILE COLUMN
median() {
  awk -v c="$2" '{ print $c }' "$1" | sort -g |
    awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

for bytes in "${text_bytes[@]}"; do
  printf '%*s\n' "$bytes" '' | tr ' ' x
done >"$work/texts"

for count in "${connections[@]}"; do
  for ((round = 1; round <= rounds; round++)); do
    for kept in "${all_kept[@]}"; do
      start_server "$kept"
      make_members
      header=()
      [[ $kept != labelled ]] || header=(X-Meaning-Nothing)
      [[ $kept != keyed ]] || header=(Idempotency-Key)
      load "$count" "$warm_up_seconds" "${header[@]}" "${header[@]:+warm-up-}" >/dev/null
      load "$count" "$seconds_each" "${header[@]}" "${header[@]:+key-}" >>"$work/$kept.$count"
      stop_server
      echo "c=$count round $round of $rounds, $kept: $(tail -n 1 "$work/$kept.$count")" >&2
    done
  done
done

echo "medians of $rounds rounds of $seconds_each s; latencies in microseconds"
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
for count in "${connections[@]}"; do
  for kept in "${all_kept[@]}"; do
    for column in 1 2 3; do
      median "$work/$kept.$count" "$column" | awk '{ printf "%.0f ", $1 }'
    done | awk -v c="$count" -v k="$kept" '{ printf "c=%-4s %-9s %7s messages/s  p50 %6s  p99 %6s\n", c, k, $1, $2, $3 }'
  done
  echo "c=$count durable/ephemeral $(ratio "$(median "$work/durable.$count" 1)" "$(median "$work/ephemeral.$count" 1)")" \
    " keyed/labelled $(ratio "$(median "$work/keyed.$count" 1)" "$(median "$work/labelled.$count" 1)")"
done
