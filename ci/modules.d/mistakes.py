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
    ),
    Mistake("what is no module", "{ workloads.web = 5; }", ("`workloads.web'", "is not of type `module'", "mistake.nix")),
]
