"""Applies everything to a real API server with --dry-run=server: python dry_run.py PATH-OF-KUBE-APISERVER. See scripts/dry-run."""

import json
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

import manifests
import schemas
from manifests import TOOLS, Set

# How long the API server may take to start, in seconds.
PATIENCE = 120
NAMESPACES = {
    manifests.PLAIN_NAME: "plain",
    "k8s/base": "base",
    "k8s/overlays/dev": "mcp-hybrid-dev",
    "k8s/overlays/prod": "mcp-hybrid",
    "k8s/strimzi": "kafka",
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class ApiServer:
    """etcd and the API server, in a folder that goes with them."""

    def __init__(self, program: str, folder: Path) -> None:
        self.folder = folder
        self.port, token = free_port(), secrets.token_hex(16)
        store, peers = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        self.started = [
            self.start("etcd", "etcd", "--data-dir", folder / "etcd", "--listen-client-urls", store, "--advertise-client-urls", store,
                       "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
        ]
        key, public = folder / "key.pem", folder / "public.pem"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
        (folder / "tokens").write_text(f"{token},admin,admin,system:masters\n")
        self.started.append(
            self.start("kube-apiserver", program, f"--etcd-servers={store}", f"--secure-port={self.port}", "--bind-address=127.0.0.1",
                       f"--cert-dir={folder / 'certs'}", f"--service-account-key-file={public}", f"--service-account-signing-key-file={key}",
                       "--service-account-issuer=https://kubernetes.default.svc", f"--token-auth-file={folder / 'tokens'}",
                       "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16",
                       # Nobody makes the accounts that it would look for: that is the controllers' work.
                       "--disable-admission-plugins=ServiceAccount"))
        (folder / "kubeconfig").write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }))

    def start(self, name: str, *command: object) -> subprocess.Popen:
        log = (self.folder / f"{name}.log").open("w")
        return subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)

    def wait(self) -> None:
        trusting = ssl._create_unverified_context()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and all(process.poll() is None for process in self.started):
            try:
                with urllib.request.urlopen(f"https://127.0.0.1:{self.port}/readyz", context=trusting, timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        for log in self.folder.glob("*.log"):
            print(f"{log.name}:", *log.read_text().splitlines()[-10:], sep="\n  ", file=sys.stderr)
        raise SystemExit("dry-run: the API server did not start")

    def stop(self) -> None:
        for process in reversed(self.started):
            process.terminate()
            process.wait()

    def kubectl(self, *arguments: str, resources: list[dict] | None = None) -> subprocess.CompletedProcess:
        command = [TOOLS / "kubectl", f"--kubeconfig={self.folder / 'kubeconfig'}", f"--cache-dir={self.folder / 'cache'}", *arguments]
        text = yaml.safe_dump_all(resources) if resources else None
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def definition(file: Path) -> dict:
    """Of a schema in the folder, as much of a CustomResourceDefinition as makes the API server take the kind and check it."""
    group, version, kind = file.stem.split("_")
    plural = f"{kind.lower()}s"
    schema = json.loads(file.read_text())
    for standard in ("apiVersion", "kind", "metadata"):
        schema["properties"].pop(standard)
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": structural(schema)}}],
        },
    }


def structural(schema: dict) -> dict:
    """As the API server wants it: an unknown field is refused by strict validation, so it need not be forbidden here."""
    result = dict(schema)
    if result.get("additionalProperties") is False:
        del result["additionalProperties"]
    for several in ("anyOf", "oneOf", "allOf"):
        result.pop(several, None)
    if isinstance(result.get("type"), list):
        if set(result["type"]) == {"integer", "string"}:
            return {"x-kubernetes-int-or-string": True}
        result |= {"type": result["type"][0], "nullable": True}
    if result.get("type") == "object" and not {"properties", "additionalProperties"} & set(result):
        result["x-kubernetes-preserve-unknown-fields"] = True
    if "type" not in result:
        return {"x-kubernetes-preserve-unknown-fields": True}
    if "properties" in result:
        result["properties"] = {name: structural(part) for name, part in result["properties"].items()}
    for inner in ("items", "additionalProperties"):
        if isinstance(result.get(inner), dict):
            result[inner] = structural(result[inner])
    return result


def pods(resources: Set) -> list[dict]:
    """The pods that controllers would make of the templates: pod security is enforced on them alone."""
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | {"name": name.split()[1]}, "spec": template["spec"]}
        for name, template in resources.pods()
    ]


def run(server: ApiServer) -> int:
    server.wait()
    wrong = 0

    def told(done: subprocess.CompletedProcess, what: str, expected: str | None = None) -> None:
        nonlocal wrong
        # A warning is what a cluster of tomorrow refuses.
        fine = expected in done.stderr if expected else done.returncode == 0 and not done.stderr
        print(f"{'ok    ' if fine else 'WRONG '} {what}{'' if fine else ': ' + done.stderr.strip()}")
        wrong += not fine

    kinds = [definition(file) for file in sorted(schemas.CUSTOM.glob("*.json"))]
    told(server.kubectl("apply", "--server-side", "-f", "-", resources=kinds), f"{len(kinds)} definitions of the operators' resources")
    names = [f"crd/{kind['metadata']['name']}" for kind in kinds]
    told(server.kubectl("wait", "--for=condition=Established", *names), "they are in force")
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}} for name in NAMESPACES.values()]
    told(server.kubectl("apply", "--server-side", "-f", "-", resources=spaces), f"{len(spaces)} namespaces with `restricted`")

    sets = [manifests.plain(), *(manifests.built(path) for path in manifests.KUSTOMIZATIONS)]
    apply = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"]
    for resources in sets:
        place = [f"--namespace={NAMESPACES[resources.name]}"]
        mine = [resource for resource in resources.resources if resource["kind"] != "Namespace"]
        told(server.kubectl(*apply, *place, resources=mine), f"{resources.name}: {len(mine)} resources")
        made = pods(resources)
        if made:
            told(server.kubectl(*apply, *place, resources=made), f"{resources.name}: {len(made)} pods of their templates")
    # That this can fail at all.
    pod = pods(sets[0])[0]
    pod["spec"]["hostNetwork"] = True
    told(server.kubectl(*apply, "--namespace=plain", resources=[pod]), "a pod with hostNetwork is refused", "violates PodSecurity")
    misspelt = [resource | {"spec": resource["spec"] | {"maxReplicas": 1}} for resource in sets[3].of("ScaledObject")]
    told(server.kubectl(*apply, "--namespace=mcp-hybrid", resources=misspelt), "a misspelt field is refused", "maxReplicas")
    return 1 if wrong else 0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mcp-hybrid-api.") as folder:
        server = ApiServer(sys.argv[1], Path(folder))
        try:
            return run(server)
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
