"""Objects that are no workloads: what is committed of them, and what is refused."""

import pathlib
import shutil

from cases import Case

WEB = "web = { };"


def given(name, objects, *said, **more):
    return Case(name, WEB, list(said), environment=f"objects = {objects};", **more)


def files(name, manifests, *said, **more):
    """YAML files by name."""
    return Case(name, WEB, list(said), environment="manifests = [ ./manifests ];", manifests=manifests, **more)


SOPS = "apiVersion: v1\nkind: Secret\nmetadata:\n    name: db\nstringData:\n    password: ENC[AES256_GCM,data:x]\nsops:\n    mac: ENC[y]\n"

CASES = [
    given(
        "objects in Nix",
        '{ ConfigMap.settings.data.a = "1"; Namespace.shop = { }; ClusterRole.reader.rules = [ ]; Thing.x = { apiVersion = "a.io/v1"; spec.b = null; }; }',
        code=0,
        files={
            "objects/ConfigMap-settings.yaml": ["apiVersion: v1\n", "namespace: shop", "niphas.io/environment: shop", 'a: "1"'],
            "objects/Namespace-shop.yaml": ["name: shop", "!namespace:"],
            "objects/ClusterRole-reader.yaml": ["apiVersion: rbac.authorization.k8s.io/v1", "!namespace:"],
            "objects/Thing-x.yaml": ["apiVersion: a.io/v1", "namespace: shop", "!b:"],
        },
    ),
    files(
        "objects in YAML",
        {"a/quota.yaml": "# first\nkind: ResourceQuota\napiVersion: v1\nmetadata: {name: q}\n---\nkind: List\nitems:\n- {kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}}\n"},
        code=0,
        files={"objects/ResourceQuota-q.yaml": ["namespace: shop"], "objects/Role-r.yaml": ["namespace: shop"]},
    ),
    files("what SOPS encrypted stays as it is", {"db.yaml": SOPS}, code=0, files={"objects/Secret-db.yaml": [SOPS]}),
    given("a secret in clear text", '[ { kind = "Secret"; metadata.name = "db"; stringData.password = "x"; } ]', "objects[0]: the Secret \"db\" would be committed in clear text", "hint: encrypt it with SOPS"),
    given("an object without a version", "{ Thing.x = { }; }", "objects.Thing.x: the object has no apiVersion", "hint: write apiVersion", "flake.nix:"),
    given("an object twice", '[ { kind = "ConfigMap"; metadata.name = "a"; } { kind = "ConfigMap"; metadata.name = "a"; } ]', "objects[1]: there are two objects ConfigMap \"a\""),
    given("a store path in an object", '{ ConfigMap.a.data.x = "${./packages.nix}"; }', "objects.ConfigMap.a: ConfigMap \"a\" names the store path /nix/store/", "only workloads have closures"),
    given(
        "an unknown field of a pod template",
        '{ Job.a.spec.template.spec.contaners = [ ]; }',
        "objects.Job.a.spec.template.spec.contaners: unknown attribute",
        "did you mean 'containers'?",
    ),
    given("a wrong type in an object", "{ ConfigMap.a.data.x = 1; }", "objects.ConfigMap.a.data.x: expected a string, found the integer 1", "flake.nix:", 'hint: write it as a string: "1"'),
    files(
        "an unknown field of an object in YAML",
        {"x.yaml": "kind: Service\napiVersion: v1\nmetadata: {name: a}\nspec: {prots: [{port: 80}]}\n"},
        "Service.a.spec.prots: unknown attribute",
        "at manifests/x.yaml",
        "did you mean 'ports'?",
    ),
    files(
        "a custom resource that its definition does not allow",
        {
            "crd.yaml": "kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nmetadata: {name: things.a.io}\n"
            "spec:\n  group: a.io\n  scope: Namespaced\n  names: {kind: Thing, plural: things}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n"
            "    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n          spec:\n            type: object\n            required: [size]\n"
            "            properties: {size: {type: integer}}\n",
            "thing.yaml": "kind: Thing\napiVersion: a.io/v1\nmetadata: {name: x}\nspec: {sise: 1}\n",
        },
        "Thing.x.spec.sise: unknown attribute",
        "did you mean 'size'?",
        "Thing.x.spec: attribute 'size' is missing",
    ),
    given("a wrong type of objects", "5", "objects: expected a list of objects, or a set by kind and name"),
    files("YAML that cannot be read", {"x.yaml": "kind: [\n"}, "\"manifests/x.yaml\" cannot be read as YAML"),
    files("an object in YAML without a name", {"x.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: {}\n"}, "an object ConfigMap cannot have the name", "at manifests/x.yaml"),
    files("an encrypted object among others", {"x.yaml": SOPS + "---\nkind: A\n"}, "has an encrypted object among others", "a file of its own"),
    Case("a workload named objects", "objects = { };", ["the folder of this name has the environment's other objects"], environment="objects.Namespace.shop = { };"),
]


def write(case, folder):
    """The manifests of a case."""
    manifests = pathlib.Path(folder, "manifests")
    shutil.rmtree(manifests, ignore_errors=True)
    for name, text in case.manifests.items():
        (manifests / name).parent.mkdir(parents=True, exist_ok=True)
        (manifests / name).write_text(text)
