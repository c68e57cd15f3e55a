"""Stories of ci/first-use: from an empty folder to what must be built, a key, and outputs of flakes in the place of store paths."""

import json
import os
import shutil
import stat
import subprocess

from stories import HELLO, NIPHAS, ROOT, Wrong, check


def niphas(team, *arguments, code=0, said=(), unsaid=()):
    """Runs `niphas` in the monorepo: what it printed as its result."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NIPHAS", "NIX"))}
    environment |= {"HOME": str(team.home), "NO_COLOR": "1"}
    command = [*map(str, (NIPHAS, *arguments))]
    done = subprocess.run(command, cwd=team.mono, env=environment, text=True, capture_output=True, check=False)
    printed = done.stdout + done.stderr
    if done.returncode != code:
        raise Wrong(f"{arguments}: exit code {done.returncode}, wanted {code}; niphas said:\n{printed}")
    for text in said:
        if text not in printed:
            raise Wrong(f"{arguments}: not said: {text}; niphas said:\n{printed}")
    for text in unsaid:
        if text in printed:
            raise Wrong(f"{arguments}: said: {text}; niphas said:\n{printed}")
    return done.stdout


CACHE = ("--cache", f"file://{HELLO}/cache", "--key-file", HELLO / "cache-demo-key.public")


def what_must_be_built_and_pushed(team):
    team.flake("shop", "web", "production", "staging")
    text = (team.mono / "shop/flake.nix").read_text()
    # A store path beside the package, and a text.
    more = 'args = [ "${pkgs.greeting}" "${builtins.toFile "more" ""}" ]; '
    (team.mono / "shop/flake.nix").write_text(text.replace("package = pkgs.hello;", f"package = pkgs.hello; {more}"))
    roots = json.loads(niphas(team, "roots", "./shop", "--json"))["roots"]
    names = sorted({root["path"].split("-", 1)[1] for root in roots})
    check(names == ["greeting", "hello-1.0", "more"], f"other roots: {names}")
    for root in roots:
        check(root["installable"].startswith(f"./shop#niphasConfigurations.{root['environment']}.roots.{root['system']}."), f"{root}")
        check((root["drvPath"] is not None) == root["path"].endswith("hello-1.0"), f"{root}")
    lines = niphas(team, "roots", "./shop").splitlines()
    check(len(lines) == 4, f"not one line for each store path: {lines}")
    missing = niphas(team, "roots", "./shop", "--missing", "--paths", *CACHE).splitlines()
    check(len(missing) == 1 and missing[0].endswith("-more"), f"the cache lacks only the text: {missing}")
    niphas(team, "roots", "./shop#prod", code=1, said=["no environment 'prod'; it has: production, staging"])
    # The hint of `render` is what has to be run.
    hint = ["nix build --no-link $(niphas roots ./shop#staging)", "niphas roots ./shop#staging --paths | niphas cache push --to 'file://"]
    niphas(team, "render", "./shop#staging", "--to", team.gitops, "--init", *CACHE, code=1, said=hint)


def a_key_of_two_halves(team):
    secret = team.mono / "shop.secret"
    public = niphas(team, "key", "generate", "shop-1", "--output", secret)
    check(public.startswith("shop-1:"), f"no public key: {public}")
    check(stat.S_IMODE(secret.stat().st_mode) == 0o600, "others can read the secret key")
    check(niphas(team, "key", "public", secret) == public, "another public key")
    text = secret.read_text()
    niphas(team, "key", "generate", "shop-2", "--output", secret, code=1, said=["exists, and keys are not overwritten"])
    check(secret.read_text() == text, "the key was overwritten")
    half = "expected the public half of key 'shop-1', found its secret half"
    for option in (("--key-file", secret), ("--trusted-public-key", text)):
        niphas(team, "cache", "info", *CACHE[:2], *option, code=1, said=[half, "niphas key public"], unsaid=[text[10:30]])
    (team.mono / "shop.public").write_text(public)
    half = "expected the secret half of key 'shop-1', found its public half"
    niphas(team, "cache", "push", "--to", "file:///nowhere", "--sign-key", "shop.public", "x", code=1, said=[half])


def a_flake_to_start_from(team):
    """Each template can be locked, shown and rendered, with a stand-in for nixpkgs; nothing is overwritten."""
    nixpkgs = team.home / "nixpkgs"
    nixpkgs.mkdir()
    for name in ("program", "site"):
        shutil.copytree(HELLO / name, nixpkgs / name)
    shutil.copy(HELLO / "packages.nix", nixpkgs)
    (nixpkgs / "flake.nix").write_text("""{
      outputs = _: {
        legacyPackages.x86_64-linux =
          let inherit (import ./packages.nix "x86_64-linux") hello;
          in { darkhttpd = hello; valkey = hello; curl = hello; };
      };
    }""")
    library = team.home / "niphas"
    shutil.copytree(ROOT / "nixlib", library / "nixlib")
    (library / "flake.nix").write_text("{ outputs = _: { lib = import ./nixlib; }; }\n")
    inputs = ["--override-input", "nixpkgs", f"path:{nixpkgs}", "--override-input", "niphas", f"path:{library}"]
    for template, objects in (("hello", 1), ("shop", 6)):
        folder = team.mono / template
        wrote = ["flake.nix", ".gitignore", "next:", f"cd {template}", "niphas flake lock", "nix build --no-link $(niphas roots)", "niphas render --to"]
        niphas(team, "init", "--template", template, template, said=wrote)
        before = (folder / "flake.nix").read_text()
        niphas(team, "init", "--template", template, template, code=1, said=[f"'{template}/flake.nix', ", "not overwritten"])
        check((folder / "flake.nix").read_text() == before, "it was overwritten")
        team.git("add", ".")
        team.git("commit", "--quiet", "--message", template)
        said = niphas(team, "flake", "show", f"./{template}", *inputs)
        check("production: environment with" in said, said)
        paths = niphas(team, "roots", f"./{template}", "--paths", *inputs).splitlines()
        check(len(paths) == 1 and paths[0].endswith("-hello-1.0"), f"other roots: {paths}")
        dry = niphas(team, "render", f"./{template}", "--to", team.gitops, "--init", "--dry-run", *CACHE, *inputs)
        made = dry.count("NiphasWorkload-")
        check(made == objects, f"{made} workloads, wanted {objects}:\n{dry}")


def outputs_of_flakes_in_the_place_of_store_paths(team):
    team.flake("shop", "web", "production")
    environment = niphas(team, "cache", "closure", "./shop#niphasConfigurations.production", *CACHE)
    package = "./shop#niphasConfigurations.production.workloads.web.x86_64-linux.package"
    closure = niphas(team, "cache", "closure", package, *CACHE)
    check(closure in environment and len(environment) > len(closure) > 0, f"{environment}\nhas not\n{closure}")
    niphas(team, "cache", "verify", f"{package}^out", *CACHE, said=["1 of 1 paths"])
    niphas(team, "cache", "closure", f"{package}^dev", *CACHE, code=1, said=["has no output 'dev'; it has: out"])
    niphas(team, "cache", "push", "--to", "file:///nowhere", "./shop#nosuch", code=1, said=["does not provide attribute"])
    niphas(team, "cache", "push", "--to", "file:///nowhere", "./shop", code=1, said=["is no store path", "outputs of flakes like .#hello"])


STORIES = [
    what_must_be_built_and_pushed,
    a_key_of_two_halves,
    a_flake_to_start_from,
    outputs_of_flakes_in_the_place_of_store_paths,
]
