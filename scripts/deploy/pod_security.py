"""The Pod Security Standard `restricted` (kubernetes.io/docs/concepts/security/pod-security-standards), and our own rules beside it."""

from collections.abc import Iterator

from manifests import Set

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
}
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def check(resources: Set) -> list[str]:
    found = []
    for name, template in resources.pods():
        pod = template["spec"]
        found += [f"{name}: {what}" for what in [*restricted(pod), *ours(pod)]]
    return found


def containers(pod: dict) -> list[dict]:
    return [*pod.get("initContainers", []), *pod["containers"], *pod.get("ephemeralContainers", [])]


def restricted(pod: dict) -> Iterator[str]:
    whole = pod.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{field} is set"
    for volume in pod.get("volumes", []):
        if kinds := set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']} is a {kinds.pop()}"
    for sysctl in whole.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']} is not a safe one"
    for container in containers(pod):
        own = container.get("securityContext", {})
        name = container["name"]
        effective = whole | own
        if own.get("privileged"):
            yield f"{name} is privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation is not false"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield f"{name}: capabilities are not all dropped"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name}: capabilities are added"
        if effective.get("runAsNonRoot") is not True:
            yield f"{name}: runAsNonRoot is not true"
        if effective.get("runAsUser") == 0:
            yield f"{name}: runAsUser is 0"
        if effective.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: seccompProfile is neither RuntimeDefault nor Localhost"
        if effective.get("appArmorProfile", {}).get("type", "RuntimeDefault") == "Unconfined":
            yield f"{name}: appArmorProfile is Unconfined"
        selinux = effective.get("seLinuxOptions", {})
        if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
            yield f"{name}: seLinuxOptions are not the default's"
        if own.get("procMount", "Default") != "Default":
            yield f"{name}: procMount is not Default"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name}: a hostPort is taken"
        if any("host" in action for action in http_actions(container)):
            yield f"{name}: a probe or hook names a host"


def http_actions(container: dict) -> Iterator[dict]:
    """Where kubelet is sent by probes and hooks."""
    hooks = container.get("lifecycle", {}).values()
    probes = (container.get(f"{kind}Probe", {}) for kind in ("startup", "readiness", "liveness"))
    for handler in [*hooks, *probes]:
        for kind in ("httpGet", "tcpSocket"):
            if kind in handler:
                yield handler[kind]


def ours(pod: dict) -> Iterator[str]:
    if pod.get("automountServiceAccountToken") is not False:
        yield "a token of the service account is mounted"
    for container in containers(pod):
        name = container["name"]
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{name}: readOnlyRootFilesystem is not true"
        if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            yield f"{name}: terminationMessagePolicy does not take the last line of the log"
        for bound in ("requests", "limits"):
            if missing := {"cpu", "memory"} - set(container.get("resources", {}).get(bound, {})):
                yield f"{name}: no {bound} of {' and '.join(sorted(missing))}"
        for kind in ("startup", "readiness", "liveness"):
            if f"{kind}Probe" not in container:
                yield f"{name}: no {kind}Probe"
        if container["image"].rpartition(":")[2] in (container["image"], "latest"):
            yield f"{name}: the image has no version"
