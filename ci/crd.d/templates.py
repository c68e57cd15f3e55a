"""What the API server and `niphas render` say of the pod templates of ./pod_templates.py, and of ./workload_attributes.py."""

import json
import os
import pathlib
import shutil
import subprocess

import pod_templates
import workload_attributes
from rendered import NIPHAS, ROOT

NAMESPACE = "everything"
FLAKE = """{
  outputs =
    { self }:
    {
      niphasConfigurations = builtins.mapAttrs (
        _: workloads:
        (import ./nixlib).mkEnvironment {
          systems = [ "x86_64-linux" "aarch64-linux" ];
          pkgsFor = import ./packages.nix;
          namespace = "%s";
          workloads = builtins.mapAttrs (
            _: attributes: { pkgs, ... }: attributes // { package = pkgs.hello; }
          ) workloads;
        }
      ) (builtins.fromJSON (builtins.readFile ./cases.json));
    };
}
""" % NAMESPACE


def environments(folder, cases):
    """A flake with an environment for each case: its workloads by name."""
    folder.mkdir()
    shutil.copytree(ROOT / "nixlib", folder / "nixlib")
    hello = ROOT / "examples/hello"
    shutil.copy(hello / "packages.nix", folder)
    for name in ("program", "site"):
        shutil.copytree(hello / name, folder / name)
    (folder / "flake.nix").write_text(FLAKE)
    (folder / "cases.json").write_text(json.dumps(cases))
    return folder


def command(flake, case, to, *options):
    hello = ROOT / "examples/hello"
    cache = ("--cache", f"file://{hello}/cache", "--key-file", hello / "cache-demo-key.public")
    return [NIPHAS, "render", f"path:{flake}#{case}", "--to", to, "--init", "--expand", *cache, *options]


def refusal(flake, case, to):
    """What niphas says against a case; None if it takes it."""
    done = subprocess.run(command(flake, case, to, "--dry-run"), text=True, capture_output=True, check=False)
    return None if done.returncode == 0 else done.stderr


def create_valid(flake, folder):
    """Makes the Deployment that the cases change."""
    subprocess.run(command(flake, "valid", folder / "valid", "--author", "CI <ci@example.org>"), check=True, capture_output=True)
    subprocess.run(["git", "clone", "--quiet", folder / "valid", folder / "valid-files"], check=True)
    file = folder / "valid-files/deploy/valid/web/Deployment-web.yaml"
    subprocess.run(["kubectl", "apply", "--server-side", "--filename", file], check=True, capture_output=True)


def compare(api, folder):
    """The cases that the two do not agree on, with what each says; and how many the server refuses."""
    cases = {"valid": {}, **pod_templates.CASES}
    # Without what is added for availability: a patch of the server would merge a list of a case with it.
    plain = {"ports": {"http": 8080}, "highAvailability": False}
    cases = {case: {"web": {**plain, "podTemplate": template}} for case, template in cases.items()}
    flake = environments(folder / "templates", cases)
    create_valid(flake, folder)
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/web?dryRun=All&fieldValidation=Strict"
    differ, refused = [], 0
    for case, template in pod_templates.CASES.items():
        code, answer = api.call("PATCH", path, {"spec": {"template": template}}, kind="application/strategic-merge-patch+json")
        server = None if code == 200 else answer["message"]
        ours = refusal(flake, case, folder / "none")
        refused += server is not None
        # The server must take what niphas alone refuses, or the reason for it is gone.
        wanted = (None, True) if case in pod_templates.STRICTER else (server, server is not None)
        if (server, ours is not None) != wanted:
            differ.append(f"{case}: the server {server or 'takes it'}; niphas {ours or 'takes it'}")
    return differ, refused


def taken(folder):
    """Renders all workloads that niphas takes; gives the folder of their objects, and how many it refuses."""
    cases = workload_attributes.CASES
    flake = environments(folder / "attributes", {f"case-{number}": {name: cases[name]} for number, name in enumerate(cases)})
    fine = [number for number in range(len(cases)) if refusal(flake, f"case-{number}", folder / "none") is None]
    names = {name: attributes for number, (name, attributes) in enumerate(cases.items()) if number in fine}
    flake = environments(folder / "taken", {"taken": names})
    subprocess.run(command(flake, "taken", folder / "taken.git", "--author", "CI <ci@example.org>"), check=True, capture_output=True)
    subprocess.run(["git", "clone", "--quiet", folder / "taken.git", folder / "taken-files"], check=True)
    return folder / "taken-files/deploy", len(cases) - len(fine)
