"""Makes a JSON schema of a CustomResourceDefinition: python crd_schema.py CRD.yaml… writes schemas/GROUP_VERSION_KIND.json.

Descriptions go. What the definition does not name is not allowed, whereas the API server would drop it without a word: a
misspelt field is a mistake here.
"""

import json
import sys
from pathlib import Path

import yaml

SCHEMAS = Path(__file__).parent / "schemas"
# Of what OpenAPI 3.0 has, what JSON Schema means the same by.
KEPT = {
    "type", "required", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
    "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "multipleOf",
}


def converted(schema: dict) -> dict:
    """`schema`, of OpenAPI as Kubernetes extends it, as JSON Schema of draft 2020-12."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    result = {key: value for key, value in schema.items() if key in KEPT}
    if "properties" in schema:
        result["properties"] = {name: converted(part) for name, part in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = converted(schema["additionalProperties"])
    if "items" in schema:
        result["items"] = converted(schema["items"])
    for several in ("allOf", "anyOf", "oneOf"):
        # Parts of a choice name only what they are about.
        if several in schema:
            result[several] = [{key: part[key] for key in part if key in KEPT} for part in schema[several]]
    if schema.get("nullable") and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]
    return result


def whole(schema: dict) -> dict:
    """A resource: metadata is the API server's own, and status is not written by people."""
    result = converted(schema)
    result["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "required": ["name"]},
    }
    result["properties"].pop("status", None)
    return result


def main() -> None:
    SCHEMAS.mkdir(exist_ok=True)
    for path in sys.argv[1:]:
        for definition in yaml.safe_load_all(Path(path).read_text()):
            spec = definition["spec"]
            for version in spec["versions"]:
                if not version["served"]:
                    continue
                name = f"{spec['group']}_{version['name']}_{spec['names']['kind']}.json"
                schema = whole(version["schema"]["openAPIV3Schema"])
                (SCHEMAS / name).write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")
                print(name)


if __name__ == "__main__":
    main()
