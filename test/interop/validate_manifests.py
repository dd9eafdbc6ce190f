"""Validates Kubernetes manifests, strictly, against the schemas that the package kubernetes-validate brings.

    python validate_manifests.py VERSION FILE...

Prints JSON: for each resource its file, kind and name, and the error or null.
"""

import json
import sys
from pathlib import Path

import kubernetes_validate
import yaml


def error_of(resource: dict, version: str) -> str | None:
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    return None


def main(version: str, *files: str) -> None:
    print(
        json.dumps(
            [
                {
                    "file": Path(file).name,
                    "kind": resource["kind"],
                    "name": resource["metadata"]["name"],
                    "error": error_of(resource, version),
                }
                for file in files
                for resource in yaml.safe_load_all(Path(file).read_text())
            ]
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
