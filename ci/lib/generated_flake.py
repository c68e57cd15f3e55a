"""Flakes of generated workloads, as a team with many services would write them, and a signed binary cache of what they run.

The same number gives the same bytes, and workload n is the same in every flake that has it: one cache serves all sizes.
"""

import base64
import hashlib
import pathlib
import random
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARIES = 30
GIT = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z", "GIT_CONFIG_GLOBAL": "/dev/null"}

FLAKE = """{
  inputs.niphas.url = "git+file://%(niphas)s";

  outputs =
    { self, niphas }:
    let
      systems = [ "x86_64-linux" ];
      packages = system: import ./packages { inherit system; };
    in
    {
      closures = (packages "x86_64-linux").closures;

      niphasConfigurations.production = niphas.lib.mkEnvironment {
        inherit systems;
        namespace = "shop";
        pkgsFor = packages;
        workloads = import ./workloads;
        defaults = {
          env.TZ = "UTC";
          resources.requests = { cpu = "10m"; memory = "32Mi"; };
        };
      };
    };
}
"""

# The same environment as modules, with nixpkgs' lib from a folder of the flake.
MODULES = """{
  inputs.niphas.url = "git+file://%(niphas)s";

  outputs =
    { self, niphas }:
    let
      packages = system: import ./packages { inherit system; };
    in
    {
      closures = (packages "x86_64-linux").closures;

      niphasConfigurations.production = niphas.lib.evalEnvironment {
        lib = import ./nixpkgs-lib;
        modules = [
          {
            systems = [ "x86_64-linux" ];
            namespace = "shop";
            pkgsFor = packages;
            workloads = import ./workloads;
            defaults = {
              env.TZ = "UTC";
              resources.requests = { cpu = "10m"; memory = "32Mi"; };
            };
          }
        ];
      };
    };
}
"""

PACKAGES = """{ system }:
let
  build = name: dependencies: derivation {
    inherit name system dependencies;
    builder = "/bin/sh";
    args = [ "-c" "echo ${name} > $out" ];
    NIX_LDFLAGS = toString (map (dependency: "-L${dependency}/lib -rpath ${dependency}/lib") dependencies);
  };

  libraries = builtins.listToAttrs (
    builtins.genList (index: {
      name = "library-${toString index}";
      value = build "library-${toString index}-1.0" (
        map (back: libraries."library-${toString (index - back)}") (
          builtins.filter (back: index - back >= 0) [ 1 2 5 ]
        )
      );
    }) %(libraries)s
  );

  services = builtins.mapAttrs (
    name: _:
    let
      service = import (./services + "/${name}");
    in
    build "${service.name}-${service.version}" (map (library: libraries.${library}) service.libraries)
    // {
      meta.mainProgram = service.name;
    }
  ) (builtins.readDir ./services);

  byName = builtins.listToAttrs (
    map (file: {
      name = builtins.head (builtins.split "\\\\." file);
      value = services.${file};
    }) (builtins.attrNames services)
  );
in
byName
// {
  # What the bench makes a cache of.
  closures = builtins.mapAttrs (_: package: {
    path = package.outPath;
    references = map (dependency: dependency.outPath) package.dependencies;
  }) (libraries // byName);
}
"""

WORKLOADS = """builtins.listToAttrs (
  map (file: {
    name = builtins.head (builtins.split "\\\\." file);
    value = import (./. + "/${file}");
  }) (builtins.filter (file: file != "default.nix") (builtins.attrNames (builtins.readDir ./.)))
)
"""

WORKLOAD = """{ pkgs, namespace, ... }:
{
  package = pkgs.%(name)s;
  replicas = %(replicas)s;
  args = [ "serve" "--listen=:%(port)s" ];
  ports.http = %(port)s;
  env = {
    LOG_LEVEL = "%(level)s";
    PUBLIC_URL = "https://%(name)s.${namespace}.example.org";
  };
  probes.readiness.httpGet = { path = "/ready"; port = "http"; };
  resources.limits.memory = "%(memory)sMi";
  service = { };
}
"""


def git(folder, *arguments):
    environment = {**GIT, "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, "-C", folder, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)


def commit(folder, message="generated"):
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def library(folder):
    """The flake that has nixlib, in a repository of its own."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "flake.nix", folder)
    shutil.copytree(ROOT / "nixlib", folder / "nixlib")
    commit(folder)
    return folder


def flake(folder, niphas, count, lib=None):
    """A flake with this many workloads; it still needs its lock file. With nixpkgs' lib it is written as modules."""
    for part in ("packages/services", "workloads"):
        (folder / part).mkdir(parents=True)
    (folder / "flake.nix").write_text((MODULES if lib else FLAKE) % {"niphas": niphas})
    if lib:
        shutil.copytree(lib, folder / "nixpkgs-lib", ignore=shutil.ignore_patterns("tests"))
    (folder / "packages/default.nix").write_text(PACKAGES % {"libraries": LIBRARIES})
    # Modules are paths: they name their files in messages, and are only read where they are needed.
    (folder / "workloads/default.nix").write_text(WORKLOADS.replace("import (", "(") if lib else WORKLOADS)
    for index in range(count):
        write_workload(folder, index)
    return folder


def write_workload(folder, index, revision=0):
    chance = random.Random(f"{index} {revision}")
    name = f"service-{index:04}"
    libraries = sorted(chance.sample(range(LIBRARIES), 5))
    names = " ".join(f'"library-{number}"' for number in libraries)
    service = f'{{\n  name = "{name}";\n  version = "1.{index % 7}.0";\n  libraries = [ {names} ];\n}}\n'
    (folder / f"packages/services/{name}.nix").write_text(service)
    values = {
        "name": name,
        "replicas": chance.randint(1, 5),
        "port": chance.randint(3000, 9000),
        "level": chance.choice(["debug", "info", "warn"]),
        "memory": chance.choice([64, 128, 256, 512]),
    }
    (folder / f"workloads/{name}.nix").write_text(WORKLOAD % values)


class Cache:
    """A binary cache with a narinfo for each path, signed by a key of its own. There are no NARs: rendering reads none."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "nix-cache-info").write_text("StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n")
        self.secret = folder.parent / "key.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.secret], check=True)
        public = subprocess.run(["openssl", "pkey", "-in", self.secret, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.key = f"bench-1:{base64.b64encode(public[-32:]).decode()}"

    def add(self, closures):
        message = self.folder.parent / "message"
        for closure in closures.values():
            path, references = closure["path"], sorted(set(closure["references"]))
            base = path.rsplit("/", 1)[1]
            info = self.folder / f"{base[:32]}.narinfo"
            if info.exists():
                continue
            size = 1000 + int(hashlib.sha256(base.encode()).hexdigest()[:5], 16)
            nar_hash = f"sha256:{_base32(hashlib.sha256(base.encode()).digest())}"
            message.write_text(f"1;{path};{nar_hash};{size};{','.join(references)}")
            command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.secret, "-in", message]
            signature = base64.b64encode(subprocess.run(command, check=True, capture_output=True).stdout).decode()
            names = " ".join(reference.rsplit("/", 1)[1] for reference in references)
            lines = {
                "StorePath": path,
                "URL": f"nar/{base[:32]}.nar.zst",
                "Compression": "zstd",
                "FileHash": nar_hash,
                "FileSize": size // 3,
                "NarHash": nar_hash,
                "NarSize": size,
                "References": names,
                "Sig": f"bench-1:{signature}",
            }
            info.write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))


def _base32(digest):
    """Nix's own base 32."""
    number = int.from_bytes(digest, "little")
    return "".join("0123456789abcdfghijklmnpqrsvwxyz"[number >> 5 * place & 31] for place in reversed(range(52)))
