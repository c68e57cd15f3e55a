"""The commands `niphas flake …` beside those of `nix flake`: what is printed, or why it is refused, must be the same."""

import json
import re

from nix_output import final_error

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Where the peer's store is on this machine, and a place that ours gives on a line of its own.
_STORE = re.compile(r"/\S*/store-peer(?=/nix/store/)")
_PLACE = re.compile(r", at /\S+:\d+:\d+$")

PACKAGE = 'd = args: derivation ({ system = "x86_64-linux"; builder = "/bin/sh"; } // args); s = "x86_64-linux";'

# Names, and the outputs of a flake.
OUTPUTS = {
    "nothing": "",
    "packages": """
        packages.${s} = { default = d { name = "web-1.0"; }; other = d { name = "o"; outputs = [ "out" "dev" ]; }; };
        packages.aarch64-linux.default = d { name = "web-1.0"; system = "aarch64-linux"; };
        packages.aarch64-darwin = { };
        checks.${s}.test = d { name = "test"; };
        checks.i686-linux = { };
        devShells.${s}.default = d { name = "shell"; };
        formatter.${s} = d { name = "fmt"; };
    """,
    "descriptions": """
        packages.${s} = let p = name: description: { type = "derivation"; inherit name; meta = { inherit description; }; }; in {
          a = p "a" "short"; b = p "b" ""; c = p "c" "two\\nlines"; d = { type = "derivation"; name = "d"; };
        };
        apps.${s}.default = { type = "app"; program = "/bin/x"; meta.description = "it runs"; };
        templates.default = { path = ./.; description = "to start from"; };
    """,
    "old": """
        defaultPackage.${s} = d { name = "p"; };
        defaultApp.${s} = { type = "app"; program = "/bin/x"; };
        defaultTemplate = { path = ./.; description = "t"; };
        devShell.${s} = d { name = "shell"; };
        overlay = final: prev: { };
        nixosModule = { ... }: { };
    """,
    "nixos": """
        nixosConfigurations.host.config.system.build.toplevel = d { name = "nixos"; };
        nixosModules.a = { ... }: { };
        overlays.default = final: prev: { };
        hydraJobs = { a.b = d { name = "job"; }; none = { }; };
    """,
    "legacy": """
        legacyPackages.${s} = { a = d { name = "a"; }; };
        legacyPackages.aarch64-linux.b = d { name = "b"; };
    """,
    "unknown": "lib.x = 1; mystery = { }; templates = { }; overlays = { }; homeModules.a = 1;",
    "throws": 'packages.${s} = { a = throw "no"; };',
    "no-derivation": "devShells.${s}.a = 1;",
    "no-set": "packages = 1;",
    "no-set-of-system": "packages.${s} = 1;",
    "no-system": "packages.weird.a = d { name = \"a\"; };",
    "no-formatter": "formatter.${s} = 1;",
    "no-app": "apps.${s}.a = { };",
    "no-program": 'apps.${s}.a = { type = "app"; };',
    "app-attribute": 'apps.${s}.a = { type = "app"; program = "/x"; zap = 1; };',
    "no-overlay": "overlays.a = 1;",
    "overlay-argument": "overlays.a = x: y: 1;",
    "overlay-set": "overlays.a = { final, ... }: y: 1;",
    "no-toplevel": "nixosConfigurations.a = { };",
    "toplevel": "nixosConfigurations.a.config.system.build.toplevel = 1;",
    "module-throws": 'nixosModules.a = throw "module";',
    "no-template": "templates.a = { };",
    "template-text": "templates.a = { path = ./.; description = 1; };",
    "template-path": 'templates.a = { path = ./none; description = "x"; };',
    "template-attribute": 'templates.a = { path = ./.; description = "x"; foo = 1; };',
    "no-jobs": "hydraJobs = 1;",
    "a-job": 'hydraJobs = d { name = "job"; };',
    "no-job": "hydraJobs.a = 1;",
    "no-bundler": "bundlers.${s}.a = 1;",
    "lib-throws": 'lib = throw "lib";',
    "nameless": 'checks.${s}.a = { type = "derivation"; };',
}
# Those that `show` shows where Nix gives up, for what else is in the flake can be of use.
NOT_SHOWN = {"no-derivation", "no-set", "no-set-of-system", "no-formatter", "no-app", "no-template", "template-text", "no-jobs", "no-job", "nameless"}


def flake(outputs):
    return f"{{ outputs = {{ self }}: let {PACKAGE} in {{ {outputs} }}; }}\n"


def commands(name):
    """The arguments of the commands that are compared."""
    if name not in NOT_SHOWN:
        for options in ([], ["--all-systems"], ["--legacy"], ["--legacy", "--all-systems"]):
            yield ["show", *options]
            yield ["show", "--json", *options]
    yield ["metadata"]
    yield ["metadata", "--json"]
    yield ["check", "--no-build"]
    yield ["check", "--no-build", "--all-systems"]


def outcome(command, code, stdout, stderr):
    """What is compared of a run."""
    if code != 0:
        error = _PLACE.sub("", _STORE.sub("", final_error(stderr) or stderr))
        return f"exit code {code}: {error}"
    if command[0] == "check":
        return "checked"
    text = _ANSI.sub("", stdout)
    if "--json" not in command:
        # Of a work tree with changes only Nix has a fingerprint.
        dirty = re.search(r"^Revision: .*-dirty$", text, re.MULTILINE)
        return re.sub(r"^Fingerprint: .*\n", "", text, flags=re.MULTILINE) if dirty else text
    value = json.loads(text)
    if "dirtyRevision" in value:
        value.pop("fingerprint", None)
    return json.dumps(value, indent=2, sort_keys=True)
