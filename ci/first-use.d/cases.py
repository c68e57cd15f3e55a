"""The cases of ci/first-use. Each has workloads as a user would write them, and what must come of them."""

import dataclasses


@dataclasses.dataclass
class Case:
    name: str
    # Nix: the attributes of the set of workloads.
    workloads: str
    # Texts that must be said.
    said: list = dataclasses.field(default_factory=list)
    # Texts that must not be said.
    unsaid: list = dataclasses.field(default_factory=list)
    code: int = 1
    # Nix: attributes of `defaults` beside the package.
    defaults: str = ""
    options: tuple = ()
    # Nix: further attributes of the environment, which has the namespace shop then; and files in ./manifests.
    environment: str = ""
    manifests: dict = dataclasses.field(default_factory=dict)
    # The end of a committed file's path, and texts that must be in it; with '!' before them: must not be.
    files: dict = dataclasses.field(default_factory=dict)
    # The ends of files' paths that must not be committed.
    absent: list = dataclasses.field(default_factory=list)


def refused(name, workload, *said):
    """One workload `web` with these attributes is refused, with its place and these words."""
    return Case(name, f"web = {{ {workload} }};", ["workloads.web", *said])


def pod(name, spec, *said):
    """The same for attributes of podTemplate.spec."""
    return refused(name, f"podTemplate.spec = {{ {spec} }};", *said)


def main(name, container, *said):
    """The same for attributes of the main container."""
    return pod(name, f'containers = [ {{ name = "main"; {container} }} ];', *said)


SERVICE = "ports.http = 80; service = { };"
MISSING = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-data"

CASES = [
    Case("a small workload is rendered", "web = { };", code=0, files={"NiphasWorkload-web.yaml": ["replicas: 1"]}),
    # The end of a pod that serves.
    Case(
        "a preStop of the user's is the only one",
        f'web = {{ {SERVICE} podTemplate.spec.containers = [ {{ name = "main"; lifecycle.preStop.exec.command = [ "/nix/root/bin/hello" ]; }} ]; }};',
        code=0,
        options=("--expand",),
        files={"Deployment-web.yaml": ["preStop:", "exec:", "!sleep:"]},
    ),
    Case(
        "a short grace period shortens the pause before the end",
        f"web = {{ {SERVICE} podTemplate.spec.terminationGracePeriodSeconds = 2; }};",
        code=0,
        options=("--expand",),
        files={"Deployment-web.yaml": ["seconds: 1\n", "terminationGracePeriodSeconds: 2"]},
    ),
    refused(
        "a pause that is longer than the grace period",
        "podTemplate.spec = { terminationGracePeriodSeconds = 3; "
        'containers = [ { name = "main"; lifecycle.preStop.sleep.seconds = 5; } ]; };',
        "preStop sleeps for 5 seconds, and the pod has 3 to end",
        "hint: write 1 to 3 seconds, or a longer terminationGracePeriodSeconds",
    ),
    main(
        "two handlers at once",
        'lifecycle.preStop = { sleep.seconds = 1; exec.command = [ "x" ]; };',
        "podTemplate.spec.containers[0].lifecycle.preStop: preStop does exec and sleep at once",
    ),
    # Lists.
    main("a variable twice", 'env = [ { name = "A"; value = "1"; } { name = "A"; value = "2"; } ];', 'env[1]: two elements have name "A": 0 and 1'),
    main("a port twice", 'ports = [ { containerPort = 1; } { containerPort = 1; protocol = "TCP"; } ];', "ports[1]: two elements have containerPort 1"),
    main(
        "a mount twice",
        'volumeMounts = [ { name = "tmp"; mountPath = "/x"; } { name = "tmp"; mountPath = "/x"; } ];',
        'volumeMounts[1]: two elements have mountPath "/x": 0 and 1',
    ),
    pod("a volume twice", 'volumes = [ { name = "a"; emptyDir = { }; } { name = "a"; emptyDir = { }; } ];', 'volumes[1]: two elements have name "a"'),
    pod(
        "a container twice",
        'containers = [ { name = "a"; image = "x"; } { name = "a"; image = "y"; } ];',
        'containers[1]: two elements have name "a": 0 and 1',
        "hint: make one element of the two",
    ),
    # The pod template.
    pod("an unknown field with an empty list", "tolerration = [ ];", "podTemplate.spec.tolerration: unknown attribute", "did you mean 'tolerations'?"),
    pod("an unknown field with an empty set", "affinty = { };", "podTemplate.spec.affinty: unknown attribute", "did you mean 'affinity'?"),
    pod("a wrong type in the template", 'hostNetwork = "yes";', 'podTemplate.spec.hostNetwork: expected a Boolean, found the string "yes"'),
    pod(
        "a container without an image",
        'containers = [ { name = "mian"; args = [ "x" ]; } ];',
        """podTemplate.spec.containers[0]: the container "mian" has no image""",
        "did you mean 'main'",
    ),
    main(
        "a mount without a volume",
        'volumeMounts = [ { name = "tpm"; mountPath = "/x"; } ];',
        'volumeMounts[0].name: no volume is named "tpm"',
        "did you mean 'tmp'?",
    ),
    pod(
        "a volume that is two",
        'volumes = [ { name = "closure"; emptyDir = { }; } ];',
        'volumes[0]: the volume "closure" is csi and emptyDir at once',
        "niphas has volumes named closure, files and tmp",
    ),
    refused(
        "the label that selects the pods",
        'podTemplate.metadata.labels."niphas.io/workload" = "other";',
        'the label niphas.io/workload is "web": the workload finds its pods by it',
    ),
    main("a privileged container", "securityContext.privileged = true;", "allowPrivilegeEscalation = true, too"),
    pod("root and runAsNonRoot", "securityContext.runAsUser = 0;", 'the container "main" runs as root, and runAsNonRoot is true'),
    pod("a Deployment that is not restarted", 'restartPolicy = "Never";', '"Never" is no restartPolicy that Kubernetes knows here', "write 'Always'"),
    Case(
        "nodes of the user's choice are of the systems, too",
        'web.podTemplate.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms = [ { matchExpressions = '
        '[ { key = "disk"; operator = "In"; values = [ "ssd" ]; } ]; } ];',
        code=0,
        options=("--expand",),
        files={"Deployment-web.yaml": ["key: disk", "key: kubernetes.io/arch", "key: kubernetes.io/os"]},
    ),
    # Between workloads, and files.
    Case(
        "two workloads with one Service",
        f'db = {{ kind = "StatefulSet"; }}; db-pods = {{ {SERVICE} }};',
        ["""workloads.db-pods: the Service "db-pods" is the workload "db"'s, too""", "give one of the two workloads another name"],
    ),
    refused("a file below a file", 'files = { "/a" = "x"; "/a/b" = "y"; };', "/a/b is below /a, which is a file"),
    # Time.
    refused("a minute that never comes", 'kind = "CronJob"; cronJob.schedule = "61 * * * *";', 'cronJob.schedule: "61" is no minute'),
    refused("a day that never comes", 'kind = "CronJob"; cronJob.schedule = "0 0 31 2 *";', 'the schedule "0 0 31 2 *" never comes'),
    refused(
        "a time zone that is none",
        'kind = "CronJob"; cronJob = { schedule = "@daily"; timeZone = "Europe/Berln"; };',
        'cronJob.timeZone: there is no time zone "Europe/Berln"',
        "did you mean 'Europe/Berlin'?",
    ),
    # Resources.
    refused(
        "a request above its limit",
        'resources = { requests.memory = "2Gi"; limits.memory = "1Gi"; };',
        "resources.requests.memory: the request for memory, 2Gi, is above its limit, 1Gi",
    ),
    refused("bytes by accident", "resources.requests.memory = 128;", "memory is 128, which is counted in bytes", "like 128Mi"),
    refused("thousandths of bytes", 'resources.limits.memory = "512m";', "512m of memory is less than whole bytes", "write 512Mi or 512M"),
    refused(
        "a percentage of nothing",
        "autoscaling = { maxReplicas = 3; cpu = 80; };",
        'autoscaling.cpu: the container "main" requests no cpu',
        "hint: write resources.requests.cpu",
    ),
    Case(
        "all mistakes at once, in order",
        "api = { resources.requests.memory = 128; }; "
        'web = { kind = "CronJob"; cronJob.schedule = "61 * * * *"; podTemplate.spec.tolerration = [ ]; };',
        ["workloads.api.resources.requests.memory", "workloads.web.cronJob.schedule", "workloads.web.podTemplate.spec.tolerration"],
    ),
    # Store paths that Nix does not know of.
    Case(
        "a store path without its context",
        'web.args = [ (builtins.unsafeDiscardStringContext "${builtins.toFile "data" "x"}/y") ];',
        ["workloads.web.args[0]: names /nix/store/", "-data, which is not in its closure for ", "hint: write the derivation itself into the text"],
    ),
    refused("a store path out of a clipboard", f'files."/etc/x" = "data = {MISSING}/x";', f"names {MISSING}, which is not in its closure"),
    Case(
        "a store path of the closure",
        'web = { pkgs, ... }: { args = [ "${pkgs.hello}/x" (builtins.unsafeDiscardStringContext "${pkgs.hello}/y") "/nix/store" ]; };',
        code=0,
    ),
    # Values in the server's form.
    Case(
        "values are written as the API server gives them back",
        'web = { resources = { requests = { cpu = "1000m"; memory = "1024Mi"; }; limits.memory = "1.5Gi"; }; '
        'probes.liveness = { timeoutSeconds = 0; exec.command = [ "x" ]; }; };',
        code=0,
        options=("--expand",),
        files={"Deployment-web.yaml": ['cpu: "1"', "memory: 1Gi", "memory: 1536Mi", "!timeoutSeconds"]},
    ),
    # Defaults, and replicas.
    Case(
        "defaults are for the kinds that have them",
        'web = { }; agent.kind = "DaemonSet"; nightly = { kind = "CronJob"; cronJob.schedule = "@daily"; };',
        defaults="replicas = 3; disruptionBudget.minAvailable = 1; strategy.maxSurge = 1;",
        code=0,
        files={
            "NiphasWorkload-web.yaml": ["replicas: 3", "disruptionBudget:"],
            "NiphasWorkload-agent.yaml": ["!replicas", "!disruptionBudget"],
            "NiphasWorkload-nightly.yaml": ["!replicas", "!disruptionBudget", "!strategy"],
        },
    ),
    Case("replicas of a DaemonSet's own", 'agent = { kind = "DaemonSet"; replicas = 3; };', ["workloads.agent.replicas: replicas are for the kinds"]),
    Case(
        "an autoscaler decides on the replicas",
        'web = { resources.requests.cpu = "1"; autoscaling = { minReplicas = 3; maxReplicas = 5; cpu = 80; }; };',
        code=0,
        files={"NiphasWorkload-web.yaml": ["minReplicas: 3", "!\n  replicas:"]},
    ),
]
