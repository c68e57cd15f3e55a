"""Lock files and flakes that are written to bring a run down."""

import json

import command
import sources
from suite import attack, held

BOUNDED = "A hostile lock file is an error in bounded time and memory."


def locked(work, name, lock, flake="{ inputs.a.url = \"path:/nonexistent\"; outputs = _: { x = 1; }; }", **options):
    folder = work / name
    folder.mkdir()
    (folder / "flake.nix").write_text(flake)
    (folder / "flake.lock").write_text(lock if isinstance(lock, str) else json.dumps(lock))
    done = command.evaluate(work, f"path:{folder}#x", **options)
    held(done.code is not None and not done.crashed, f"{name}: it ended with {done.code}: {done.last}")
    held(done.memory < 1024, f"{name}: it held {done.memory:.0f} MiB")
    return done


def node(inputs=None, nar_hash="sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", **locked_fields):
    return {"inputs": inputs or {}, "locked": {"type": "path", "path": "/nonexistent", "narHash": nar_hash, **locked_fields}, "original": {"type": "path", "path": "/nonexistent"}}


def lock(nodes, inputs):
    return {"version": 7, "root": "root", "nodes": {"root": {"inputs": inputs}, **nodes}}


@attack(BOUNDED)
def cycles_in_a_lock_file_end(work):
    held(locked(work, "nodes", lock({"a": node({"b": "b"}), "b": node({"a": "a"})}, {"a": "a"})).code != 0, "a cycle of nodes was taken")
    locked(work, "follows", lock({"a": node({"x": ["a", "y"], "y": ["a", "x"]})}, {"a": "a"}))
    locked(work, "self", lock({"a": node({"a": ["a"]})}, {"a": ["a"]}))


@attack(BOUNDED)
def chains_of_a_hundred_thousand_nodes_in_a_lock_file_do_not_crash(work):
    count = 100_000
    nodes = {f"n{n}": node({"next": f"n{n + 1}"} if n < count else {}) for n in range(count + 1)}
    locked(work, "deep", lock(nodes, {"a": "n0"}))
    follows = {f"f{n}": [f"f{n + 1}"] for n in range(20_000)}
    locked(work, "follows", lock({"a": node()}, {"a": "a", **follows, "f20000": "a"}))


@attack(BOUNDED)
def a_lock_file_that_doubles_at_every_node_ends(work):
    nodes = {f"n{n}": node({"l": f"n{n + 1}", "r": f"n{n + 1}"} if n < 60 else {}) for n in range(61)}
    locked(work, "doubling", lock(nodes, {"a": "n0"}), seconds=25)


@attack(BOUNDED)
def nested_json_in_a_lock_file_does_not_crash(work):
    for name, text in {"lists": "[" * 500_000, "sets": '{"a":' * 500_000, "numbers": '{"version": 1e999999999}', "long": '{"version": 7, "root": "' + "r" * (64 << 20) + '"}'}.items():
        held(locked(work, name, text).code != 0, f"{name}: it was taken")


@attack("A lock file's hash is SHA-256, and the contents have it, or nothing is taken.")
def hashes_of_other_kinds_in_a_lock_file_are_refused(work):
    tree = work / "lib"
    tree.mkdir()
    (tree / "f").write_text("x")
    flake = f'{{ inputs.a = {{ url = "path:{tree}"; flake = false; }}; outputs = {{ a, ... }}: {{ x = builtins.readFile "${{a}}/f"; }}; }}'
    for number, text in enumerate(("md5-1B2M2Y8AsgTpgAmY7PhCfg==", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "sha256-", "sha256-AAAA", "sha512-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "", "sha256:" + "0" * 52, "none")):
        entry = node(nar_hash=text, path=str(tree))
        entry |= {"flake": False, "original": {"type": "path", "path": str(tree)}}
        done = locked(work, f"hash-{number}", lock({"a": entry}, {"a": "a"}), flake)
        held(done.code != 0, f"contents of the hash '{text}' were taken")


@attack("A locked input is fetched from where the lock file says only if the flake says so too, and within the flake's own scheme.")
def a_lock_file_does_not_make_a_fetch_read_other_files(work):
    tree = work / "tree"
    tree.mkdir()
    (tree / "flake.nix").write_text('{ inputs.a.url = "path:./a"; outputs = { a, ... }: { x = a.outPath; }; }')
    place = {"type": "path", "path": "../../../../../../etc"}
    (tree / "flake.lock").write_text(json.dumps(lock({"a": {"locked": place, "original": {"type": "path", "path": "./a"}, "parent": []}}, {"a": "a"})))
    done = command.evaluate(work, f"path:{tree}#x")
    held(done.code != 0, f"it read {done.stdout!r}")


@attack("A flake.lock that is a link is not followed out of the flake, neither to read nor to write.")
def a_lock_file_that_is_a_link_writes_nothing_elsewhere(work):
    victim = work / "victim"
    victim.write_text("mine")
    lib = work / "lib"
    lib.mkdir()
    (lib / "flake.nix").write_bytes(sources.FLAKE)
    tree = work / "tree"
    tree.mkdir()
    (tree / "flake.nix").write_text(f'{{ inputs.a.url = "path:{lib}"; outputs = _: {{ x = 1; }}; }}')
    (tree / "flake.lock").symlink_to(victim)
    command.niphas(work, "lock", f"path:{tree}", "--no-registries")
    held(victim.read_text() == "mine", "what the link leads to was overwritten")
