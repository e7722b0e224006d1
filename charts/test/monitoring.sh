#!/usr/bin/env bash
# Checks the alerts and the dashboard with promtool: the expressions, and what the alerts do. HELM is the helm to use.
set -euo pipefail
cd "$(dirname "$0")"
helm=${HELM:-helm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The rules without the object around them.
"$helm" template -n tickey-lickey redeemer ../redeemer --set metrics.prometheusRule.enabled=true \
  --show-only templates/prometheusrule.yaml | sed -n '/^  groups:/,$s/^  //p' >"$work/rules.yaml"
promtool check rules --lint=all --lint-fatal "$work/rules.yaml"
cp rules-test.yaml rules-slow-test.yaml "$work/"
promtool test rules "$work/rules-test.yaml" "$work/rules-slow-test.yaml"

# The dashboard's expressions, as rules: its variables stand for what Grafana puts there.
for dashboard in ../redeemer/dashboards/*.json; do
  python3 - "$dashboard" >"$work/dashboard.json" <<'PYTHON'
import json, sys
panels = json.load(open(sys.argv[1], encoding="utf-8"))["panels"]
assert len({panel["id"] for panel in panels}) == len(panels), "panels share an id"
rules = []
for panel in panels:
    for target in panel.get("targets", []):
        expression = target["expr"]
        for variable, value in {"$__rate_interval": "5m", "$__range": "1h", "$namespace": "n", "$pod": ".*"}.items():
            expression = expression.replace(variable, value)
        assert "$" not in expression, f"an unknown variable: {expression}"
        rules.append({"record": f"panel_{panel['id']}:{target['refId']}", "expr": expression})
assert len(rules) > 15, "hardly any expression was found"
print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
PYTHON
  promtool check rules --lint=none "$work/dashboard.json"
done
