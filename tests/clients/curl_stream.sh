#!/usr/bin/env bash
# `curl -N` shows each chunk when the server sends it.
#
#   curl_stream.sh URL CHUNKS INTERVAL_MS [SEPARATOR]
#
# URL answers a POST with CHUNKS lines (or words: SEPARATOR is what is between them), INTERVAL_MS
# apart. Asserts their number, curl's own verdict (a body cut short is an error to it) and that they
# come spread over that time.
set -euo pipefail

if (($# < 3 || $# > 4)); then
    echo "usage: curl_stream.sh URL CHUNKS INTERVAL_MS [SEPARATOR]" >&2
    exit 2
fi
url=$1 chunks=$2 interval_ms=$3 separator=${4:-$'\n'}

now_ms() { local now=${EPOCHREALTIME/[^0-9]/}; echo $((now / 1000)); }
fail() { echo "FAILED: curl -N: $1" >&2; exit 1; }

arrivals=()
while IFS= read -r -d "$separator" piece; do
    if [[ $piece == curl-exit-* ]]; then
        verdict=${piece#curl-exit-}
    elif [[ -n $piece ]]; then
        arrivals+=("$(now_ms)")
    fi
done < <(
    status=0
    curl -N -sS --fail --max-time 30 -d '{"prompt":"hi"}' "$url" || status=$?
    printf '%s' "${separator}curl-exit-$status$separator"
)

[[ ${verdict:-missing} == 0 ]] || fail "exit code ${verdict:-missing}"
((${#arrivals[@]} == chunks)) || fail "${#arrivals[@]} pieces came, $chunks were sent"
span=$((arrivals[chunks - 1] - arrivals[0]))
expected=$(((chunks - 1) * interval_ms))
((span * 10 >= expected * 8)) || fail "all came within $span ms, they were sent over $expected ms"
bunched=0
for ((i = 1; i < chunks; i++)); do
    if (((arrivals[i] - arrivals[i - 1]) * 5 < interval_ms)); then
        ((bunched += 1))
    fi
done
((bunched * 5 <= chunks - 1)) || fail "$bunched of $((chunks - 1)) pieces came together with the one before"
printf '{"test": "curl_stream", "arrivals": %d, "span_ms": %d, "bunched": %d}\n' "$chunks" "$span" "$bunched"
