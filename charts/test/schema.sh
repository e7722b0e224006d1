#!/usr/bin/env bash
# Checks that every line of bad-values.txt is refused, and for its reason. HELM is the helm to use.
set -euo pipefail
cd "$(dirname "$0")"
helm=${HELM:-helm}
values=$(mktemp)
trap 'rm -f "$values"' EXIT

cases=0 failed=0
while IFS= read -r line; do
  case $line in '#'* | '') continue ;; esac
  reason=${line% | *} bad=${line##* | }
  cases=$((cases + 1))
  printf '%s\n' "$bad" >"$values"
  if message=$("$helm" template -n tickey-lickey redeemer ../redeemer -f "$values" 2>&1); then
    echo "ACCEPTED: $bad"
    failed=$((failed + 1))
  elif ! grep -qF -- "$reason" <<<"$message"; then
    printf 'REFUSED FOR ANOTHER REASON: %s\n  expected: %s\n  was: %s\n' "$bad" "$reason" "$(sed '2,$s/^/       /' <<<"$message")"
    failed=$((failed + 1))
  fi
done <bad-values.txt
echo "schema: $cases bad values, $((cases - failed)) refused for their reason"
[ "$failed" = 0 ]
