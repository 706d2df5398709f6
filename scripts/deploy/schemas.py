"""Every field is one that the API has, in the API's own schemas."""

import json
from pathlib import Path

import jsonschema
import kubernetes_validate

from manifests import Set, named

# The oldest version that is still supported, and the newest that the schemas' package has.
VERSIONS = ["1.34", "1.37"]
# Their groups' resources are checked by the definitions in the folder.
CUSTOM = Path(__file__).parent / "schemas"


def check(resources: Set) -> list[str]:
    return [f"{named(resource)}: {what}" for resource in resources.resources for what in mistakes(resource)]


def mistakes(resource: dict) -> list[str]:
    group, _, version = resource["apiVersion"].rpartition("/")
    custom = CUSTOM / f"{group}_{version}_{resource['kind']}.json"
    if custom.exists():
        validator = jsonschema.Draft202012Validator(json.loads(custom.read_text()))
        return [f"{at(error)}: {error.message}" for error in validator.iter_errors(resource)]
    found = []
    for release in VERSIONS:
        try:
            kubernetes_validate.validate(resource, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"Kubernetes {release}: {at(error)}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError:
            found.append(f"Kubernetes {release} has no {resource['apiVersion']} {resource['kind']}")
    return found


def at(error) -> str:
    return ".".join(str(part) for part in error.path) or "the resource"
