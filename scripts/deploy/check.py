"""Checks what ships: Dockerfiles, docker-compose.yml, k8s/. And the checks themselves, with mistakes that they must find.

python check.py                 everything
python check.py --write-rules   writes the PrometheusRule anew from deploy/prometheus/rules
"""

import sys

import agreement
import compose
import dockerfiles
import manifests
import mistakes
import pod_security
import references
import schemas
import trivy


def main() -> int:
    if sys.argv[1:] == ["--write-rules"]:
        agreement.write_rules()
        return 0
    if sys.argv[1:]:
        print(__doc__)
        return 2
    plain = manifests.plain()
    sets = {path: manifests.built(path) for path in manifests.KUSTOMIZATIONS}
    applied = [plain, *sets.values()]
    found = [*dockerfiles.check(), *compose.check(), *agreement.check(sets), *trivy.check(applied)]
    for resources in applied:
        for module in (schemas, pod_security, references):
            found += [f"{resources.name}: {what}" for what in module.check(resources)]
    if not found:
        found += mistakes.missed(sets)
    for what in found:
        print(what, file=sys.stderr)
    if not trivy.there():
        print("    SKIPPED: Trivy, of which there is no package for this machine")
    number = sum(len(resources.resources) for resources in applied)
    print(f"    {number} resources, 2 Dockerfiles, docker-compose.yml: {len(found)} mistakes; {mistakes.number()} made on purpose")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
