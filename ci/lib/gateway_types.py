"""The types of a route's rules in the Gateway API, as renderer/render/src/schema/gateway.json has them.

    python3 ci/lib/gateway_types.py FOLDER >renderer/render/src/schema/gateway.json

FOLDER has the definitions: `$GATEWAY_API/standard` where ci/apiserver runs something.
"""

import json
import pathlib
import sys

import yaml

ROUTES = ["grpcroutes", "httproutes"]
# What only readers and the API server need.
LEFT_OUT = ["x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"]
# What our evaluator of rules does not know.
UNKNOWN = ["duration("]


def first_sentence(description):
    words = " ".join(description.split("\n\n")[0].split())
    first, dot, _ = words.partition(". ")
    return f"{first}." if dot and not first.endswith(("e.g", "i.e")) else words


def tidy(schema):
    if isinstance(schema, list):
        return [tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {}
    for name, value in schema.items():
        if name in LEFT_OUT:
            continue
        if name == "description" and isinstance(value, str):
            value = first_sentence(value)
        if name == "x-kubernetes-validations":
            value = [{part: rule[part] for part in ("message", "rule")} for rule in value if not any(word in rule["rule"] for word in UNKNOWN)]
        made[name] = tidy(value)
    return made


def types(folder):
    """The file's text: a line for each kind of route."""
    lines = []
    for route in ROUTES:
        definition = yaml.safe_load(pathlib.Path(folder, f"gateway.networking.k8s.io_{route}.yaml").read_text())
        version = next(version for version in definition["spec"]["versions"] if version["name"] == "v1")
        rules = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["rules"]
        # Of no rules: there are `paths`, or everything goes to the workload.
        rules = {name: value for name, value in rules.items() if name not in ("default", "minItems")}
        lines.append(f'"{definition["spec"]["names"]["kind"]}":{json.dumps(tidy(rules), separators=(",", ":"), ensure_ascii=False)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(types(sys.argv[1]))
