"""Dockerfiles: hadolint, and that both are of one shape and of the repository's own versions."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from manifests import ROOT, TOOLS

FILES = [ROOT / "Dockerfile.server", ROOT / "Dockerfile.worker"]
# In both, so that the second image takes these stages from the cache.
SHARED = re.compile(r"^# ---- manifests.*?(?=^# ---- (?:base|worker))", re.MULTILINE | re.DOTALL)


def check(files: list[Path] = FILES) -> list[str]:
    found = []
    for file in files:
        found += [f"{file.name}{what}" for what in [*linted(file), *ours(file.read_text())]]
    if len({shared(file) for file in files}) > 1:
        found.append("the builder stages of the Dockerfiles differ: the second image would be built from nothing")
    return found


def linted(file: Path) -> Iterator[str]:
    command = [TOOLS / "hadolint", "--config", ROOT / ".hadolint.yaml", "--format", "json", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for finding in json.loads(done.stdout):
        yield f":{finding['line']}: {finding['code']}: {finding['message']}"


def shared(file: Path) -> str | None:
    found = SHARED.search(file.read_text())
    return found and found[0]


def ours(text: str) -> Iterator[str]:
    toolchain = re.search(r'^channel = "(.*)"', (ROOT / "rust-toolchain.toml").read_text(), re.MULTILINE)[1]
    if f"RUST_IMAGE=rust:{toolchain}-" not in text:
        yield f": RUST_IMAGE is not {toolchain}, which rust-toolchain.toml wants"
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    if f"ARG VERSION={version}\n" not in text:
        yield f": VERSION is not {version}, which Cargo.toml says"
    final = text[text.rindex("\nFROM ") :]
    base = text[text.index(" AS base") :] if " AS base" in text else final
    for wanted in ("USER 65532:65532", "HEALTHCHECK ", '"/usr/bin/tini", "--"'):
        if f"\n{wanted}" not in base and f"\nENTRYPOINT [{wanted}" not in base:
            yield f": no {wanted}"
    if "LABEL org.opencontainers.image.title" not in final:
        yield ": no labels"
