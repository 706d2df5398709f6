"""Trivy's checks for Kubernetes and Dockerfiles, which came with the program: it asks no server."""

import json
import subprocess
import tempfile
from pathlib import Path

import yaml

from dockerfiles import FILES
from manifests import ROOT, TOOLS, Set

# Why each is left out.
IGNORED = {
    "KSV-0110": "k8s/base has no namespace: an overlay, or whoever applies it, has",
    "KSV-0125": "which registry is to be trusted is the operator's to say",
    "KSV-0109": "it goes by names, and takes the name of a secret's file for the secret; references.py looks at that",
    "KSV-01010": "the same",
}


def there() -> bool:
    return (TOOLS / "trivy").exists()


def check(sets: list[Set]) -> list[str]:
    if not there():
        return []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number, resources in enumerate(sets):
            (folder / f"{number}.yaml").write_text(yaml.safe_dump_all(resources.resources))
        for file in FILES:
            (folder / file.name).write_bytes(file.read_bytes())
        command = [
            TOOLS / "trivy", "config", "--quiet", "--skip-check-update", "--skip-version-check", "--format", "json",
            "--cache-dir", ROOT / ".cache/deploy/trivy", folder,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"trivy: {done.stderr.strip()}"]
    found = []
    tested = 0
    for result in json.loads(done.stdout).get("Results", []):
        summary = result["MisconfSummary"]
        tested += summary["Successes"] + summary["Failures"]
        target = result["Target"]
        name = sets[int(target.removesuffix(".yaml"))].name if target.endswith(".yaml") else target
        found += [f"{name}: {bad['ID']}: {bad['Message']}" for bad in result.get("Misconfigurations", []) if bad["ID"] not in IGNORED]
    # A checker that finds no checks would find no mistakes either.
    return found if tested else ["trivy made no test"]
