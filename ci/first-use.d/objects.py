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

# A field that came with 1.34.
LATER = '{ Deployment.a.spec = { selector = { }; template.spec = { containers = [ { name = "a"; } ]; hostnameOverride = "a"; }; }; }'
DEFINITION = (
    "kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nmetadata: {name: things.a.io}\n"
    "spec:\n  group: a.io\n  scope: Namespaced\n  names: {kind: Thing, plural: things}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n"
    "    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n          spec:\n            type: object\n            required: [size]\n"
    "            properties: {size: {type: integer}}\n"
)

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
            "crd.yaml": DEFINITION,
            "thing.yaml": "kind: Thing\napiVersion: a.io/v1\nmetadata: {name: x}\nspec: {sise: 1}\n",
        },
        "Thing.x.spec.sise: unknown attribute",
        "did you mean 'size'?",
        "Thing.x.spec: attribute 'size' is missing",
    ),
    given("a field of a later version", LATER, "objects.Deployment.a.spec.template.spec.hostnameOverride: Kubernetes 1.33 has none: the first with it is 1.34", 'write kubernetes.version = "1.34"', "flake.nix:"),
    Case(
        "a field that the version has",
        WEB,
        environment=f'kubernetes.version = "1.34"; objects = {LATER};',
        code=0,
        files={"objects/Deployment-a.yaml": ["hostnameOverride: a"]},
    ),
    Case(
        "a field that the version does not have any more",
        WEB,
        ["Kubernetes 1.36 has none: the last with it is 1.35", "take it away"],
        environment='kubernetes.version = "1.36"; objects.Pod.a.spec = { containers = [ { name = "a"; } ]; workloadRef = { }; };',
    ),
    Case(
        "a field of a pod that the version does not have yet",
        'web.podTemplate.spec.resources.limits.cpu = "1";',
        ["workloads.web.podTemplate.spec.resources: Kubernetes 1.31 has none: the first with it is 1.32", "workloads.nix:2:"],
        environment='kubernetes.version = "1.31";',
    ),
    given("a kind of a later version", "{ ResourceClaim.a.spec.devices.requests = [ ]; }", "objects.ResourceClaim.a: ResourceClaim: Kubernetes 1.33 has none: the first with it is 1.34"),
    Case(
        "a kind of a later version, with a mistake",
        WEB,
        ["objects.ResourceClaim.a.spec.devices.reqests: unknown attribute", "did you mean 'requests'?"],
        environment='kubernetes.version = "1.34"; objects.ResourceClaim.a.spec.devices.reqests = [ ];',
    ),
    Case("a version that there is not", WEB, ['kubernetes.version: the string "1.3": expected one of 1.31, 1.32', "flake.nix:"], environment='kubernetes.version = "1.3";'),
    Case("an unknown attribute of kubernetes", WEB, ["kubernetes.verson: unknown attribute", "did you mean 'version'?", "flake.nix:"], environment='kubernetes.verson = "1.33";'),
    Case(
        "a custom resource whose definition is the cluster's",
        WEB,
        ["objects.Thing.x.spec.sise: unknown attribute", "did you mean 'size'?", "objects.Thing.x.spec: attribute 'size' is missing"],
        environment='kubernetes.definitions = [ ./manifests ]; objects.Thing.x = { apiVersion = "a.io/v1"; spec.sise = 1; };',
        manifests={"crd.yaml": DEFINITION},
    ),
    Case(
        "definitions of the cluster's are not committed",
        WEB,
        environment='kubernetes.definitions = [ ./manifests ]; objects.Thing.x = { apiVersion = "a.io/v1"; spec.size = 1; };',
        manifests={"crd.yaml": DEFINITION},
        code=0,
        files={"objects/Thing-x.yaml": ["size: 1", "namespace: shop", "!SkipDryRun"]},
        absent=["CustomResourceDefinition-things.a.io.yaml"],
    ),
    Case(
        "definitions that are none",
        WEB,
        ["kubernetes.definitions: there is no CustomResourceDefinition in these files", "at manifests/x.yaml"],
        environment="kubernetes.definitions = [ ./manifests ];",
        manifests={"x.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n"},
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
