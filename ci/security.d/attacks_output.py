"""Secrets in what is printed and kept, control characters, and the GitOps repository."""

import json
import os
import pathlib
import shutil
import subprocess

import caches
import command
import csi
import markers
import servers
import sources
from suite import attack, held

NO_SECRET = "A password or token is in no output, cache, log or commit."
QUIET = "No control character of a flake, a cache or a server reaches the terminal or a line of the log."
EXAMPLE = csi.ROOT / "examples/hello"
CACHE = ["--cache", f"file://{EXAMPLE}/cache", "--trusted-public-key", (EXAMPLE / "cache-demo-key.public").read_text().strip()]


def git(*arguments):
    done = subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "safe.directory=*", *map(str, arguments)], capture_output=True, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})
    return done.stdout


def example(folder):
    """The repository of the example flake, bare."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    shutil.copy(csi.ROOT / "flake.nix", tree)
    shutil.copytree(csi.ROOT / "nixlib", tree / "nixlib")
    shutil.copytree(EXAMPLE, tree / "examples/hello", ignore=shutil.ignore_patterns("cache"))
    git("init", "--quiet", "--initial-branch=main", tree)
    git("-C", tree, "add", "--all")
    git("-C", tree, "commit", "--quiet", "--message", "x")
    git("clone", "--quiet", "--bare", tree, folder / "niphas.git")
    return tree


def render(work, reference, out, *arguments, **environment):
    return command.niphas(work, "render", reference, "--to", out, "--author", "a <a@example.org>", *CACHE, *arguments, seconds=40, **environment)


def no_secret(marks, work, *texts):
    places = [*texts, work / "home", work / "out"]
    hits = markers.found(marks, [place for place in places if not isinstance(place, pathlib.Path) or place.exists()])
    held(not hits, "; ".join(f"{mark} in {str(where).replace(str(work), '')}" for mark, where in hits[:6]))


@attack(NO_SECRET)
def the_password_of_a_flakes_url_is_kept_nowhere(work):
    example(work / "git")
    address = servers.git(work / "git").removeprefix("http://")
    marks = ["MARKERPASSWORD"]
    reference = f"git+http://user:MARKERPASSWORD@{address}/niphas.git?dir=examples/hello"
    done = render(work, reference, work / "out", "--init", "--no-registries")
    held(done.code == 0, f"the example is not rendered: {done.last}")
    no_secret(marks, work, done.output)


@attack(NO_SECRET)
def the_password_of_a_flakes_url_is_in_no_error_and_no_debug_log(work):
    server = servers.replying(lambda path, headers: servers.answer("503 Service Unavailable"))
    address = server.url.removeprefix("http://")
    marks = ["MARKERPASSWORD", "MARKERQUERY"]
    for reference in (
        f"git+http://user:MARKERPASSWORD@{address}/a.git?ref=main",
        f"http://user:MARKERPASSWORD@{address}/a.tar.gz?access_token=MARKERQUERY",
        f"tarball+http://user:MARKERPASSWORD@{address}/a.tar.gz?private_token=MARKERQUERY",
    ):
        for verb in (["eval"], ["show"], ["lock"]):
            done = command.niphas(work, *verb, f"{reference}#x" if verb == ["eval"] else reference, "--no-registries", seconds=30, RUST_LOG="debug", NIPHAS_LOG="debug")
            held(done.code != 0, "an answer 503 was taken")
            no_secret(marks, work, done.output)


@attack(NO_SECRET)
def the_password_of_an_input_is_in_no_output(work):
    lib = sources.Repository(work / "git/lib.git")
    lib.flake()
    address = servers.git(work / "git").removeprefix("http://")
    user = work / "user"
    user.mkdir()
    (user / "flake.nix").write_text(f'{{ inputs.lib.url = "git+http://user:MARKERPASSWORD@{address}/lib.git"; outputs = {{ lib, ... }}: {{ x = lib.x; }}; }}')
    for arguments in (["lock", f"path:{user}"], ["show", f"path:{user}"], ["eval", f"path:{user}#x"], ["eval", f"path:{user}#missing"]):
        done = command.niphas(work, *arguments, "--no-registries", RUST_LOG="debug")
        # What the flake's author wrote stays in the lock file, as Nix has it.
        no_secret(["MARKERPASSWORD"], work, done.output)


@attack(NO_SECRET)
def logins_of_caches_are_in_no_output(work):
    server = servers.replying(lambda path, headers: servers.answer("401 Unauthorized"))
    address = server.url.removeprefix("http://")
    (work / "netrc").write_text("machine 127.0.0.1 login user password MARKERNETRC\n")
    (work / "token").write_text("MARKERTOKEN\n")
    root = f"{caches.hash_part('x')}-x"
    texts = []
    for url in (f"http://user:MARKERPASSWORD@{address}", f"{server.url}?token=MARKERQUERY"):
        for login in (["--netrc-file", work / "netrc"], ["--cache-token-file", work / "token"]):
            done = command.niphas(work, "cache", "closure", "--cache", url, *login, f"/nix/store/{root}", RUST_LOG="debug")
            texts.append(done.output)
            done = command.run(work, "niphas-store", "realise", "--store", work / "store", "--cache", url, *login, root, RUST_LOG="debug")
            texts.append(done.output)
    no_secret(["MARKERPASSWORD", "MARKERNETRC", "MARKERTOKEN", "MARKERQUERY"], work, *texts)
    held(any(b"Basic" in request or b"Bearer" in request for request in server.requests), "no login was sent at all")


# Control characters.

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\x08\r"
HARMFUL = (b"\x1b]", b"\x07", b"\x1b[2J", b"\xc2\x9b", b"\x08")


def quiet(done, what):
    seen = [harm for harm in HARMFUL if harm in done.stderr]
    held(not seen, f"{what}: {seen[0] if seen else ''!r} reached the terminal")


@attack(QUIET)
def messages_of_a_flake_do_not_drive_the_terminal(work):
    text = json.dumps(json.dumps(ESCAPES))
    harm = f"builtins.fromJSON {text.replace('${', chr(92) + '${')}"
    cases = {
        "throw": f"throw ({harm})",
        "abort": f"abort ({harm})",
        "trace": f"builtins.trace ({harm}) 1",
        "warn": f"builtins.warn ({harm}) 1",
        "context": f"builtins.addErrorContext ({harm}) (throw \"x\")",
        "attribute": f"{{ }}.${{{harm}}}",
        "path": f"builtins.readFile (./. + \"/${{{harm}}}\")",
        "type": f"1 + ({harm})",
        "assert": f"import (builtins.toFile \"x\" ({harm}))",
    }
    for name, expression in cases.items():
        folder = work / name
        folder.mkdir()
        (folder / "flake.nix").write_text(f"{{ outputs = _: {{ x = {expression}; }}; }}")
        quiet(command.evaluate(work, f"path:{folder}#x"), name)


@attack(QUIET)
def names_in_a_flake_do_not_drive_the_terminal(work):
    folder = work / "names"
    folder.mkdir()
    text = json.dumps(json.dumps(ESCAPES))
    (folder / "flake.nix").write_text(f"{{ description = builtins.fromJSON {text}; outputs = _: {{ ${{builtins.fromJSON {text}}} = 1; packages.x86_64-linux.${{builtins.fromJSON {text}}} = 1; niphasConfigurations.${{builtins.fromJSON {text}}} = 1; }}; }}")
    done = command.niphas(work, "show", f"path:{folder}", "--no-registries")
    quiet(done, "show")
    held(not any(harm in done.stdout for harm in HARMFUL), "show printed it raw")
    (folder / "flake.nix").write_text(f"{{ outputs = _: import (./. + \"/a{ESCAPES}b.nix\"); }}")
    quiet(command.evaluate(work, f"path:{folder}#x"), "a file's name")


@attack(QUIET)
def servers_do_not_drive_the_terminal(work):
    harm = ESCAPES.encode("latin-1").replace(b"\r", b"")

    def status(connection, request, server):
        server.send(connection, b"HTTP/1.1 500 " + harm + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def git_error(connection, request, server):
        line = b"ERR " + harm + b"\n"
        body = b"001e# service=git-upload-pack\n0000" + b"%04x" % (len(line) + 4) + line + b"0000"
        server.send(connection, servers.answer(body=body, Content_Type="application/x-git-upload-pack-advertisement"))

    def location(connection, request, server):
        server.send(connection, b"HTTP/1.1 302 Found\r\nLocation: http://" + harm + b"/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    root = f"/nix/store/{caches.hash_part('x')}-x"
    for name, serve in {"status": status, "git": git_error, "location": location}.items():
        url = servers.Server(serve).url
        quiet(command.evaluate(work, f"git+{url}/a.git#x"), f"{name}, git")
        quiet(command.evaluate(work, f"{url}/a.tar.gz#x"), f"{name}, tarball")
        quiet(command.niphas(work, "cache", "closure", "--cache", url, root), f"{name}, cache")


@attack(QUIET)
def narinfos_do_not_drive_the_terminal(work):
    key = caches.Key("k-1")
    good = caches.program("x")
    for number, (field, value) in enumerate((("StorePath", f"/nix/store/{caches.hash_part('x')}-x{ESCAPES}"), ("URL", f"nar/{ESCAPES}"), ("Compression", ESCAPES), ("References", ESCAPES), ("NarHash", f"sha256:{ESCAPES}"), ("NarSize", ESCAPES), ("CA", ESCAPES), ("Deriver", ESCAPES))):
        cache = caches.HostileCache(work / f"cache-{number}", key)
        value = value.replace("\r", "")
        root = cache.add("x", good, **{field: value})
        (cache.folder / "nix-cache-info").write_text(f"StoreDir: /nix/store{value}\n" if number == 0 else "StoreDir: /nix/store\n")
        for program, arguments in (("niphas", ["cache", "closure"]), ("niphas-store", ["realise", "--store", work / f"store-{number}"])):
            done = command.run(work, program, *arguments, "--cache", f"file://{cache.folder}", "--trusted-public-key", key.public, f"/nix/store/{root}")
            quiet(done, f"{program}, {field}")


# The GitOps repository.

UNTOUCHED = "Rendering changes files of its own in the repository, and nothing outside of it."


@attack(UNTOUCHED)
def links_in_a_gitops_repository_are_not_followed(work):
    outside = work / "outside"
    outside.mkdir()
    example(work / "git")
    for place in ("deploy", ".niphas", "deploy/production", "deploy/production/web"):
        out = work / f"out-{place.replace('/', '-')}"
        git("init", "--quiet", "--initial-branch=main", out)
        (out / place).parent.mkdir(parents=True, exist_ok=True)
        (out / place).symlink_to(outside)
        git("-C", out, "add", "--all")
        git("-C", out, "commit", "--quiet", "--message", "x")
        done = render(work, f"path:{work}/git/tree?dir=examples/hello", out)
        held(os.listdir(outside) == [], f"a link {place} was followed: {os.listdir(outside)}")
        held(done.code is not None and not done.crashed, f"it ended with {done.code}: {done.last}")


@attack(UNTOUCHED)
def a_forged_lock_of_a_gitops_repository_removes_nothing(work):
    example(work / "git")
    reference, out = f"path:{work}/git/tree?dir=examples/hello", work / "out"
    held(render(work, reference, out, "--init").code == 0, "the example is not rendered")
    (work / "victim").write_text("mine")
    (out / "mine.yaml").write_text("mine")
    lock = out / ".niphas/production.lock"
    text = lock.read_text()
    place = "deploy/production/web/NiphasWorkload-web.yaml"
    held(place in text, f"the lock has another form: {text[:200]}")
    for forged in ("../victim", str(work / "victim"), "mine.yaml", ".git/config", "deploy/../../victim"):
        lock.write_text(text.replace("production/web/NiphasWorkload-web.yaml", f"x/{forged}").replace(place, forged).replace(f"deploy/x/{forged}", forged))
        git("-C", out, "add", "--all")
        git("-C", out, "commit", "--quiet", "--message", "forged")
        done = render(work, reference, out, "--allow-unknown-source")
        held((work / "victim").exists() and (out / ".git/config").exists(), f"a lock that names {forged} had it removed")
        held((out / "mine.yaml").exists(), "a lock that names a file of the user's had it removed")
        held(done.code is not None and not done.crashed, f"it ended with {done.code}: {done.last}")


@attack("Rendering runs no program that the repository names.")
def hooks_and_filters_of_a_gitops_repository_run_no_program(work):
    outside = work / "outside"
    outside.mkdir()
    touch = f"touch {outside}/owned"
    example(work / "git")
    out = work / "out"
    git("init", "--quiet", "--initial-branch=main", out)
    (out / ".gitattributes").write_text("* filter=evil\n")
    git("-C", out, "add", "--all")
    git("-C", out, "commit", "--quiet", "--message", "x")
    with open(out / ".git/config", "a") as config:
        config.write(f'[core]\n\tfsmonitor = {touch}\n\thooksPath = {out}/.git/hooks\n[filter "evil"]\n\tclean = {touch}; cat\n\tsmudge = {touch}; cat\n\trequired = true\n[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = {touch}\n[gc]\n\tauto = 1\n')
    for name in ("pre-commit", "post-commit", "prepare-commit-msg", "reference-transaction", "post-checkout", "post-index-change", "post-rewrite"):
        (out / ".git/hooks").mkdir(exist_ok=True)
        (out / ".git/hooks" / name).write_text(f"#!/bin/sh\n{touch}\n")
        (out / ".git/hooks" / name).chmod(0o755)
    render(work, f"path:{work}/git/tree?dir=examples/hello", out)
    held(os.listdir(outside) == [], "a program of the repository's configuration was run")


@attack("A value of a workload is a value in the YAML, whatever characters it has.")
def values_of_a_workload_are_no_yaml_of_their_own(work):
    tree = example(work / "git")
    evil = 'x\\n---\\napiVersion: v1\\nkind: Evil\\nmetadata: {name: evil}\\n# \\"\' : - ? {{ }} !!python/object'
    file = tree / "examples/hello/workloads.nix"
    file.write_text(file.read_text().replace('env.TZ = "UTC";', f'env.TZ = "{evil}"; args = [ "a\\n---\\nkind: Evil" ];').replace('args = [ "tick" "60" "${pkgs.greeting}" ];', ""))
    done = render(work, f"path:{tree}?dir=examples/hello", work / "out", "--init")
    held(done.code == 0, f"it is not rendered: {done.last}")
    for written in (work / "out").glob("deploy/**/*.yaml"):
        lines = written.read_text().splitlines()
        held("---" not in lines and not any(line.startswith("kind: Evil") for line in lines), f"{written.name} has a document of its own")
