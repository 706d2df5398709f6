"""What one resource says of another is true: selectors, names, ports, variables, times."""

import re
from collections.abc import Iterator

from manifests import PLAIN_NAME, ROOT, Set, named

# What the binaries need after their drain, in seconds: `CLOSE` in crates/kafka-worker/src/app.rs and, three times, in crates/mcp-server/src/app.rs.
CLOSING = {"kafka-worker": 4, "mcp-server": 6}
DRAIN = {"kafka-worker": "WORKER_DRAIN_MS", "mcp-server": "MCP_DRAIN_MS"}
DRAIN_DEFAULT_MS = 25_000
# What KEDA 2.21 reads of a Kafka trigger (pkg/scalers/kafka_scaler.go); any other key it passes over without a word.
KAFKA_TRIGGER = {
    "bootstrapServers", "consumerGroup", "topic", "bootstrapServersFromEnv", "consumerGroupFromEnv", "topicFromEnv",
    "partitionLimitation", "lagThreshold", "activationLagThreshold", "offsetResetPolicy", "allowIdleConsumers",
    "excludePersistentLag", "scaleToZeroOnInvalidOffset", "limitToPartitionsWithLag", "ensureEvenDistributionOfPartitions",
    "fullMetadata", "version", "tls", "unsafeSsl", "sasl", "saslTokenProvider", "awsRegion",
}
# Addresses without a password in them.
OPEN = {"MCP_PUBLIC_URL", "MCP_SERVER_URL"}


def check(resources: Set) -> list[str]:
    found = []
    for rule in (names, selectors, ports, budgets, scaling, monitors, variables, times, versions):
        found += rule(resources)
    return found


def matching(resources: Set, labels: dict) -> list[tuple[str, dict]]:
    return [(name, pod) for name, pod in resources.pods() if labels.items() <= pod["metadata"]["labels"].items()]


def names(resources: Set) -> Iterator[str]:
    """Config maps and accounts are there. Secrets are not: what prepares a cluster is told which, in the kustomization."""
    file = ROOT / resources.name / "kustomization.yaml"
    told = file.read_text() if file.exists() else ""
    for name, template in resources.pods():
        pod = template["spec"]
        if not resources.get("ServiceAccount", pod.get("serviceAccountName", "")):
            yield f"{name}: there is no ServiceAccount {pod.get('serviceAccountName')}"
        maps = [source["configMapRef"]["name"] for c in pod["containers"] for source in c.get("envFrom", []) if "configMapRef" in source]
        maps += [volume["configMap"]["name"] for volume in pod.get("volumes", []) if "configMap" in volume]
        for wanted in maps:
            if not resources.get("ConfigMap", wanted):
                yield f"{name}: there is no ConfigMap {wanted}"
        secrets = {volume["secret"]["secretName"] for volume in pod.get("volumes", []) if "secret" in volume}
        for wanted in sorted(secrets):
            if not re.search(rf"^#   {re.escape(wanted)} ", told, re.MULTILINE):
                yield f"{name}: the Secret {wanted} is not in the list of kustomization.yaml"
        mounted = {mount["name"] for c in pod["containers"] for mount in c.get("volumeMounts", [])}
        if mounted != {volume["name"] for volume in pod.get("volumes", [])}:
            yield f"{name}: volumes and mounts differ"
    for secret in resources.of("Secret"):
        yield f"{named(secret)}: a secret is not for a file"
    for config in resources.of("ConfigMap"):
        for key in config.get("data", {}):
            if re.search(r"(PASSWORD|SECRET|TOKEN|KEY|_URL)$", key) and key not in OPEN:
                yield f"{named(config)}: {key} is a secret, which belongs in a file of its own: {key}_FILE"


def selectors(resources: Set) -> Iterator[str]:
    for resource in resources.of("Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = resource["spec"]
        labels = spec.get("selector") if resource["kind"] == "Service" else (spec.get("selector") or spec.get("podSelector")).get("matchLabels")
        if not labels or not matching(resources, labels):
            yield f"{named(resource)}: it selects no pod"
    for name, pod in resources.pods():
        for spread in pod["spec"].get("topologySpreadConstraints", []):
            if not spread["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items():
                yield f"{name}: it is spread by labels that it has not"


def ports(resources: Set) -> Iterator[str]:
    for name, template in resources.pods():
        for container in template["spec"]["containers"]:
            known = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            for kind in ("startup", "readiness", "liveness"):
                port = container.get(f"{kind}Probe", {}).get("httpGet", {}).get("port")
                if port not in known:
                    yield f"{name}: the {kind}Probe asks port {port}, which the container has not"
    for service in resources.of("Service"):
        for port in service["spec"]["ports"]:
            for name, pod in matching(resources, service["spec"]["selector"]):
                if port["targetPort"] not in {named_port["name"] for c in pod["spec"]["containers"] for named_port in c["ports"]}:
                    yield f"{named(service)}: {name} has no port {port['targetPort']}"


def budgets(resources: Set) -> Iterator[str]:
    if resources.name == PLAIN_NAME:
        return
    covered = {name for budget in resources.of("PodDisruptionBudget") for name, _ in matching(resources, budget["spec"]["selector"]["matchLabels"])}
    closed = {name for policy in resources.of("NetworkPolicy") for name, _ in matching(resources, policy["spec"]["podSelector"].get("matchLabels", {}))}
    for name, _ in resources.pods():
        if name not in covered:
            yield f"{name}: no PodDisruptionBudget"
        if name not in closed:
            yield f"{name}: no NetworkPolicy"


def scaling(resources: Set) -> Iterator[str]:
    for scaler in resources.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = resources.get("Deployment", scaler["spec"]["scaleTargetRef"]["name"])
        if not target:
            yield f"{named(scaler)}: what it scales is not there"
        elif "replicas" in target["spec"]:
            yield f"{named(target)}: a number of replicas, which {named(scaler)} decides"
    for scaler in resources.of("ScaledObject"):
        settings = variables_of(resources, "kafka-worker")
        for trigger in scaler["spec"]["triggers"]:
            if unknown := set(trigger["metadata"]) - KAFKA_TRIGGER:
                yield f"{named(scaler)}: KEDA knows no {unknown.pop()}"
            for key, variable in trigger["metadata"].items():
                if key.endswith("FromEnv") and variable not in settings:
                    yield f"{named(scaler)}: {key} is {variable}, which the worker has not"
            reference = trigger.get("authenticationRef", {}).get("name")
            if reference and not resources.get("TriggerAuthentication", reference):
                yield f"{named(scaler)}: there is no TriggerAuthentication {reference}"
        for authentication in resources.of("TriggerAuthentication"):
            for entry in authentication["spec"].get("env", []):
                if entry["name"] not in settings:
                    yield f"{named(authentication)}: the worker has no {entry['name']}"


def monitors(resources: Set) -> Iterator[str]:
    for monitor in resources.of("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        services = [service for service in resources.of("Service") if wanted <= service["metadata"].get("labels", {}).items()]
        ports = {port["name"] for service in services for port in service["spec"]["ports"]}
        for endpoint in monitor["spec"]["endpoints"]:
            if endpoint["port"] not in ports:
                yield f"{named(monitor)}: no service that it selects has a port {endpoint['port']}"


def variables_of(resources: Set, workload: str) -> dict[str, str]:
    """What the workload's container has in its environment."""
    deployment = resources.get("Deployment", workload)
    found = {}
    for container in deployment["spec"]["template"]["spec"]["containers"] if deployment else []:
        for source in container.get("envFrom", []):
            found |= (resources.get("ConfigMap", source["configMapRef"]["name"]) or {}).get("data", {})
        found |= {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
    return found


def variables(resources: Set) -> Iterator[str]:
    """Each is one that docs/configuration.md tells of, which is made from the code."""
    documented = (ROOT / "docs" / "configuration.md").read_text()
    for name, _ in resources.pods():
        for variable in variables_of(resources, name.split()[1]):
            known = variable.startswith("KAFKA_PROPERTY_") or f"`{variable}`" in documented
            if not known:
                yield f"{name}: docs/configuration.md knows no variable {variable}"


def times(resources: Set) -> Iterator[str]:
    """Whoever is told to stop has the time to."""
    for name, template in resources.pods():
        workload = name.split()[1]
        pod = template["spec"]
        hook = max((c.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0) for c in pod["containers"]), default=0)
        drain = int(variables_of(resources, workload).get(DRAIN[workload], DRAIN_DEFAULT_MS)) / 1000
        needed = hook + drain + CLOSING[workload]
        if pod.get("terminationGracePeriodSeconds", 30) < needed:
            yield f"{name}: terminationGracePeriodSeconds is less than the {needed:g} s of hook, drain and closing"
    server = resources.get("Deployment", "mcp-server")
    if server and not any("preStop" in c.get("lifecycle", {}) for c in server["spec"]["template"]["spec"]["containers"]):
        yield f"{named(server)}: without a preStop connections fail in a rolling update"


def versions(resources: Set) -> Iterator[str]:
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    for name, template in resources.pods():
        for container in template["spec"]["containers"]:
            if not container["image"].endswith(f":{version}"):
                yield f"{name}: the image is {container['image']}, the workspace {version}"
