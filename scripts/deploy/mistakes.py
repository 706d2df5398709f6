"""Mistakes that the checks must find: each is made in a copy of what is in the repository, and one of the findings must name it."""

import copy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import agreement
import compose
import dockerfiles
import pod_security
import references
import schemas
import trivy
from manifests import Set

PROD = "k8s/overlays/prod"


@dataclass
class Mistake:
    """`edit` changes a resource's spec, or a config map's data, in place."""

    kind: str
    name: str
    edit: Callable[[dict], object]
    expected: str
    checks: tuple = (schemas, pod_security, references)


def pod(spec: dict) -> dict:
    return spec["template"]["spec"]


def container(spec: dict) -> dict:
    return pod(spec)["containers"][0]


def volume(spec: dict, name: str) -> dict:
    return next(volume for volume in pod(spec)["volumes"] if volume["name"] == name)["secret"]


SERVER = ("Deployment", "mcp-server")
WORKER = ("Deployment", "kafka-worker")

IN_MANIFESTS = [
    # Schemas, of Kubernetes and of each operator.
    Mistake(*SERVER, lambda spec: container(spec).update(imagePolicy="Always"), "imagePolicy"),
    Mistake(*SERVER, lambda spec: spec.update(replicas="two"), "'two' is not of type"),
    Mistake("ScaledObject", "kafka-worker", lambda spec: spec.update(maxReplicas=12), "maxReplicas"),
    Mistake("TriggerAuthentication", "kafka-worker", lambda spec: spec["secretTargetRef"][0].pop("key"), "'key' is a required"),
    Mistake("ServiceMonitor", "mcp-server", lambda spec: spec["endpoints"][0].update(interval="soon"), "'soon' does not match"),
    Mistake("PrometheusRule", "mcp-hybrid", lambda spec: spec["groups"][0]["rules"][0].update({"for": "a while"}), "'a while' does not match"),
    # Pod security.
    Mistake(*SERVER, lambda spec: pod(spec).update(hostNetwork=True), "hostNetwork is set"),
    Mistake(*SERVER, lambda spec: pod(spec)["volumes"].append({"name": "h", "hostPath": {"path": "/"}}), "volume h is a hostPath"),
    Mistake(*SERVER, lambda spec: pod(spec)["securityContext"].pop("seccompProfile"), "seccompProfile"),
    Mistake(*SERVER, lambda spec: pod(spec)["securityContext"].update(runAsNonRoot=False), "runAsNonRoot is not true"),
    Mistake(*SERVER, lambda spec: container(spec)["securityContext"].update(runAsUser=0), "runAsUser is 0"),
    Mistake(*SERVER, lambda spec: container(spec)["securityContext"].update(privileged=True), "is privileged"),
    Mistake(*SERVER, lambda spec: container(spec)["securityContext"].pop("allowPrivilegeEscalation"), "allowPrivilegeEscalation"),
    Mistake(*SERVER, lambda spec: container(spec)["securityContext"].pop("capabilities"), "not all dropped"),
    Mistake(*SERVER, lambda spec: container(spec)["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]), "capabilities are added"),
    Mistake(*SERVER, lambda spec: container(spec)["securityContext"].update(procMount="Unmasked"), "procMount"),
    Mistake(*SERVER, lambda spec: container(spec)["ports"][0].update(hostPort=8080), "hostPort"),
    Mistake(*SERVER, lambda spec: container(spec)["livenessProbe"]["httpGet"].update(host="example.com"), "names a host"),
    Mistake(*SERVER, lambda spec: pod(spec)["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]), "not a safe one"),
    Mistake(*SERVER, lambda spec: container(spec)["securityContext"].update(readOnlyRootFilesystem=False), "readOnlyRootFilesystem"),
    Mistake(*SERVER, lambda spec: pod(spec).pop("automountServiceAccountToken"), "token of the service account"),
    Mistake(*WORKER, lambda spec: container(spec).pop("terminationMessagePolicy"), "terminationMessagePolicy"),
    Mistake(*WORKER, lambda spec: container(spec)["resources"].pop("limits"), "no limits of cpu and memory"),
    Mistake(*WORKER, lambda spec: container(spec).pop("livenessProbe"), "no livenessProbe"),
    Mistake(*WORKER, lambda spec: container(spec).update(image="kafka-worker"), "the image has no version"),
    # What one says of another.
    Mistake(*SERVER, lambda spec: pod(spec).update(serviceAccountName="admin"), "no ServiceAccount admin"),
    Mistake(*SERVER, lambda spec: container(spec)["envFrom"][0]["configMapRef"].update(name="gone"), "no ConfigMap gone"),
    Mistake("ConfigMap", "kafka-worker", lambda data: data.update(MCP_API_KEY="k"), "MCP_API_KEY is a secret"),
    Mistake(*SERVER, lambda spec: volume(spec, "secrets").update(secretName="gone"), "the Secret gone is not in the list"),
    Mistake(*SERVER, lambda spec: container(spec)["volumeMounts"].pop(), "volumes and mounts differ"),
    Mistake("Service", "mcp-server", lambda spec: spec["selector"].update(app="server"), "it selects no pod"),
    Mistake("PodDisruptionBudget", "mcp-server", lambda spec: spec["selector"]["matchLabels"].update(app="server"), "no PodDisruptionBudget"),
    Mistake("NetworkPolicy", "kafka-worker", lambda spec: spec["podSelector"]["matchLabels"].update(app="worker"), "it selects no pod"),
    Mistake(*SERVER, lambda spec: container(spec)["readinessProbe"]["httpGet"].update(port="admin"), "which the container has not"),
    Mistake("Service", "mcp-server", lambda spec: spec["ports"][0].update(targetPort="web"), "has no port web"),
    Mistake(*SERVER, lambda spec: spec.update(replicas=3), "a number of replicas"),
    Mistake("HorizontalPodAutoscaler", "mcp-server", lambda spec: spec["scaleTargetRef"].update(name="server"), "what it scales is not there"),
    Mistake("ScaledObject", "kafka-worker", lambda spec: spec["triggers"][0]["metadata"].update(topicFromEnv="TOPIC"), "topicFromEnv is TOPIC"),
    Mistake("ScaledObject", "kafka-worker", lambda spec: spec["triggers"][0]["metadata"].update(lagThresholds="1"), "no lagThresholds"),
    Mistake("ScaledObject", "kafka-worker", lambda spec: spec["triggers"][0]["authenticationRef"].update(name="k"), "no TriggerAuthentication k"),
    Mistake("TriggerAuthentication", "kafka-worker", lambda spec: spec["env"][0].update(name="USER"), "the worker has no USER"),
    Mistake("ServiceMonitor", "kafka-worker", lambda spec: spec["endpoints"][0].update(port="metrics"), "has a port metrics"),
    Mistake(*WORKER, lambda spec: container(spec).update(env=[{"name": "WORKER_CONCURENCY", "value": "1"}]), "no variable WORKER_CONCURENCY"),
    Mistake(*WORKER, lambda spec: container(spec).update(env=[{"name": "WORKER_DRAIN_MS", "value": "60000"}]), "less than the 64 s"),
    Mistake(*SERVER, lambda spec: pod(spec).update(terminationGracePeriodSeconds=30), "less than the 36 s"),
    Mistake(*SERVER, lambda spec: container(spec).pop("lifecycle"), "without a preStop"),
    Mistake(*SERVER, lambda spec: container(spec).update(image="mcp-server:9.9.9"), "the workspace"),
    Mistake(*SERVER, lambda spec: container(spec)["securityContext"].update(privileged=True), "KSV-0017", (trivy,)),
    Mistake("ScaledObject", "kafka-worker", lambda spec: spec.update(maxReplicaCount=20), "maxReplicaCount is 20", (agreement,)),
    Mistake("PrometheusRule", "mcp-hybrid", lambda spec: spec["groups"].pop(), "differs from deploy/prometheus/rules", (agreement,)),
]

# In the text of a file: what is replaced, by what, and what must be found.
IN_COMPOSE = [
    ("stop_grace_period: 40s", "stop_grace: 40s", "stop_grace"),
    ("    mem_limit: 128m\n", "", "no mem_limit"),
    ('ports: ["127.0.0.1:', 'ports: ["', "open to other machines"),
    ("haproxy:3.2-alpine", "haproxy", "has no version"),
    ("{ condition: service_healthy }", "{ condition: service_started }", "it waits for"),
    ("./deploy/compose/haproxy.cfg", "./deploy/compose/nginx.conf", "nginx.conf is not there"),
    ("haproxy.cfg:ro", "haproxy.cfg", "can be written to"),
    ("POSTGRES_DB: mcp", "POSTGRES_PASSWORD: hunter2", "a secret stands in the file"),
    ("    stop_grace_period: 30s\n", "    container_name: worker\n", "it can't be scaled"),
    ("  read_only: true\n  cap_drop: [ALL]", "  cap_drop: [ALL]", "it is not read_only"),
    ("  restart: unless-stopped\n\nx-server-image", "\nx-server-image", "does not come back"),
    ("profiles: [observability]", "profile: observability", "profile"),
]
IN_DOCKERFILE = [
    ("WORKDIR /src", "RUN cd /src", "DL3003"),
    ("FROM ${DEBIAN_IMAGE} AS worker", "FROM debian AS worker", "DL3006"),
    ("rust:1.", "rust:0.", "RUST_IMAGE is not"),
    ("ARG VERSION=", "ARG VERSION=9.", "VERSION is not"),
    ("USER 65532:65532", "USER 0:0", "no USER 65532:65532"),
    ("HEALTHCHECK ", "# HEALTHCHECK ", "no HEALTHCHECK"),
    ("LABEL ", "LABEL x=y ", "no labels"),
    ("g++ ", "gcc ", "builder stages of the Dockerfiles differ"),
]


def missed(sets: dict[str, Set]) -> Iterator[str]:
    for mistake in IN_MANIFESTS:
        if trivy in mistake.checks and not trivy.there():
            continue
        wrong = copy.deepcopy(sets[PROD])
        resource = wrong.get(mistake.kind, mistake.name) or wrong.hashed(mistake.kind, mistake.name)
        if resource is None:
            yield f"{mistake.kind} {mistake.name} is not there to make a mistake in"
            continue
        mistake.edit(resource.get("spec") or resource["data"])
        found = []
        for module in mistake.checks:
            if module is trivy:
                found += trivy.check([wrong])
            elif module is agreement:
                found += agreement.check(sets | {PROD: wrong})
            elif module is schemas:
                found += schemas.check(Set(wrong.name, [resource]))
            else:
                found += module.check(wrong)
        yield from unless_named(mistake.expected, found, f"in {mistake.kind} {mistake.name}")
    with tempfile.TemporaryDirectory() as place:
        for old, new, expected in IN_COMPOSE:
            file = Path(place) / compose.FILE.name
            yield from in_text(compose.FILE, file, old, new, expected, compose.check)
        for old, new, expected in IN_DOCKERFILE:
            server, worker = dockerfiles.FILES
            file = Path(place) / worker.name
            yield from in_text(worker, file, old, new, expected, lambda file: dockerfiles.check([server, file]))


def in_text(right: Path, wrong: Path, old: str, new: str, expected: str, check: Callable[[Path], list[str]]) -> Iterator[str]:
    text = right.read_text()
    if old not in text:
        yield f"{right.name} has no {old!r} to make a mistake of"
        return
    wrong.write_text(text.replace(old, new))
    yield from unless_named(expected, check(wrong), f"in {right.name}")


def unless_named(expected: str, found: list[str], where: str) -> Iterator[str]:
    if not any(expected in finding for finding in found):
        yield f"a mistake {where} was not found: none of {found} names {expected!r}"


def number() -> int:
    return len(IN_MANIFESTS) + len(IN_COMPOSE) + len(IN_DOCKERFILE)
