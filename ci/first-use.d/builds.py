"""Stories of ci/first-use: builds, what goes wrong with them, and what is kept of them. They need root or user namespaces, and a
static busybox."""

import json
import os
import pathlib
import signal
import subprocess
import time

from roots import niphas
from stories import NIPHAS, check

PACKAGES = r"""
let
  shell = name: script: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
  } // more);
in rec {
  base = shell "base" "echo building base; echo base > $out" { };
  app = shell "app" "echo ${base} > $out; echo dev > $dev" { outputs = [ "out" "dev" ]; };
  broken = shell "broken" "for n in 1 2 3 4 5 6 7 8 9; do echo line $n of a log; done; exit 3" { };
  on-broken = shell "on-broken" "cat ${broken} > $out" { };
  foreign = base // derivation { name = "foreign"; system = "riscv64-linux"; builder = "/bin/sh"; };
  changing = shell "changing" "cat /proc/sys/kernel/random/uuid > $out" { };
  endless = shell "endless" "echo begun; while :; do :; done" { };
  wrong-hash = shell "wrong-hash" "echo x > $out" {
    outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "0000000000000000000000000000000000000000000000000000";
  };
}
"""


def prepare(team):
    (team.mono / "packages.nix").write_text(PACKAGES)
    return ("--store", team.home / "build", "--file", "packages.nix")


def mistakes_of_building(team):
    store = prepare(team)
    build = ("build", *store, "--no-link")
    niphas(team, *build, "bse", code=1, said=["attribute 'bse' in selection path 'bse' not found", "Did you mean base?"])
    niphas(team, *build, "app^doc", code=1, said=["does not have output 'doc'"])
    niphas(team, *build, "base", "--sandbox-shell", "/proc/self/exe", "--memory", "much", code=2, said=["such as 500MiB or 2GiB"])
    niphas(team, *build, "base", "--sandbox-shell", "packages.nix", code=1, said=["linked statically", "busybox-static"])
    niphas(team, *build, "base", "--sandbox-shell", "none", code=1, said=["failed to read the shell 'none'"])
    niphas(team, *build, "base", "--max-jobs", "many", code=2, said=["expected a number, or auto"])
    niphas(team, *build, "base", "--network-policy", "deny all", code=2, said=["expected `any`, `loopback`"])
    niphas(team, *build, "base", "--sign-key", "k", code=2, said=["--push <URL>"])
    niphas(team, *build, "base", "--push", "file:///nowhere", "--sign-key", "k", code=1, said=["failed to read 'k'"])
    niphas(team, "build", "--store", "daemon", "./x.drv", code=2, said=["stores of Nix are not written to"])
    niphas(team, "build", *store[:2], "./x.drv", code=1, said=["failed to read derivation './x.drv'"])
    path = "/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-nowhere"
    niphas(team, "build", *store[:2], path, code=1, said=[f"don't know how to build these paths:\n  {path}", "--cache URL"])
    niphas(team, "build", *store[:2], ".#x", code=1, said=["flake.nix"])
    (team.mono / "result").write_text("mine")
    said = ["cannot create symlink 'result': it already exists", "--no-link"]
    niphas(team, "build", *store, "base", code=1, said=said, unsaid=["building"])
    check((team.mono / "result").read_text() == "mine", "a file was replaced by a link")
    niphas(team, "log", *store, "base", code=1, said=["build log of '/nix/store/", "is not available", "--cache URL"])


def builds_that_fail(team):
    store = prepare(team)
    build = ("build", *store, "--no-link")
    said = ["Reason: builder failed with exit code 3.", "> line 9 of a log", "niphas log /nix/store/", "Reason: 1 dependency failed."]
    niphas(team, *build, "on-broken", code=100, said=said)
    log = niphas(team, "log", *store, "broken")
    check(log.splitlines() == [f"line {n} of a log" for n in range(1, 10)], f"another log: {log}")
    niphas(team, *build, "broken", "-L", code=100, said=["broken> line 9 of a log"], unsaid=["Last 9 log lines", "niphas log"])
    niphas(team, *build, "foreign", code=100, said=["Required system: 'riscv64-linux'", "binfmt_misc"])
    niphas(team, *build, "wrong-hash", code=102, said=["hash mismatch in fixed-output derivation", "specified:", "got:"])
    niphas(team, *build, "endless", "--timeout", "1", code=101, said=["timed out after 1 seconds"])
    niphas(team, *build, "changing")
    niphas(team, *build, "changing", "--check", code=104, said=["may not be deterministic"])
    niphas(team, *build, "app", "--check", code=1, said=["are not valid, so checking is not possible"])
    said = ["broken.drv", "building '", "base.drv'..."]
    niphas(team, *build, "broken", "base", "-k", code=100, said=said)


def what_is_built_is_kept_and_pushed(team):
    store = prepare(team)
    dry = niphas(team, "build", *store, "app", "--dry-run", "--json", said=["these 2 derivations will be built:"])
    outputs = json.loads(dry)[0]["outputs"]
    paths = niphas(team, "build", *store, "app", "--print-out-paths").split()
    check(paths == [outputs["dev"]["path"], outputs["out"]["path"]], f"other paths: {paths}")
    check((team.mono / "result-dev").read_text() == "dev\n", "no link to the output dev")
    base = (team.mono / "result").read_text().strip()
    export = (team.mono / "result").resolve().parent
    check((export / pathlib.Path(base).name).read_text() == "base\n", "the export lacks what the output refers to")
    built = json.loads(niphas(team, "build", *store, "app^out", "--json", "--no-link", unsaid=["building"]))
    check(list(built[0]["outputs"]) == ["out"] and built[0]["outputs"]["out"]["references"] == [base], f"{built}")

    # Links keep what they lead to, until they are gone.
    niphas(team, "store", "gc", *store[:2], said=["0 paths, freed", "3 stay because of roots"])
    niphas(team, "store", "du", *store[:2], said=[f"out-link {team.mono}/result: files of 2 paths"])
    for name in ("result", "result-dev"):
        (team.mono / name).unlink()
    niphas(team, "store", "gc", *store[:2], said=["3 paths, freed"])
    check(not list((team.home / "build/results").iterdir()), "exports are left")

    (team.mono / "a.public").write_text(niphas(team, "key", "generate", "a-1", "--output", "a.secret"))
    cache = f"file://{team.home}/cache"
    push = ("--no-link", "--push", cache, "--sign-key", "a.secret")
    niphas(team, "build", *store, "app", *push, said=["pushed 3 paths"])
    niphas(team, "build", *store, "app", *push, said=["pushed 0 paths", "3 were there"], unsaid=["building"])
    caches = ("--cache", cache, "--key-file", "a.public")
    niphas(team, "cache", "verify", outputs["out"]["path"], *caches, said=["2 of 2 paths"])
    # Another machine.
    other = ("--store", team.home / "other", *store[2:])
    niphas(team, "build", *other, "app^out", "--no-link", *caches, said=["these 2 paths will be fetched"], unsaid=["building"])
    niphas(team, "log", *other, "base", *caches, said=["building base"])
    # What is there counts by who signed it.
    niphas(team, "build", *other, "app^out", "--no-link", "--key-file", "a.public", unsaid=["fetched", "building"])
    niphas(team, "build", *other, "app^out", "--no-link", said=["building"])


def a_build_that_is_interrupted(team):
    store = prepare(team)
    command = [*map(str, (NIPHAS, "build", *store, "endless", "--no-link", "-L"))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NIPHAS", "NIX"))}
    with subprocess.Popen(command, cwd=team.mono, env=environment, text=True, stderr=subprocess.PIPE) as running:
        while "begun" not in (line := running.stderr.readline()):
            check(line, "the build ended by itself")
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        check(running.wait() == 1, f"exit code {running.returncode}: {rest}")
        check(time.monotonic() - began < 10, "it took long to end")
    left = list((team.home / "build/builds").iterdir())
    check(not left, f"left behind: {left}")
    niphas(team, "build", *store, "base", "--no-link", said=["building"])


STORIES = [mistakes_of_building, builds_that_fail, what_is_built_is_kept_and_pushed, a_build_that_is_interrupted]
