"""Stories of ci/first-use about changes that people review: branches of their own, signatures, generated files, patches."""

import os
import pty
import socket
import subprocess
import sys
import time

from stories import HELLO, NIPHAS, ROOT, Team, Wrong, check

BRANCH = "niphas/update"


class Reviewed(Team):
    """A GitOps repository on a server whose default branch has a commit; the flake has one environment."""

    def __init__(self, team):
        self.mono, self.gitops, self.home = team.mono, team.gitops, team.home
        self.to = self.gitops
        self.git("init", "--quiet", "--bare", "--initial-branch", "main", self.gitops)
        self.git("push", "--quiet", self.gitops, f"{self.first()}:refs/heads/main")
        self.flake("shop", "web", "production")

    def first(self):
        tree = self.git("hash-object", "-w", "-t", "tree", "/dev/null").strip()
        return self.git("commit-tree", "-m", "first", tree).strip()

    def command(self, *options):
        command = [NIPHAS, "render", "./shop", "--to", self.to, "--cache", f"file://{HELLO}/cache", *options]
        command += ["--key-file", HELLO / "cache-demo-key.public", "--author", "CI <ci@example.org>"]
        return [*map(str, command)]

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIPHAS", "NIX", "GIT_", "PAGER", "LESS"))}
        return kept | {"HOME": str(self.home)} | more

    def propose(self, *options, code=0, said=(), unsaid=()):
        done = subprocess.run(self.command(*options), cwd=self.mono, env=self.environment(NO_COLOR="1"), text=True, capture_output=True, check=False)
        printed = done.stdout + done.stderr
        if done.returncode != code:
            raise Wrong(f"exit code {done.returncode}, wanted {code}; niphas said:\n{printed}")
        for text in said:
            check(text in printed, f"not said: {text}; niphas said:\n{printed}")
        for text in unsaid:
            check(text not in printed, f"said: {text}; niphas said:\n{printed}")
        return printed

    def at(self, *arguments):
        return self.git(*arguments, repository=self.gitops).strip()

    def change(self, name):
        """Another workload in the flake."""
        self.flake("shop", name, "production")


def a_change_as_a_pull_request(team):
    team = Reviewed(team)
    create = ("--create-branch", BRANCH, "--message", "shop: new prices")
    main = team.at("rev-parse", "main")
    team.propose("--branch", BRANCH, code=1, said=[f"no branch '{BRANCH}'", f"--create-branch {BRANCH}"])
    team.propose(*create, "--dry-run", said=[f"would commit to branch '{BRANCH}', on top of 'main':"])
    team.propose(*create, said=[f"to branch '{BRANCH}', on top of 'main':", "added    deploy/production/web/"])
    check(team.at("rev-parse", "main") == main, "main has moved")
    check(team.at("log", "--format=%s", f"main..{BRANCH}") == "shop: new prices", "the branch has not just this commit")
    check("Niphas-Source-Rev: " in team.at("log", "--format=%(trailers)", "-1", BRANCH), "the trailers are gone")
    for option in ((), ("--check",), ("--dry-run",)):
        team.propose(*create, *option, said=[f"nothing to commit: branch '{BRANCH}' is up to date"])
    # A newer change is one commit again.
    team.change("shopfront")
    before = team.at("rev-parse", BRANCH)
    team.propose(*create, said=[f"in place of {before}:"])
    check(team.at("rev-list", "--count", f"main..{BRANCH}") == "1", "the branch has more than one commit")
    # Merged.
    team.at("update-ref", "refs/heads/main", BRANCH)
    team.propose(*create, said=["nothing to commit: branch 'main' is up to date"])
    # A commit of a reviewer's on the branch stays.
    team.change("web")
    team.propose(*create)
    tree = team.at("rev-parse", f"{BRANCH}^{{tree}}")
    theirs = team.at("commit-tree", "-p", BRANCH, "-m", "by hand", tree)
    team.at("update-ref", f"refs/heads/{BRANCH}", theirs)
    team.change("frontend")
    team.propose(*create, code=1, said=[f"branch '{BRANCH}' has a commit that niphas did not make: {theirs}", "merge or delete the branch"])
    check(team.at("rev-parse", BRANCH) == theirs, "the commit is lost")


def a_change_that_is_taken_back_before_it_is_merged(team):
    team = Reviewed(team)
    team.propose()
    team.change("shopfront")
    team.propose("--create-branch", BRANCH)
    before = team.at("rev-parse", BRANCH)
    team.change("web")
    team.propose("--create-branch", BRANCH, "--check", code=1, said=[f"would put branch '{BRANCH}' back to 'main'"])
    team.propose("--create-branch", BRANCH, said=["branch 'main' is up to date", f"not needed any more, {before}: it is at 'main' now"])
    check(team.at("rev-parse", BRANCH) == team.at("rev-parse", "main"), "the branch still has the change")


def messages_and_branches_that_cannot_be(team):
    team = Reviewed(team)
    for text, said in (("", "found an empty one"), ("a\nb", "U+000A"), ("x" * 201, "at most 200 characters, found 201")):
        team.propose("--message", text, code=2, said=["--message <TEXT>", said])
    team.propose("--create-branch", "main", code=1, said=["'main' cannot be created from itself", "--branch NAME"])
    team.propose("--create-branch", "main/x", code=1, said=["cannot be created beside the branch 'main'"])
    team.propose("--create-branch", "x", "--init", code=2, said=["cannot be used with"])


def a_protected_branch(team):
    team = Reviewed(team)
    hook = team.gitops / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" != refs/heads/main ]\n')
    hook.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, ROOT / "ci/lib/serve_git.py", team.gitops.parent, "127.0.0.1", str(port)])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                check(time.monotonic() < deadline, "the server does not start")
                time.sleep(0.05)
        team.to = f"http://127.0.0.1:{port}/{team.gitops.name}"
        team.propose(code=1, said=["refused the push to 'main'", "--create-branch NAME"])
        team.propose("--create-branch", BRANCH, said=[f"to branch '{BRANCH}', on top of 'main'"])
        team.change("shopfront")
        team.propose("--create-branch", BRANCH, said=["in place of"])
        check(team.at("rev-list", "--count", f"main..{BRANCH}") == "1", "the branch has more than one commit")
    finally:
        server.terminate()
        server.wait()


def signed_commits(team):
    team = Reviewed(team)
    key = team.home / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (team.home / "signers").write_text(f"ci@example.org {key.with_suffix('.pub').read_text()}")
    team.at("config", "commit.gpgSign", "true")
    team.propose("--create-branch", "unsigned", said=["warning: git's setting commit.gpgSign asks for signed commits"])
    team.propose("--create-branch", BRANCH, "--signing-key", key, unsaid=["warning"])
    settings = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={team.home / 'signers'}"]
    verify = ["git", "-C", team.gitops, *settings, "verify-commit", BRANCH]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    check(done.returncode == 0 and "Good" in done.stderr, f"git does not find the signature good: {done.stderr}")
    team.propose("--signing-key", key.with_suffix(".pub"), code=1, said=["it is a public key", "give the file of a private key"])
    locked = team.home / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked], check=True)
    team.propose("--signing-key", locked, code=1, said=["it has a passphrase", "ssh-keygen -p"])


def files_that_are_marked_as_generated(team):
    team = Reviewed(team)
    team.propose(said=["added    .niphas/.gitattributes"])
    manifest = team.at("show", "main:deploy/production/web/NiphasWorkload-web.yaml")
    header = "# Generated by niphas from git.example.org/acme/mono?dir=shop; do not edit: change the flake.\n"
    check(manifest.startswith(header), f"the manifest has no header: {manifest[:200]}")
    check("linguist-generated" in team.at("show", "main:.niphas/.gitattributes"), "the attributes are not there")


def on_a_terminal(team, *options, **environment):
    """What a run prints to a terminal, and its exit code."""
    ours, theirs = pty.openpty()
    settings = team.environment(TERM="xterm", **environment)
    process = subprocess.Popen(team.command("--diff", *options), cwd=team.mono, env=settings, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    os.close(theirs)
    printed = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        printed += piece
    os.close(ours)
    said = process.communicate()[1].decode()
    return printed.decode().replace("\r\n", "\n"), process.returncode, said


def a_patch_on_a_terminal(team):
    team = Reviewed(team)
    red_and_bold = ("\x1b[1mdiff --git ", "\x1b[32m+kind: NiphasWorkload\x1b[m\n", "\x1b[36m@@ ")

    def seen(found, coloured, prefix=""):
        printed, code, said = found
        check(code == 1 and not said, f"exit code {code}: {said}")
        check(printed.startswith(prefix), f"not by the pager: {printed[:200]!r}")
        for text in red_and_bold:
            check((text in printed) == coloured, f"{'not in' if coloured else 'in'} colour: {printed[:400]!r}")

    pager = team.home / "pager"
    pager.write_text('#!/bin/sh\necho "paged $LESS"\ncat\n')
    pager.chmod(0o755)
    seen(on_a_terminal(team, PAGER=str(pager)), True, "paged FRX\n")
    seen(on_a_terminal(team, PAGER="false", GIT_PAGER=f"{pager}; true"), True, "paged FRX\n")
    seen(on_a_terminal(team, PAGER=str(pager), LESS="R"), True, "paged R\n")
    seen(on_a_terminal(team, PAGER=str(pager), NO_COLOR="1"), False, "paged FRX\n")
    for no_pager in ({"PAGER": "cat"}, {"PAGER": ""}, {"PAGER": "/none/such"}):
        printed, code, _ = on_a_terminal(team, **no_pager)
        check(code == 1 and red_and_bold[0] in printed, f"not printed: {printed[:200]!r}")
    printed, _, _ = on_a_terminal(team, "--no-pager", PAGER=str(pager))
    check("paged" not in printed and red_and_bold[0] in printed, f"a pager was run: {printed[:200]!r}")
    # A repository's own configuration names no program that is run.
    team.at("config", "core.pager", f"touch {team.home}/owned; cat")
    (team.home / ".gitconfig").write_text(f"[core]\n\tpager = {pager}\n")
    seen(on_a_terminal(team, PAGER="false"), True, "paged FRX\n")
    check(not (team.home / "owned").exists(), "the repository's pager was run")
    # One that is left early is no error.
    seen_code = on_a_terminal(team, GIT_PAGER="head -1")[1:]
    check(seen_code == (1, ""), f"the pager's end is an error: {seen_code}")
    # Programs get the patch itself.
    plain = team.propose("--diff", code=1)
    check("\ndiff --git " in plain and "\x1b" not in plain, f"no plain patch: {plain[:200]!r}")
    patch = team.home / "patch"
    patch.write_text(plain)
    checkout = team.home / "checkout"
    subprocess.run(["git", "clone", "--quiet", team.gitops, checkout], check=True)
    subprocess.run(["git", "-C", checkout, "apply", patch], check=True)
    check((checkout / ".niphas/production.lock").exists(), "the patch does not apply")


def a_check_says_what_would_change(team):
    team = Reviewed(team)
    team.propose("--check", code=1, said=["would commit to branch 'main':", "added    .niphas/production.lock"])
    team.propose()
    team.propose("--check", said=["nothing to commit: branch 'main' is up to date"])


STORIES = [
    a_change_as_a_pull_request,
    a_change_that_is_taken_back_before_it_is_merged,
    messages_and_branches_that_cannot_be,
    a_protected_branch,
    signed_commits,
    files_that_are_marked_as_generated,
    a_patch_on_a_terminal,
    a_check_says_what_would_change,
]
