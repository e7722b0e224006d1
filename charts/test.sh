#!/usr/bin/env bash
# Everything about the charts that needs no cluster. HELM is the helm to use; helm-unittest, helm-docs, promtool, kubernetes-validate and
# python3 must be on PATH:
#
#   go install helm.sh/helm/v4/cmd/helm@v4.3.1
#   go install github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
#   helm-unittest 1.1.2: its module cannot be installed by name, so build it in a copy of its folder in the module cache
#   promtool: in Debian's package prometheus
#   pip install kubernetes-validate==1.37.0
set -euo pipefail
cd "$(dirname "$0")"
export HELM=${HELM:-helm}
chart=redeemer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n== %s\n' "$*"; }
fail() {
  echo "charts/test.sh: $*" >&2
  exit 1
}

missing=
for tool in "$HELM" helm-unittest helm-docs promtool kubernetes-validate python3; do
  command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -z "$missing" ] || fail "not found on PATH:$missing"

say "versions"
"$HELM" version --short
[ "$(sed -n 's/^appVersion: "\(.*\)"/\1/p' $chart/Chart.yaml)" = "$(sed -n 's/^version = "\(.*\)"/\1/p' ../Cargo.toml | head -n 1)" ] ||
  fail "appVersion in $chart/Chart.yaml is not the version in Cargo.toml"

# What the API server would say to fields that it does not know; kinds that are not Kubernetes' own are left out.
validate() {
  python3 - "$1" >"$work/own.yaml" <<'PYTHON' || return 1
import re, sys
documents = re.split(r"^---$", open(sys.argv[1], encoding="utf-8").read(), flags=re.M)
own = [d for d in documents if re.search(r"^kind: ", d, re.M) and not re.search(r"^apiVersion: (monitoring\.coreos\.com|gateway\.networking)", d, re.M)]
assert len(own) >= 4, "hardly any object was found"
print("---\n".join(own))
PYTHON
  for version in 1.30 1.37; do
    kubernetes-validate --strict --quiet --no-warn -k $version "$work/own.yaml" || return 1
  done
}

say "lint and render with every ci/*-values.yaml"
rendered=0
for values in $chart/ci/*-values.yaml; do
  "$HELM" lint --strict --quiet $chart -f "$values" >"$work/lint" 2>&1 || fail "$values: $(cat "$work/lint")"
  "$HELM" template -n tickey-lickey redeemer $chart -f "$values" >"$work/out.yaml" 2>"$work/err" || fail "$values: $(cat "$work/err")"
  ! grep -nE '<no value>|%!|map\[' "$work/out.yaml" || fail "$values: something was not filled in"
  validate "$work/out.yaml" || fail "$values: not what Kubernetes takes"
  "$HELM" install --dry-run=client -n tickey-lickey redeemer $chart -f "$values" >"$work/out" 2>"$work/err" || fail "$values: $(cat "$work/err")"
  rendered=$((rendered + 1))
done
[ "$rendered" -ge 10 ] || fail "only $rendered files were found in $chart/ci"
echo "$rendered sets of values"

say "a package has what it needs, and no tests"
"$HELM" package $chart -d "$work" >/dev/null
tar -tzf "$work"/$chart-*.tgz >"$work/files"
! grep -E '/(ci|tests)/.*(values|_test)\.yaml$|gotmpl$' "$work/files" || fail "the package holds tests"
for file in values.schema.json README.md rules/alerts.yaml dashboards/redeemer.json templates/tests/selftest.yaml; do
  grep -qx "$chart/$file" "$work/files" || fail "the package lacks $file"
done

say "bad values"
test/schema.sh

say "unit tests"
helm-unittest --strict $chart

say "alerts and dashboard"
test/monitoring.sh
for alert in $(sed -n 's/^- alert: //p' $chart/rules/alerts.yaml); do
  grep -q "\"$alert\"" $chart/values.schema.json || fail "values.schema.json does not know the alert $alert"
  grep -q "\`$alert\`" $chart/README.md.gotmpl || fail "README.md.gotmpl does not name the alert $alert"
done

say "README.md is what helm-docs makes of it"
cp -r $chart "$work/docs"
helm-docs --chart-search-root "$work/docs" --sort-values-order file --log-level error
diff -u $chart/README.md "$work/docs/README.md" ||
  fail "run: helm-docs --chart-search-root charts/$chart --sort-values-order file"

say "all well"
