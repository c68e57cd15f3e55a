"""Stories of ci/first-use: several runs after another, with flakes in Git repositories as teams have them."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELLO = ROOT / "examples/hello"
NIPHAS = os.environ.get("NIPHAS", ROOT / "target/release/niphas")


class Wrong(Exception):
    """What was not as the story wants it."""


class Team:
    """A monorepo with flakes in folders, and a GitOps repository."""

    def __init__(self, folder):
        self.mono, self.gitops, self.home = folder / "mono", folder / "gitops", folder
        self.mono.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("remote", "add", "origin", "https://user:secret@git.example.org/acme/mono.git")

    def git(self, *arguments, repository=None):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", "-C", repository or self.mono, *identity, *arguments], text=True, capture_output=True, check=True)
        return done.stdout

    def flake(self, place, workload, *environments, inputs=""):
        """Writes a flake whose environments have one workload, and commits it."""
        folder = self.mono / place
        if not (folder / "nixlib").exists():
            shutil.copytree(ROOT / "nixlib", folder / "nixlib")
            for name in ("program", "site"):
                shutil.copytree(HELLO / name, folder / name)
            shutil.copy(HELLO / "packages.nix", folder)
        environment = f"""(import ./nixlib).mkEnvironment {{
          systems = [ "x86_64-linux" "aarch64-linux" ];
          pkgsFor = import ./packages.nix;
          workloads.{workload} = {{ pkgs, ... }}: {{ package = pkgs.hello; }};
        }}"""
        outputs = "".join(f"niphasConfigurations.{name} = {environment};\n" for name in environments)
        (folder / "flake.nix").write_text(f"{{ {inputs} outputs = _: {{ {outputs} }}; }}\n")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", place)

    def render(self, flake, *options, code=0, said=(), unsaid=()):
        """Runs `niphas render` on a flake of the monorepo; what it printed on standard output."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("NIPHAS", "NIX"))}
        command = [NIPHAS, "render", flake, "--to", self.gitops, "--init", "--cache", f"file://{HELLO}/cache", *options]
        command += ["--key-file", HELLO / "cache-demo-key.public", "--author", "CI <ci@example.org>"]
        environment |= {"HOME": str(self.home), "NO_COLOR": "1"}
        done = subprocess.run([*map(str, command)], cwd=self.mono, env=environment, text=True, capture_output=True, check=False)
        printed = done.stdout + done.stderr
        if done.returncode != code:
            raise Wrong(f"exit code {done.returncode}, wanted {code}; niphas said:\n{printed}")
        for text in said:
            if text not in printed:
                raise Wrong(f"not said: {text}; niphas said:\n{printed}")
        for text in (*unsaid, "secret"):
            if text in printed:
                raise Wrong(f"said: {text}; niphas said:\n{printed}")
        return done.stdout

    def files(self):
        return self.git("ls-tree", "-r", "--name-only", "HEAD", repository=self.gitops).splitlines()

    def has(self, workload, environment="production"):
        return any(name.startswith(f"deploy/{environment}/{workload}/") for name in self.files())


def check(condition, what):
    if not condition:
        raise Wrong(what)


def two_flakes_with_an_environment_of_one_name(team):
    team.flake("apps/a", "frontend", "production")
    team.flake("apps/b", "billing", "production")
    team.render("./apps/a")
    belongs = "environment 'production' in the repository belongs to the flake git.example.org/acme/mono?dir=apps/a; this flake is git.example.org/acme/mono?dir=apps/b"
    team.render("./apps/b", code=1, said=[belongs, "--take-over"])
    # What was allowed of the source does not help, nor does another folder or a copy without a repository.
    team.render("./apps/b", "--allow-unknown-source", "--allow-empty", code=1, said=[belongs])
    team.render("./apps/b", "--dir", "apps/b", code=1, said=[belongs])
    team.render(f"path:{team.mono}/apps/b", code=1, said=["belongs to the flake git.example.org/acme/mono?dir=apps/a"])
    check(team.has("frontend") and not team.has("billing"), f"the other flake's workload is gone: {team.files()}")
    message = team.git("log", "--format=%B", "--max-count=1", repository=team.gitops)
    check("Niphas-Source-Repo: https://git.example.org/acme/mono.git?dir=apps/a\n" in message, f"the commit does not say which flake: {message}")
    # A clone by another way is the same flake.
    team.git("remote", "set-url", "origin", "git@git.example.org:acme/mono")
    team.render("./apps/a", said=["nothing to commit"])
    team.render("./apps/b", "--take-over")
    check(team.has("billing") and not team.has("frontend"), f"it was not taken over: {team.files()}")


def an_environment_that_is_gone_from_the_flake(team):
    team.flake("shop", "web", "production", "staging")
    team.render("./shop")
    team.flake("shop", "web", "production")
    for _ in range(2):
        team.render("./shop", said=["nothing to commit", "no longer in it: 'staging'", "--prune-environments"])
    check(team.has("web", "staging"), "it was removed without being asked for")
    team.render("./shop", "--prune-environments", said=["removed  .niphas/staging.lock"])
    check(not team.has("web", "staging") and team.has("web"), f"not just what was gone was removed: {team.files()}")


def one_environment_by_its_name(team):
    team.flake("shop", "web", "production", "staging")
    for reference in ("./shop#staging", "./shop#niphasConfigurations.staging"):
        team.render(reference, "--dry-run", said=["deploy/staging/web/"], unsaid=["deploy/production"])
    team.render("./shop#prod", code=1, said=["no environment 'prod'; it has: production, staging"])


def a_lock_file_that_is_not_there_or_does_not_fit(team):
    team.flake("lib", "unused", "unused")
    team.flake("shop", "web", "production", inputs='inputs.lib.url = "path:../lib";')
    team.render("./shop", code=1, said=["the lock file of flake 'git+file://", "is not up to date", "niphas flake lock", "--update-lock-file"])
    check(not team.gitops.exists(), "something was committed")
    team.render("./shop", "--update-lock-file")
    team.git("add", ".")
    team.git("commit", "--quiet", "--message", "lock file")
    team.render("./shop", "--require-clean")
    (team.mono / "shop/flake.nix").open("a").write("# mine\n")
    team.render("./shop", "--require-clean", code=1, said=["has uncommitted changes"])
    team.git("checkout", "--quiet", "shop/flake.nix")
    team.flake("shop", "web", "production", inputs='inputs.lib.url = "path:../lib"; inputs.more.url = "path:../lib";')
    team.render("./shop", code=1, said=["is not up to date"])


def a_monorepo_of_sub_flakes_with_relative_inputs(team):
    (team.mono / "lib").mkdir()
    (team.mono / "lib/flake.nix").write_text("{ outputs = _: { }; }\n")
    (team.mono / "child").mkdir()
    (team.mono / "child/flake.nix").write_text('{ inputs.up.url = "path:../lib"; outputs = _: { }; }\n')
    team.flake(".", "web", "production", inputs='inputs.child.url = "path:./child";')
    team.render(".", "--update-lock-file")
    team.git("add", ".")
    team.git("commit", "--quiet", "--message", "lock file")
    team.render(".", "--require-clean", "--no-eval-cache", said=["nothing to commit"])


STORIES = [
    two_flakes_with_an_environment_of_one_name,
    an_environment_that_is_gone_from_the_flake,
    one_environment_by_its_name,
    a_lock_file_that_is_not_there_or_does_not_fit,
    a_monorepo_of_sub_flakes_with_relative_inputs,
]


def run(story, folder):
    """What is wrong, or None."""
    try:
        story(Team(pathlib.Path(folder)))
    except Wrong as error:
        return str(error)
    return None
