"""Mistakes in modules: what is wrong, and which file, place and words must be said of it."""

import dataclasses


@dataclasses.dataclass
class Mistake:
    name: str
    # The file ./mistake.nix, a module of the environment beside ./base.nix. `@` stands right before the place that must be said.
    module: str
    # Texts that must be said.
    said: tuple
    # A second file, ./other.nix, that the module may import.
    other: str = ""
    # What says how to mend it, where no word of REMEDIES does.
    remedy: str = ""
    # The file that must be named where no place is.
    file: str = "mistake.nix"


# Each message has one of these: it says what to write instead.
REMEDIES = ("hint: ", "expected ", "Did you mean", "Use lib.", "Use `lib.", "write ", "move `", "leave ", "is not of type", "no value defined", "does not exist", "Git knows it")


def web(name, attributes, *said):
    """One workload `web` with these attributes."""
    return Mistake(name, "{ lib, ... }: {\n  workloads.web = { pkgs, ... }: {\n    package = pkgs.hello;\n    %s\n  };\n}\n" % attributes, said)


DID_YOU_MEAN = "hint: did you mean"

MISTAKES = [
    web("an unknown attribute", "@replica = 2;", "workloads.web.replica: unknown attribute", f"{DID_YOU_MEAN} 'replicas'?"),
    web("a text for a number", '@replicas = "2";', 'workloads.web.replicas: expected an integer, found the string "2"', "write it without quotes"),
    web("a number for a text", "@env.PORT = 8080;", "workloads.web.env.PORT", 'hint: write it as a string: "8080"'),
    web("a wrong value in mkDefault", "@replicas = lib.mkDefault (-1);", "workloads.web.replicas: the integer -1: expected 0 or more"),
    web("a wrong value in mkForce", '@kind = lib.mkForce "Deploymnt";', "workloads.web.kind: the string \"Deploymnt\": expected one of", f"{DID_YOU_MEAN} 'Deployment'?"),
    web("a wrong value below mkIf", "resources = lib.mkIf true { @limits.memory = \"128MB\"; };", "workloads.web.resources.limits.memory: the string \"128MB\": expected a quantity like 500m or 64Mi"),
    web("a wrong value in mkMerge", "env = lib.mkMerge [ { A = \"1\"; } { @B = true; } ];", "workloads.web.env.B"),
    web("a wrong name of a port", '@ports."HTTP" = 80;', "workloads.web.ports.HTTP", "names of ports"),
    web("a probe of an unknown port", 'ports.http = 80; @probes.readiness.httpGet = { path = "/"; port = "htp"; };', 'workloads.web.probes.readiness: the probe names the port "htp", which is not among the ports', f"{DID_YOU_MEAN} 'http'?"),
    web("an unknown field of a pod template", "@podTemplate.spec.tolerration = [ ];", "podTemplate.spec.tolerration: unknown attribute", f"{DID_YOU_MEAN} 'tolerations'?"),
    web("the one that counts", "replicas = lib.mkDefault \"x\";\n    imports = [ { @replicas = \"3\"; } ];", 'workloads.web.replicas: expected an integer, found the string "3"'),
    Mistake("in the defaults", "{ defaults = { @replica = 2; }; workloads.web = { pkgs, ... }: { package = pkgs.hello; }; }", ("replica: unknown attribute",)),
    Mistake(
        "in a group's defaults",
        "{ groups.back.defaults = {\n  @replcas = 2; };\n  groups.back.workloads.web = { pkgs, ... }: { package = pkgs.hello; }; }",
        ("workloads.web.replcas: unknown attribute", f"{DID_YOU_MEAN} 'replicas'?"),
    ),
    Mistake(
        "in another file",
        "{ workloads.web = { pkgs, ... }: { imports = [ ./other.nix ]; package = pkgs.hello; }; }",
        ("workloads.web.replica: unknown attribute",),
        other="{\n  @replica = 2;\n}\n",
    ),
    Mistake("the namespace", '{ @namespace = "Shop_1"; workloads.web = { pkgs, ... }: { package = pkgs.hello; }; }', ("Shop_1",)),
    Mistake("the systems", "{ lib, ... }: { @systems = lib.mkForce [ \"x86-linux\" ]; workloads = { }; }", ("expected a system of Linux", f"{DID_YOU_MEAN}")),
    Mistake("the name of a workload", "{ @workloads.Web = { pkgs, ... }: { package = pkgs.hello; }; }", ("Web", "lower-case")),
    Mistake("no package", "{ @workloads.web = { }; }", ("workloads.web", "set 'package'")),
    Mistake(
        "two values",
        "{ workloads.web = { pkgs, ... }: { package = pkgs.hello; imports = [ { replicas = 2; } { replicas = 3; } ]; }; }",
        ("`replicas` has values that differ: at ", "mistake.nix:1:", "Use lib.mkForce"),
    ),
    Mistake("an unknown option of an environment", "{ workload.web = { }; }", ("`workload'", "does not exist", "workloads")),
    Mistake(
        "an attribute beside config",
        "{ workloads.web = { pkgs, ... }: { config.package = pkgs.hello; replicas = 2; }; }",
        ("has `config` or `options`, so nothing may stand beside them: move `replicas` into `config`",),
    ),
    Mistake(
        "a wrong type of an option of a class",
        '{ workloads.web = { pkgs, ... }: { imports = [ ./class.nix ]; package = pkgs.hello; http = { host = "a.example"; port = "8080"; }; }; }',
        ("http.port", "16 bit unsigned integer", "mistake.nix"),
    ),
    Mistake(
        "an option of a class without a value",
        "{ workloads.web = { pkgs, ... }: { imports = [ ./class.nix ]; package = pkgs.hello; }; }",
        ("http.host", "no value defined"),
        file="class.nix",
    ),
    Mistake("what is no module", "{ workloads.web = 5; }", ("`workloads.web'", "is not of type `module'", "mistake.nix")),
    # Modules themselves.
    web("a module of another class", 'imports = [ { @_class = "nixos"; replicas = 2; } ];', "is of the class nixos", "import one of that class"),
    web("a module that is taken away", "imports = [ { @disabledModules = [ ./base.nix ]; } ];", "has `disabledModules`", "leave the other module out of `imports`"),
    web("a module that is not there", "@imports = [ ./missing.nix ];", "there is no module", "flake/missing.nix, which is imported at", "a new file is seen once Git knows it"),
    web("imports that are no list", '@imports = "./other.nix";', "is a string: write a list of modules"),
    web("a condition that is none", '@replicas = lib.mkIf "yes" 3;', "`lib.mkIf` at", "is given a string: write a Boolean"),
    web("mkMerge of a set", '@env = lib.mkMerge { A = "1"; };', "`lib.mkMerge` at", "is given a set: write a list of definitions"),
    Mistake(
        "an argument that there is not",
        "{ workloads.web = @{ pkgz, ... }: { package = pkgz.hello; }; }",
        ("without required argument 'pkgz'",),
        remedy="pkgz",
    ),
    Mistake("a function to a list", "{ @workloads.web = { pkgs, ... }: [ ]; }", ("workloads.web: expected a set, or a function that returns one, found an empty list",)),
    Mistake("workloads that are a list", "{ workloads = [ ]; }", ("`workloads'", "is not of type `attribute set of module'", "mistake.nix")),
    Mistake("a group with an unknown attribute", "{ groups.back.workload.web = { }; }", ("`groups.back.workload'", "does not exist", "mistake.nix", "Did you mean `groups.back.workloads'")),
    web("an unknown option of a class", 'imports = [ ./class.nix ]; http = { host = "a"; prot = 1; };', "`http.prot' does not exist", "mistake.nix", "Did you mean `http.port'"),
    Mistake(
        "two files that differ",
        '{ imports = [ ./other.nix ]; workloads.web = { pkgs, ... }: { package = pkgs.hello; @env.A = "1"; }; }',
        ("`env.A` has values that differ: at ", "other.nix:1:3", "Use lib.mkForce"),
        other='{ workloads.web.env.A = "2"; }',
    ),
    Mistake(
        "two groups that differ",
        "{ groups.a.workloads.web = { pkgs, ... }: { package = pkgs.hello; @replicas = 1; };\n  groups.b.workloads.web = { replicas = 2; }; }",
        ("`replicas` has values that differ: at ", "mistake.nix:2:30", "Use lib.mkForce"),
    ),
    web("a list and a text", '@args = [ "a" ]; imports = [ { args = "b"; } ];', "`args` has values that differ: at ", "Use lib.mkForce"),
    # What stands beside workloads.
    Mistake("an object with a wrong type", "{ @objects.ConfigMap.a.data.x = 1; }", ("objects.ConfigMap.a.data.x: expected a string, found the integer 1", 'hint: write it as a string: "1"')),
    Mistake("an object below mkIf", '{ lib, ... }: {\n  objects = lib.mkIf true { ConfigMap.a = { @dota.x = "1"; }; }; }', ("objects.ConfigMap.a.dota: unknown attribute", f"{DID_YOU_MEAN} 'data'?")),
    Mistake("a secret in clear text", '{ @objects.Secret.a.stringData.x = "1"; }', ('the Secret "a" would be committed in clear text', "hint: encrypt it with SOPS")),
    Mistake(
        "one object in two files",
        '{ imports = [ ./other.nix ]; @objects.ConfigMap.a.data.x = "1"; }',
        ("`objects.ConfigMap.a.data.x` has values that differ: at ", "other.nix:1:3", "Use lib.mkForce"),
        other='{ objects.ConfigMap.a.data.x = "2"; }',
    ),
    Mistake("manifests that are no list", '{ manifests = "x"; }', ("`manifests'", "is not of type `list of absolute path'", "mistake.nix")),
    Mistake("manifests that are not there", "{ @manifests = [ ./nosuch ]; }", ("there is no ", "flake/nosuch, which `manifests` at ", "a new file is seen once Git knows it")),
    Mistake("two namespaces", '{ imports = [ ./other.nix ]; namespace = "a"; }', ("`namespace'", "mistake.nix", "other.nix", "lib.mkForce"), other='{ namespace = "b"; }'),
    # Programs.
    Mistake("a package that is not there", "{ workloads.web = { pkgs, ... }: { package = @pkgs.helo; }; }", ("attribute 'helo' missing", "Did you mean hello?")),
    web("an unknown attribute of a container", "containers.x = { package = pkgs.hello; @arg = [ ]; };", "containers.x.arg: unknown attribute", f"{DID_YOU_MEAN} 'args'?"),
    web("a container without a package", "@containers.x = { };", "containers.x: no package", "hint: set 'package'"),
    web("a root that is no store path", '@roots.x = "/etc";', "workloads.web.roots.x", "is not a store path of /nix/store", "hint: expected a derivation"),
    web("a command with its options in one text", '@command = "api --port 80";', 'the program\'s name is "api --port 80"', "hint: write a list"),
    web("an element of a list in mkForce", "@args = lib.mkForce [ 1 ];", "workloads.web.args[0]: expected a string, found the integer 1", 'hint: write it as a string: "1"'),
    web("variables in a circle", '@env = { A = "$(B)"; B = "$(A)"; };', "workloads.web.env: the environment variables A, B refer to each other", "hint: write what one of them"),
    web("what differs between systems", "@env.X = pkgs.hello.system;", "workloads.web.env.X.value: differs between systems", "hint: one pod template serves all systems"),
    # Files and storage.
    web("a file with a relative path", '@files."etc/x" = "x";', 'workloads.web.files."etc/x": paths of files are absolute', 'hint: write it like "/etc/app/config.toml"'),
    web("a file that is a path", '@files."/etc/x" = ./base.nix;', "not what lies there", "hint: write builtins.readFile"),
    web("a file's mode as a number", 'files."/x" = { text = "x"; @mode = 644; };', 'files."/x".mode: expected a string', 'hint: write it as a string: "644"'),
    web("a claim that is mounted nowhere", '@volumeClaims.data = { storage = "1Gi"; };', "volumeClaims.data: attribute 'mountPath' is missing", "hint: write its mountPath"),
    web("a mount of no volume", 'podTemplate.spec.containers = [ { name = "main"; volumeMounts = [ { @name = "tpm"; mountPath = "/a"; } ]; } ];', 'no volume is named "tpm"', f"{DID_YOU_MEAN} 'tmp'?"),
    web("an element of a list below mkIf", 'podTemplate.spec.tolerations = [ (lib.mkIf true { @opertor = "Exists"; }) ];', "tolerations[0].opertor: unknown attribute", f"{DID_YOU_MEAN} 'operator'?"),
    # The network.
    web("a service of a port that is none", "ports.http = 80; @service.ports.web = 81;", 'the service names the port "web"', "hint: the ports are http"),
    web("a service without ports", "@service = { };", "a service needs ports, and there are none", "hint: write them as ports.<name>"),
    web("an ingress without a service", 'ports.http = 80; @ingress.hosts."a.example" = { };', "workloads.web.ingress: an ingress needs a service", "hint: write service = { }, too"),
    web("two ports with one number", "ports = { @http = 80; web = 80; };", "workloads.web.ports.http: two ports have the same number and protocol: 80", "hint: give one of the two another number"),
    web("a default with an unknown attribute", "ports.http = 80; service = lib.mkDefault { @prots = { }; };", "workloads.web.service.prots: unknown attribute", f"{DID_YOU_MEAN} 'ports'?"),
    web("a rule with an unknown attribute", "networkPolicy.ingress = [ { @form = [ ]; } ];", "networkPolicy.ingress[0].form: unknown attribute", f"{DID_YOU_MEAN} 'from'?"),
    web("a route without a gateway", 'ports.http = 80; service = { }; @httpRoute = { hostnames = [ "a" ]; };', "workloads.web.httpRoute: attribute 'parentRefs' is missing", "hint: write its parentRefs"),
    # How it runs.
    web("a minute that never comes", 'kind = "CronJob"; @cronJob.schedule = "61 * * * *";', '"61" is no minute', "hint: write 0 to 59"),
    web("a time zone that there is not", 'kind = "CronJob"; cronJob = { schedule = "30 3 * * *"; @timeZone = "Europe/Berln"; };', 'there is no time zone "Europe/Berln"', f"{DID_YOU_MEAN} 'Europe/Berlin'?"),
    web("replicas of a CronJob", 'kind = "CronJob"; cronJob.schedule = "30 3 * * *"; @replicas = 2;', "replicas are for the kinds Deployment and StatefulSet", "hint: take it away, or write another kind"),
    web("a request above its limit", 'resources = { @requests.memory = "2Gi"; limits.memory = "1Gi"; };', "the request for memory, 2Gi, is above its limit, 1Gi", "hint: write a request of at most 1Gi"),
    web("memory in bytes", "@resources.limits.memory = lib.mkForce 128;", "memory is 128, which is counted in bytes", "hint: write a unit, like 128Mi"),
    web("a strategy of another type", '@strategy = { type = "Recreate"; maxSurge = 1; };', "are for the type RollingUpdate", 'hint: take them away, or write type = "RollingUpdate"'),
    web("a budget with both numbers", "@disruptionBudget = { minAvailable = 1; maxUnavailable = 1; };", "expected either minAvailable or maxUnavailable", "hint: write one of the two"),
    web("percent of nothing", "autoscaling = { maxReplicas = 3; @cpu = 80; };", "requests no cpu", "hint: write resources.requests.cpu"),
    web("a text for a Boolean", '@highAvailability = "no";', 'workloads.web.highAvailability: expected a Boolean, found the string "no"'),
    web("a namespace in capitals", '@namespace = "Tools";', 'workloads.web.namespace: the string "Tools": expected lower-case letters'),
    web("a label that is a number", "@labels.team = 1;", "workloads.web.labels.team: expected a string", 'hint: write it as a string: "1"'),
    web("a role without verbs", 'serviceAccount = { mountToken = true; }; @role.rules = [ { resources = [ "pods" ]; } ];', "workloads.web.role.rules[0]: attribute 'verbs' is missing", "hint: write its verbs"),
    web("two handlers of one probe", 'ports.http = 80; @probes.liveness = { httpGet.port = "http"; exec.command = [ "x" ]; };', "livenessProbe does exec and httpGet at once", "hint: write one of exec"),
]
