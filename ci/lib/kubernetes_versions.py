"""What versions of Kubernetes have that others have not: renderer/render/tests/kubernetes_versions.json.

    python3 ci/lib/kubernetes_versions.py >renderer/render/tests/kubernetes_versions.json

The types of each version are read from the `generated.proto` files of its Go modules, which are those of the last release of each
version. A test (renderer/render/tests/kubernetes_types.rs) puts them into the tables that objects are checked against.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ROOT / "renderer/render/src/schema/objects.json"
# The last release of each version, by its minor number; that of 33 is what the tables are made of.
RELEASES = {31: "v0.31.14", 32: "v0.32.13", 33: "v0.33.13", 34: "v0.34.13", 35: "v0.35.10", 36: "v0.36.6", 37: "v0.37.2"}
BASE = 33
MODULES = ["api", "apiextensions-apiserver", "apimachinery", "kube-aggregator"]
# Groups of kinds that came with a version after the base, and are stable.
NEW_GROUPS = ["admissionregistration", "resource", "storage"]
# Of values of any form, proto has the bytes.
ANYTHING = ["apimachinery.pkg.runtime.RawExtension"]
PLAIN = {
    "bool": {"type": "boolean"},
    "bytes": {"type": "string"},
    "double": {"type": "number"},
    "int32": {"format": "int32", "type": "integer"},
    "int64": {"format": "int64", "type": "integer"},
    "string": {"type": "string"},
}


def within(name):
    """`k8s.io.api.core.v1.Container` as the tables name it."""
    return name.lstrip(".").removeprefix("k8s.io.").replace("apiextensions_apiserver", "apiextensions-apiserver").replace("kube_aggregator", "kube-aggregator")


def embedded(folder):
    """The fields without a name of their own in JSON, as `(type, number)`."""
    found = set()
    for file in folder.glob("*types*.go"):
        for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", file.read_text(), re.MULTILINE | re.DOTALL):
            found |= {(name, number) for number in re.findall(r'^\t[\w.*]+\s+`json:"(?:,\w+)*" protobuf:"bytes,(\d+)', body, re.MULTILINE)}
    return found


def messages(folder):
    """The messages of a module: `{ type: { field: proto's words for its type } }`."""
    found = {}
    for file in sorted(folder.rglob("generated.proto")):
        text = re.sub(r"//.*", "", file.read_text())
        package = within(re.search(r"^package ([\w.]+);", text, re.MULTILINE)[1])
        nameless = embedded(file.parent)
        for name, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            fields = re.findall(r"^\s*(optional|repeated|map<string, ?[\w.]+>)\s*([\w.]*?)\s*(\w+) = (\d+);", body, re.MULTILINE)
            found[f"{package}.{name}"] = {
                field: ("embedded" if (name, number) in nameless else label, kind, package) for label, kind, field, number in fields
            }
    return found


def schema(label, kind, package):
    if label.startswith("map"):
        return {"additionalProperties": schema("optional", re.search(r", ?([\w.]+)>", label)[1], package), "type": "object"}
    if kind in PLAIN:
        one = PLAIN[kind]
    else:
        one = {"$ref": within(kind) if "." in kind else f"{package}.{kind}"}
    return {"items": one, "type": "array"} if label == "repeated" else one


def version(release):
    """All messages of a version."""
    wanted = [f"k8s.io/{module}@{release}" for module in MODULES]
    done = subprocess.run(["go", "mod", "download", "-json", *wanted], cwd="/", text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"failed to fetch the types of {release}: {done.stdout}{done.stderr}")
    folders = re.findall(r'"Dir": "([^"]+)"', done.stdout)
    return {name: fields for folder in folders for name, fields in messages(pathlib.Path(folder)).items()}


def is_of_base(schema):
    return schema.get("x-since", BASE) <= BASE <= schema.get("x-until", BASE)


def references(schema):
    return re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema))


def types_of_base():
    """The tables' types, without what was put there of other versions."""
    tables = json.loads(TABLES.read_text())
    found, names = {}, references([kind for kind in tables["kinds"].values() if is_of_base(kind)])
    while names:
        name = names.pop()
        if name in found:
            continue
        known = found[name] = tables["types"][name]
        if "properties" in known:
            known["properties"] = {field: schema for field, schema in known["properties"].items() if is_of_base(schema)}
        names += references(known)
    return found


class Versions:
    def __init__(self):
        self.types = types_of_base()
        self.all = {minor: version(release) for minor, release in RELEASES.items()}

    def fields(self, minor, name):
        """The fields of a type in JSON, where those of an embedded type stand among them."""
        found = {}
        for field, (label, kind, package) in self.all[minor].get(name, {}).items():
            one = schema(label, kind, package)
            found |= self.fields(minor, one["$ref"]) if label == "embedded" else {field: one}
        return found

    def span(self, has):
        """Between which versions something is, less what says nothing."""
        minors = [minor for minor in RELEASES if has(minor)]
        least, most = min(minors), max(minors)
        return ({"since": least} if least > min(RELEASES) else {}) | ({"until": most} if most < max(RELEASES) else {})

    def differences(self):
        changed, wanted = {}, []
        for name in sorted(self.types):
            by_minor = {minor: self.fields(minor, name) for minor in RELEASES}
            for field in sorted({field for fields in by_minor.values() for field in fields}):
                span = self.span(lambda minor, field=field: field in by_minor[minor])
                if not span:
                    continue
                is_known = field in self.types[name].get("properties", {})
                if is_known == (field in by_minor[BASE]):
                    newest = next(fields[field] for fields in reversed(by_minor.values()) if field in fields)
                    changed.setdefault(name, {})[field] = span | ({} if is_known else newest)
                    wanted += [] if is_known else [newest]
        kinds = {}
        for minor, messages in self.all.items():
            for name in sorted(messages):
                group = re.fullmatch(r"api\.(\w+)\.v1\.(\w+)", name)
                if minor > BASE and group and group[1] in NEW_GROUPS and f"{name}List" in messages and name not in self.all[BASE]:
                    suffix = "" if group[1] in ("core", "apps", "batch", "autoscaling", "policy") else ".k8s.io"
                    key = f"{group[1]}{suffix}/v1 {group[2]}"
                    kinds[key] = {"$ref": name} | self.span(lambda minor, name=name: name in self.all[minor])
        wanted += kinds.values()
        return {"changed": changed, "kinds": kinds, "types": self.new_types(wanted)}

    def new_types(self, wanted):
        """The types that are named by what is new, and that the tables have not."""
        made = {}
        names = references(list(wanted))
        while names:
            name = names.pop()
            if name in self.types or name in made:
                continue
            if name in ANYTHING:
                made[name] = {}
                continue
            spans = {}
            for minor in RELEASES:
                for field, one in self.fields(minor, name).items():
                    spans.setdefault(field, (one, []))[1].append(minor)
            # What came and went with the type needs no version of its own.
            having = [minor for minor in RELEASES if name in self.all[minor]]
            properties = {}
            for field, (one, minors) in sorted(spans.items()):
                since, until = min(minors), max(minors)
                properties[field] = one | ({"since": since} if since > min(having) else {}) | ({"until": until} if until < max(having) else {})
            made[name] = {"properties": properties, "type": "object"}
            names += references(properties)
        return dict(sorted(made.items()))


def text():
    """The file: a line for each type."""
    found = Versions().differences()
    for kind in found["kinds"].values():
        found["types"][kind["$ref"]]["properties"] |= {name: PLAIN["string"] for name in ("apiVersion", "kind")}
    parts = []
    for name, part in found.items():
        lines = [f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'), sort_keys=True)}" for key, value in sorted(part.items())]
        parts.append(f'"{name}":{{\n' + ",\n".join(lines) + "\n}")
    return "{" + ",\n".join(parts) + "}\n"


def other_fields(definitions):
    """What is not in the tables as the API server of the newest version has it; `definitions` are those of its OpenAPI."""
    seen = 0
    for name, known in json.loads(TABLES.read_text())["types"].items():
        properties = definitions.get(f"io.k8s.{name}", {}).get("properties")
        if not properties or "properties" not in known:
            continue
        seen += 1
        ours = {field for field, schema in known["properties"].items() if schema.get("x-until", max(RELEASES)) == max(RELEASES)}
        if ours != set(properties):
            yield f"{name} has {sorted(ours - set(properties))} more, and lacks {sorted(set(properties) - ours)}"
    if seen < 300:
        yield f"of the tables' types the API server has {seen}"


if __name__ == "__main__":
    sys.stdout.write(text())
