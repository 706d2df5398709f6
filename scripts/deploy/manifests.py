"""The manifests as a cluster would get them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".cache/deploy/bin"
# The files that `kubectl apply -f` takes as they are, and what `kubectl apply -k` takes.
PLAIN_NAME = "k8s/*.yaml"
PLAIN = ["k8s/mcp-server-deployment.yaml", "k8s/kafka-worker-deployment.yaml"]
KUSTOMIZATIONS = ["k8s/base", "k8s/overlays/dev", "k8s/overlays/prod", "k8s/strimzi"]


@dataclass
class Set:
    """Resources that are applied together."""

    name: str
    resources: list[dict]

    def of(self, *kinds: str) -> list[dict]:
        return [resource for resource in self.resources if resource["kind"] in kinds]

    def get(self, kind: str, name: str) -> dict | None:
        return next((found for found in self.of(kind) if found["metadata"]["name"] == name), None)

    def hashed(self, kind: str, name: str) -> dict | None:
        """One whose name kustomize has given a hash."""
        return next((found for found in self.of(kind) if found["metadata"]["name"].rpartition("-")[0] == name), None)

    def pods(self) -> list[tuple[str, dict]]:
        """The pod templates, each with the name of what makes it."""
        return [(named(made), made["spec"]["template"]) for made in self.of("Deployment", "StatefulSet", "DaemonSet", "Job")]


def named(resource: dict) -> str:
    return f"{resource['kind']} {resource['metadata']['name']}"


def read(name: str, text: str) -> Set:
    return Set(name, [resource for resource in yaml.safe_load_all(text) if resource])


def plain() -> Set:
    return read(PLAIN_NAME, "\n---\n".join((ROOT / path).read_text() for path in PLAIN))


def built(path: str) -> Set:
    """What kustomize makes of a folder."""
    command = [TOOLS / "kubectl", "kustomize", ROOT / path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # A word on something deprecated is a mistake too: it will be an error one day.
    if done.returncode or done.stderr:
        raise SystemExit(f"{path}: kustomize says: {done.stderr.strip()}")
    return read(path, done.stdout)
