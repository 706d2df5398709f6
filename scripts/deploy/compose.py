"""docker-compose.yml: what Compose itself says of it, and what holds for each service."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from manifests import ROOT, TOOLS

FILE = ROOT / "docker-compose.yml"
# Made for one task each: they end, and are never asked how they are.
ONCE = {"secrets", "topics"}
# Their images have no program that a health check could run.
MUTE = {"otel-collector", "jaeger"}
OURS = {"kafka-worker", "mcp-server", "secrets"}
# Of these there can be several, so nothing of them may be there only once.
SCALED = {"kafka-worker", "mcp-server"}
# The image's own health check counts.
BUILT = {"kafka-worker", "mcp-server"}


def check(file: Path = FILE) -> list[str]:
    command = [
        TOOLS / "docker-compose", "--project-directory", ROOT, "--file", file, "--profile", "*", "config", "--format", "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        return [f"{file.name}: {done.stderr.strip()}"]
    services = json.loads(done.stdout)["services"]
    return [*secrets(file), *images(services), *(f"{file.name}: {name}: {what}" for name, service in services.items() for what in of(name, service))]


def secrets(file: Path) -> Iterator[str]:
    # ${NAME:-} takes a value from outside, and _FILE names a file.
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if re.search(r"(PASSWORD|SECRET|TOKEN|API_KEY)\w*(?<!_FILE): +(?!\$\{\w+:-\})\S", line):
            yield f"{file.name}:{number}: a secret stands in the file"


def images(services: dict) -> Iterator[str]:
    # Compose builds them side by side, and the second to end would find the name taken.
    built = [service["image"] for service in services.values() if "build" in service]
    for image in sorted({image for image in built if built.count(image) > 1}):
        yield f"docker-compose.yml: several services build {image}"


def of(name: str, service: dict) -> Iterator[str]:
    if "mem_limit" not in service:
        yield "no mem_limit"
    if "no-new-privileges:true" not in service.get("security_opt", []) and name not in ONCE:
        yield "no-new-privileges is not set"
    if name in OURS and not (service.get("read_only") and service.get("cap_drop") == ["ALL"]):
        yield "it is not read_only, or has capabilities"
    if name not in ONCE and service.get("restart") != "unless-stopped":
        yield "it does not come back by itself"
    if name not in ONCE | MUTE | BUILT and "healthcheck" not in service:
        yield "no healthcheck"
    if name in SCALED and (service.get("ports") or service.get("container_name")):
        yield "it can't be scaled: only one can have a published port or a name"
    for port in service.get("ports", []):
        if port.get("host_ip") != "127.0.0.1":
            yield f"port {port['target']} is open to other machines"
    image = service["image"]
    if name not in OURS and (":" not in image or image.endswith(":latest")):
        yield f"image {image} has no version"
    for other, how in service.get("depends_on", {}).items():
        wanted = {True: "service_completed_successfully", False: "service_healthy"}[other in ONCE]
        if other in MUTE:
            wanted = "service_started"
        if how["condition"] != wanted:
            yield f"it waits for {other} to be {how['condition']}, not {wanted}"
    for mount in service.get("volumes", []):
        if mount["type"] != "bind":
            continue
        if not Path(mount["source"]).exists():
            yield f"{mount['source']} is not there"
        if not mount.get("read_only"):
            yield f"{mount['source']} can be written to"
