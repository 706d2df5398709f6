"""What stands in two places is the same in both."""

import re
from collections.abc import Iterator

import yaml

import manifests
from manifests import ROOT, Set

RULES = "k8s/components/prometheus-operator/prometheus-rules.yaml"


def check(sets: dict[str, Set]) -> list[str]:
    return [*partitions(sets), *rules(sets["k8s/overlays/prod"])]


def partitions(sets: dict[str, Set]) -> Iterator[str]:
    """As many partitions with Compose as with Strimzi, and as many workers at most as the jobs have."""
    topics = {topic["metadata"]["name"]: topic["spec"]["partitions"] for topic in sets["k8s/strimzi"].of("KafkaTopic")}
    script = (ROOT / "deploy/compose/topics.sh").read_text()
    composed = {name: int(count) for name, count in re.findall(r"^make_topic (\S+) (\d+)", script, re.MULTILINE)}
    if topics != composed:
        yield f"deploy/compose/topics.sh makes {composed}, k8s/strimzi {topics}"
    for scaler in sets["k8s/overlays/prod"].of("ScaledObject"):
        most = scaler["spec"]["maxReplicaCount"]
        if most != topics["mcp-jobs"]:
            yield f"ScaledObject {scaler['metadata']['name']}: maxReplicaCount is {most}, mcp-jobs has {topics['mcp-jobs']} partitions"


def groups() -> list[dict]:
    """The alerts, from the files that Prometheus reads itself."""
    files = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
    return [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]


def rules(resources: Set) -> Iterator[str]:
    for rule in resources.of("PrometheusRule"):
        if rule["spec"]["groups"] != groups():
            yield f"{RULES} differs from deploy/prometheus/rules: scripts/deploy/check.py --write-rules writes it anew"


class Text(yaml.SafeDumper):
    """Several lines of text as such, and lists as deep as people write them."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def as_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Text.add_representer(str, as_text)


def write_rules() -> None:
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "mcp-hybrid", "labels": {"app.kubernetes.io/part-of": "mcp-hybrid"}},
        "spec": {"groups": groups()},
    }
    head = "# Written by scripts/deploy/check.py --write-rules from deploy/prometheus/rules, where comments and tests are.\n"
    (manifests.ROOT / RULES).write_text(head + yaml.dump(rule, Dumper=Text, sort_keys=False, width=160, allow_unicode=True))
