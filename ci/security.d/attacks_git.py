"""Flakes and inputs in Git repositories whose objects no honest `git` would write."""

import os
import shutil
import subprocess

import command
import servers
import sources
from suite import attack, held

NOTHING_OUTSIDE = "Fetching a flake writes nothing outside of the cache folder, whatever its objects say."


def outside(work):
    """A folder of the user's, and a file in it that only an attacker would change."""
    folder = work / "outside"
    folder.mkdir()
    (folder / "kept").write_text("mine")
    (folder / "kept").chmod(0o600)
    return folder


def untouched(folder, done):
    held(sorted(os.listdir(folder)) == ["kept"], f"written outside: {sorted(set(os.listdir(folder)) - {'kept'})}")
    held((folder / "kept").read_text() == "mine", "a file outside was overwritten")
    held((folder / "kept").stat().st_mode & 0o777 == 0o600, "the mode of a file outside was changed")
    held(not done.crashed, f"it crashed with {done.code}: {done.last}")
    held(done.code is not None, "it was not over after its time")


def twice(repository, target, contents=b"owned\n", mode="100644"):
    """The entries of a tree with a name twice: first a link, then a file."""
    return ("120000", "f", repository.blob(str(target).encode())), (mode, "f", repository.blob(contents))


@attack(NOTHING_OUTSIDE)
def a_git_tree_with_a_name_twice_writes_nothing_outside(work):
    folder = outside(work)
    repository = sources.Repository(work / "git/dup.git")
    repository.flake(*twice(repository, folder / "owned"))
    done = command.evaluate(work, f"git+{servers.git(work / 'git')}/dup.git#x")
    untouched(folder, done)


@attack(NOTHING_OUTSIDE)
def an_input_that_is_never_used_writes_nothing_outside(work):
    folder = outside(work)
    repository = sources.Repository(work / "lib.git")
    repository.flake(*twice(repository, folder / "owned"))
    user = work / "user"
    user.mkdir()
    (user / "flake.nix").write_text(f'{{ inputs.lib = {{ url = "{repository.url}"; flake = false; }}; outputs = _: {{ y = 1; }}; }}')
    untouched(folder, command.evaluate(work, f"path:{user}#y"))


@attack("A lock file's hash is compared before a fetched tree is written.")
def a_tree_that_the_lock_file_does_not_name_writes_nothing_outside(work):
    folder = outside(work)
    repository = sources.Repository(work / "lib.git")
    rev = repository.flake(*twice(repository, folder / "owned"))
    user = work / "user"
    user.mkdir()
    (user / "flake.nix").write_text(f'{{ inputs.lib = {{ url = "{repository.url}"; flake = false; }}; outputs = {{ lib, ... }}: {{ y = lib.outPath; }}; }}')
    place = f'"type": "git", "url": "file://{repository.folder}", "ref": "main"'
    locked = f'{{ {place}, "rev": "{rev}", "revCount": 1, "lastModified": 1700000000, "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }}'
    node = f'{{ "flake": false, "locked": {locked}, "original": {{ {place} }} }}'
    (user / "flake.lock").write_text(f'{{ "version": 7, "root": "root", "nodes": {{ "root": {{ "inputs": {{ "lib": "lib" }} }}, "lib": {node} }} }}')
    done = command.evaluate(work, f"path:{user}#y")
    untouched(folder, done)
    held(done.code != 0, "a tree of another hash was taken")


@attack(NOTHING_OUTSIDE)
def a_name_twice_in_a_folder_of_a_git_tree_writes_nothing_outside(work):
    folder = outside(work)
    repository = sources.Repository(work / "dup.git")
    below = repository.tree(*twice(repository, folder / "owned"))
    repository.flake(("40000", "sub", below))
    untouched(folder, command.evaluate(work, f"{repository.url}#x"))


@attack(NOTHING_OUTSIDE)
def a_link_and_a_folder_of_one_name_in_a_git_tree_write_nothing_outside(work):
    folder = outside(work)
    repository = sources.Repository(work / "dup.git")
    below = repository.tree(("100644", "owned", repository.blob(b"owned\n")))
    repository.flake(("120000", "d", repository.blob(str(folder).encode())), ("40000", "d", below))
    untouched(folder, command.evaluate(work, f"{repository.url}#x"))


@attack("Fetching a flake changes no mode of a file that it did not make.")
def an_executable_twice_in_a_git_tree_changes_no_mode_outside(work):
    folder = outside(work)
    repository = sources.Repository(work / "dup.git")
    repository.flake(*twice(repository, folder / "kept", b"mine", "100755"))
    untouched(folder, command.evaluate(work, f"{repository.url}#x"))


@attack(NOTHING_OUTSIDE)
def names_that_lead_out_of_a_git_tree_are_refused(work):
    folder = outside(work)
    for number, name in enumerate((b"..", b".", b"", b"a/b", b"../../outside/owned", b"/" + str(folder / "owned").encode())):
        repository = sources.Repository(work / f"names-{number}.git")
        repository.flake(("100644", name, repository.blob(b"owned\n")))
        done = command.evaluate(work, f"{repository.url}#x")
        untouched(folder, done)
        held(done.code != 0, f"a tree with an entry named {name!r} was taken")


@attack("A Git tree has no folder `.git` of its own, under whatever spelling.")
def folders_named_git_in_a_git_tree_are_refused_or_harmless(work):
    folder = outside(work)
    for number, name in enumerate((b".git", b".GIT", b"git~1", b".git ", ".g\u200cit".encode())):
        repository = sources.Repository(work / f"dotgit-{number}.git")
        below = repository.tree(("100644", "config", repository.blob(f"[core]\n\tfsmonitor = touch {folder}/owned\n".encode())))
        repository.flake(("40000", name, below))
        done = command.evaluate(work, f"{repository.url}#x")
        untouched(folder, done)
        held(done.code != 0 or name != b".git", "a tree with a folder .git was taken")


@attack(NOTHING_OUTSIDE)
def a_submodule_below_a_link_writes_nothing_outside(work):
    folder = outside(work)
    inner = sources.Repository(work / "inner.git")
    commit = inner.commit(inner.tree(("100644", "owned", inner.blob(b"owned\n"))))
    for number, path in enumerate(("link/sub", "../outside", "../../outside", "link")):
        repository = sources.Repository(work / f"outer-{number}.git")
        modules = f'[submodule "m"]\n\tpath = {path}\n\turl = file://{inner.folder}\n'.encode()
        entries = [("100644", ".gitmodules", repository.blob(modules)), ("120000", "link", repository.blob(str(folder).encode())), ("160000", "sub", commit)]
        if path == "link":
            entries[2] = ("160000", "link", commit)
        repository.flake(*entries)
        untouched(folder, command.evaluate(work, f"{repository.url}&submodules=1#x"))


@attack("Fetching a flake runs no program that the flake names.")
def addresses_of_submodules_run_no_program(work):
    folder = outside(work)
    touch = f"touch {folder}/owned"
    for number, url in enumerate((f"ext::sh -c '{touch}'", f"--upload-pack={touch}", f"ssh://-oProxyCommand={touch}/x", f"file://$({touch})", f"fd::17/{touch}")):
        repository = sources.Repository(work / f"outer-{number}.git")
        modules = f'[submodule "m"]\n\tpath = m\n\turl = {url}\n\tupdate = !{touch}\n'.encode()
        repository.flake(("100644", ".gitmodules", repository.blob(modules)), ("160000", "m", "1" * 40))
        untouched(folder, command.evaluate(work, f"{repository.url}&submodules=1#x"))


@attack("Reading a work tree runs no program that its configuration or attributes name.")
def filters_and_monitors_of_a_work_tree_run_no_program(work):
    folder = outside(work)
    touch = f"touch {folder}/owned"
    tree = work / "tree"
    subprocess.run(["git", "init", "--quiet", tree], check=True)
    (tree / "flake.nix").write_bytes(sources.FLAKE)
    (tree / ".gitattributes").write_text("* filter=evil diff=evil text=auto\n")
    subprocess.run(["git", "-C", tree, "add", "."], check=True)
    subprocess.run(["git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "x"], check=True)
    with open(tree / ".git/config", "a") as config:
        for line in ("[core]", f"fsmonitor = {touch}", f"sshCommand = {touch}", f"hooksPath = {tree}/hooks", '[filter "evil"]', f"clean = {touch}; cat", f"smudge = {touch}; cat", f"process = {touch}", '[diff "evil"]', f"textconv = {touch}", f"command = {touch}"):
            config.write(f"{line}\n")
    hooks = tree / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "pre-commit", "post-index-change", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\n{touch}\n")
        (hooks / name).chmod(0o755)
    (tree / "flake.nix").write_bytes(sources.FLAKE + b"# dirty\n")
    for reference in (f"git+file://{tree}#x", f"{tree}#x"):
        untouched(folder, command.evaluate(work, reference))


@attack("The files of a Git tree are counted before the first of them is written.")
def a_git_tree_of_a_billion_files_writes_none(work):
    folder = outside(work)
    repository = sources.Repository(work / "bomb.git")
    tree = repository.tree(*(("100644", str(name), repository.blob(b"")) for name in range(10)))
    for _ in range(8):
        tree = repository.tree(*(("40000", str(name), tree) for name in range(10)))
    repository.flake(("40000", "bomb", tree))
    for reference in (repository.url, f"{repository.url}&exportIgnore=1"):
        done = command.evaluate(work, f"{reference}#x")
        untouched(folder, done)
        held(done.code != 0 and "at most 1000000 files" in done.output, f"it was not refused for its files: {done.last}")
        held(done.seconds < 10, f"it took {done.seconds:.0f} s")
        written = [path for name in ("trees", "tmp") for path in (work / "home/.cache").glob(f"**/{name}/*")]
        held(not written, f"it was written: {written[:3]}")


@attack("Where a file is expected, nothing waits for a pipe.")
def pipes_in_the_place_of_files_keep_nothing_waiting(work):
    tree = work / "tree"
    subprocess.run(["git", "init", "--quiet", tree], check=True)
    (tree / "flake.nix").write_bytes(sources.FLAKE)
    subprocess.run(["git", "-C", tree, "add", "."], check=True)
    os.mkfifo(work / "pipe")
    references = [f"tarball+file://{work}/pipe#x"]
    for name in (".gitignore", ".gitattributes", ".git/info/exclude"):
        copy = work / f"tree-{len(references)}"
        shutil.copytree(tree, copy)
        (copy / name).unlink(missing_ok=True)
        os.mkfifo(copy / name)
        references.append(f"git+file://{copy}#x")
    folder = work / "folder"
    folder.mkdir()
    (folder / "flake.nix").write_bytes(sources.FLAKE)
    os.mkfifo(folder / "flake.lock")
    references.append(f"path:{folder}#x")
    for reference in references:
        done = command.evaluate(work, reference, seconds=6)
        held(done.code is not None, f"{reference.replace(str(work), '')}: it waits")
        held(done.code != 0 and not done.crashed, f"{reference.replace(str(work), '')}: it ended with {done.code}: {done.last}")


@attack("A tree that is nested without an end is an error, not a crash.")
def a_git_tree_ten_thousand_folders_deep_does_not_crash(work):
    folder = outside(work)
    repository = sources.Repository(work / "deep.git")
    tree = repository.tree(("100644", "f", repository.blob(b"x")))
    for _ in range(10_000):
        tree = repository.tree(("40000", "d", tree))
    repository.flake(("40000", "d", tree))
    untouched(folder, command.evaluate(work, f"{repository.url}#x"))


@attack("A chain of tags is followed to its end, or refused; it is no crash.")
def a_chain_of_ten_thousand_tags_does_not_crash(work):
    folder = outside(work)
    repository = sources.Repository(work / "tags.git")
    target, kind = repository.flake(), "commit"
    for number in range(10_000):
        target, kind = repository.put("tag", b"object %s\ntype %s\ntag t%d\ntagger %s\n\nx\n" % (target.encode(), kind.encode(), number, sources.WHO)), "tag"
    repository.ref("refs/tags/last", target)
    untouched(folder, command.evaluate(work, f"git+file://{repository.folder}?ref=refs/tags/last#x"))


def packet(text):
    return b"%04x" % (len(text) + 4) + text


@attack(NOTHING_OUTSIDE)
def references_with_odd_names_write_nothing_outside(work):
    folder = outside(work)
    names = (b"refs/heads/../../../../outside/owned", b"refs/heads/main.lock", b"refs/../../outside/owned", b"HEAD\x1b[2J", b"/" + str(folder / "owned").encode())

    def serve(connection, request, server):
        lines = [packet(b"# service=git-upload-pack\n"), b"0000"]
        lines += [packet(b"1" * 40 + b" " + name + (b"\0symref=HEAD:" + names[0] if not index else b"") + b"\n") for index, name in enumerate((b"HEAD", *names))]
        server.send(connection, servers.answer(body=b"".join(lines) + b"0000", Content_Type="application/x-git-upload-pack-advertisement"))

    server = servers.Server(serve)
    done = command.evaluate(work, f"git+{server.url}/x.git#x")
    untouched(folder, done)
    held(done.code != 0, "a repository of odd references was taken")
