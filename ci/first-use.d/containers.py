"""Several programs in one pod, and further roots."""

from cases import Case, refused

TWO = "ports.http = 80; containers.exporter = { package = pkgs.hello; ports.metrics = 9090; };"


def of_web(attributes):
    return "web = { pkgs, ... }: { %s };" % attributes


def wrong(name, attributes, *said):
    return Case(name, of_web(attributes), ["workloads.web", *said])


CASES = [
    Case(
        "programs in one pod have their packages at stable paths",
        of_web(
            "containers.exporter = { package = pkgs.hello; args = [ \"serve\" \"9090\" ]; ports.metrics = 9090; env.A = \"1\"; }; "
            "initContainers.migrate = { package = pkgs.hello; args = [ \"migrate\" ]; order = -1; }; "
            "initContainers.envoy = { package = pkgs.hello-site; restartPolicy = \"Always\"; probes.readiness.httpGet = { path = \"/\"; port = 80; }; };"
        ),
        code=0,
        options=("--expand",),
        files={
            "Deployment-web.yaml": [
                "- /nix/roots/exporter/bin/hello", "- /nix/roots/migrate/bin/hello", "- /nix/roots/envoy/bin/hello",
                "restartPolicy: Always", "containerPort: 9090", "drop:\n", " exporter=", " migrate=", " envoy=",
            ]
        },
    ),
    Case(
        "a workload says which roots have names",
        of_web("roots.site = pkgs.hello-site; env.SITE = \"${pkgs.hello-site}/index.html\";"),
        code=0,
        files={"NiphasWorkload-web.yaml": ["value: /nix/roots/site/index.html", "names:\n      site: /nix/store/"]},
    ),
    Case(
        "a service has the ports of others that it gives a number",
        of_web(f"{TWO} service.ports.metrics = 9091;"),
        code=0,
        options=("--expand",),
        files={"Service-web.yaml": ["port: 9091", "targetPort: metrics"]},
    ),
    Case(
        "a service leaves out the ports of others",
        of_web(f"{TWO} service = {{ }};"),
        code=0,
        options=("--expand",),
        files={"Service-web.yaml": ["targetPort: http", "!metrics"]},
    ),
    wrong("a container without a package", "containers.exporter = { args = [ ]; };", "containers.exporter", "set 'package'"),
    wrong("an unknown attribute of a container", "containers.x = { package = pkgs.hello; arg = [ ]; };", "containers.x.arg: unknown attribute", "did you mean 'args'?"),
    wrong("a container named main", "containers.main = { package = pkgs.hello; };", "main is the workload's own"),
    wrong("a name that is none", "containers.Exporter = { package = pkgs.hello; };", "at most 31 lower-case letters"),
    wrong("an order of a container", "containers.x = { package = pkgs.hello; order = 1; };", "restartPolicy and order are for initContainers"),
    wrong(
        "one name twice",
        "containers.x = { package = pkgs.hello; }; initContainers.x = { package = pkgs.hello; };",
        "a container and an init container have the same name",
    ),
    wrong("one name for a container and a root", "containers.x = { package = pkgs.hello; }; roots.x = pkgs.hello-site;", "two roots have the name x"),
    wrong("a root that is no store path", "roots.x = \"/etc\";", "roots.x", "is not a store path of /nix/store"),
    wrong("a name of a root that is none", "roots.CA = pkgs.hello-site;", "\"CA\" is no name of a root"),
    wrong("a number of a container as a text", "containers.x = { package = pkgs.hello; ports.http = \"80\"; };", "containers.x.ports.http", "write it without quotes"),
    wrong(
        "a probe of an init container that ends",
        "initContainers.x = { package = pkgs.hello; probes.liveness.tcpSocket.port = 80; };",
        'the init container "x" ends before a livenessProbe could count',
    ),
    refused("too many named roots", " ".join(f"roots.r{number} = \"/nix/store/{'a' * 32}-{number:0200}\";" for number in range(20)), "volume attributes", "CSI leaves"),
]
