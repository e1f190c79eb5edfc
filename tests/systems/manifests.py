"""Kubernetes manifests against the schema of Kubernetes, as its official client has it."""

from __future__ import annotations

import re
from typing import Any

from kubernetes import client

KINDS = {
    "Namespace": "V1Namespace", "ServiceAccount": "V1ServiceAccount", "Secret": "V1Secret", "Service": "V1Service",
    "ClusterRole": "V1ClusterRole", "ClusterRoleBinding": "V1ClusterRoleBinding", "Deployment": "V1Deployment",
    "PersistentVolumeClaim": "V1PersistentVolumeClaim", "NetworkPolicy": "V1NetworkPolicy",
}  # fmt: skip


def misfits(value: Any, kind: str, where: str) -> list[str]:
    """What in a document is not in the schema of Kubernetes, as its official client has it."""
    if (listed := re.fullmatch(r"(?:list|List)\[(.+)\]", kind)) is not None:
        if not isinstance(value, list):
            return [f"{where} must be a list"]
        return [one for i, item in enumerate(value) for one in misfits(item, listed[1], f"{where}[{i}]")]
    if (named := re.fullmatch(r"(?:dict|Dict)[\[(]str, (.+)[\])]", kind)) is not None:
        if not isinstance(value, dict):
            return [f"{where} must be a mapping"]
        return [one for key, item in value.items() for one in misfits(item, named[1], f"{where}.{key}")]
    if not hasattr(client, kind):
        plain = {"str": str, "int": int, "bool": bool, "object": object}.get(kind, (str, int))
        return [] if isinstance(value, plain) else [f"{where} must be of type {kind}, and is {value!r}"]
    model: Any = getattr(client, kind)
    names = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
    found = [f"{where}.{key} is unknown" for key in value if key not in names]
    for key, item in value.items():
        if key in names:
            found += misfits(item, names[key], f"{where}.{key}")
    return found
