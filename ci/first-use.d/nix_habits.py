"""Stories of ci/first-use for people who know Nix: they type what they always typed."""

import json
import os
import subprocess

from stories import NIPHAS, check

FLAKE = """{
  description = "a shop";
  inputs.lib.url = "path:../lib";
  outputs = { self, lib }: let package = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; }; in {
    packages.x86_64-linux.default = package "shop";
    lib.answer = lib.value;
  };
}
"""


def flake(team):
    """A flake with an input and no lock file."""
    for name, text in (("shop", FLAKE), ("lib", "{ outputs = _: { value = 42; }; }\n")):
        (team.mono / name).mkdir()
        (team.mono / name / "flake.nix").write_text(text)
    team.git("config", "user.name", "A")
    team.git("config", "user.email", "a@example.org")
    team.git("add", ".")
    team.git("commit", "--quiet", "--message", "a flake")


def niphas(team, *arguments, code=0, said=(), unsaid=(), typed=""):
    """Runs our program in the flake's folder; what it prints on standard output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NIPHAS", "NIX"))}
    environment |= {"HOME": str(team.home), "NO_COLOR": "1"}
    done = subprocess.run(
        [NIPHAS, *arguments], cwd=team.mono / "shop", env=environment, text=True, input=typed, capture_output=True, check=False
    )
    printed = done.stdout + done.stderr
    check(done.returncode == code, f"{arguments}: exit code {done.returncode}, wanted {code}; niphas said:\n{printed}")
    for text in said:
        check(text in printed, f"{arguments}: not said: {text}; niphas said:\n{printed}")
    for text in unsaid:
        check(text not in printed, f"{arguments}: said: {text}; niphas said:\n{printed}")
    return done.stdout


def commands_of_nix_flake(team):
    flake(team)
    niphas(team, "flake", "check", "--no-update-lock-file", code=1, said=["requires lock file changes"])
    niphas(team, "flake", "lock", "--commit-lock-file", said=["Added input 'lib'"])
    check(team.git("log", "--format=%s", "--max-count=1") == "shop/flake.lock: Add\n", "the lock file is not committed")
    metadata = json.loads(niphas(team, "flake", "metadata", "--json"))
    check(metadata["description"] == "a shop" and "fingerprint" in metadata, f"metadata: {metadata}")
    niphas(team, "flake", "metadata", said=["Description:   a shop", "└───lib: path:../lib"])
    niphas(team, "flake", "show", said=["default: package 'shop'"])
    check(niphas(team, "show") == niphas(team, "flake", "show"), "two commands show two things")
    niphas(team, "flake", "check", said=["all checks passed: 1 derivations"])
    niphas(team, "flake", "update", "nosuch", said=["'nosuch' does not match any input"])
    niphas(team, "flake", "show", ".#x", code=1, said=["'#x' has no meaning in '.#x'"])


def a_session_with_what_nix_repl_takes(team):
    flake(team)
    niphas(team, "repl", ".#lib", typed="answer + 1\n", said=["43"])
    niphas(team, "repl", "--expr", "{ a = 7; }", typed="a * 2\n", said=["14"])
    (team.mono / "shop/file.nix").write_text("{ b ? 4 }: { inherit b; }\n")
    niphas(team, "repl", "-f", "file.nix", typed="b * 4\n", said=["16"])
    for command in (":u", ":i", ":sh"):
        niphas(team, "repl", typed=f"{command} 1\n", said=[f"'{command}' is not available here: "])
    niphas(team, "repl", typed=":doc map\n", said=["builtins.map"])


def options_that_scripts_give_to_nix(team):
    flake(team)
    niphas(team, "flake", "lock")
    eval_, derivation = ("eval", "--raw", ".#default^out"), ("derivation", "show", "-r", ".#default")
    for option in (("--offline",), ("-v",), ("--verbose",), ("--quiet",), ("-q",), ("--debug",), ("--accept-flake-config",), ("--no-update-lock-file",)):
        check(niphas(team, "eval", ".#lib.answer", *option) == "42\n", f"{option} changes what is printed")
        niphas(team, *derivation, *option, said=['"name":"shop"'])
    niphas(team, *eval_, said=["-shop"])
    niphas(team, "eval", ".#lib.answer", "--accept-flake-config", said=["--accept-flake-config has no effect"])
    instantiate = ("instantiate", "-E", 'derivation { name = "a"; system = "s"; builder = "b"; }')
    niphas(team, *instantiate, "--quiet", "-v", said=["-a.drv"])
    niphas(team, *instantiate, "--add-root", "root", "--indirect", "--output-dir", "out", said=["shop/root\n"])
    check((team.mono / "shop/root").read_text().startswith("Derive("), "the root leads nowhere")
    niphas(team, "instantiate", "--version", said=["niphas"])
    niphas(team, "instantiate", "--eval", "--eval", "-E", 'throw "x"', code=1, said=["error: x"])


STORIES = [commands_of_nix_flake, a_session_with_what_nix_repl_takes, options_that_scripts_give_to_nix]
