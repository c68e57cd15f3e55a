"""Servers that flakes are fetched from: forges, plain URLs, registries, Git over HTTP."""

import concurrent.futures
import gzip
import json
import os
import time

import command
import servers
import sources
from suite import attack, held

REV = "0123456789abcdef0123456789abcdef01234567"
# The longest silence of a server that a fetch bears, over all its attempts.
PATIENCE = 150


def forge(work, reply):
    """A forge at https://localhost, with a certificate that the programs trust; gives it and their environment."""
    context, certificate = servers.certificate(work, "localhost", "127.0.0.1")
    server = servers.replying(reply, port=443, tls=context)
    return server, {"SSL_CERT_FILE": str(certificate)}


def flake_archive(text):
    return gzip.compress(sources.tar(("top/extra", b"0", "", b"")).replace(sources.FLAKE, text.ljust(len(sources.FLAKE))))


@attack("A forge's archive answers for its own host, owner, repository and commit, and for no other.")
def an_archive_of_one_host_is_not_taken_for_another_hosts(work):
    evil = flake_archive(b'{ outputs = _: { x = 666; };}')
    _, environment = forge(work, lambda path, headers: servers.answer(body=evil))
    first = command.evaluate(work, f"github:o/r/{REV}?host=localhost#x", **environment)
    held(b"666" in first.stdout, f"the attacker's own flake cannot be read: {first.last}")
    second = command.evaluate(work, f"github:NixOS/nixpkgs/{REV}#x", seconds=40, **environment)
    held(b"666" not in second.stdout, "github.com's nixpkgs is what another host served for its commit")
    other = command.evaluate(work, f"github:NixOS/nixpkgs/{REV}?host=127.0.0.1#x", seconds=40, **environment)
    held(second.code != 0, f"nixpkgs was had from nowhere: {other.last}")


@attack("A forge's archive answers for its own host, owner, repository and commit, and for no other.")
def an_archive_of_one_forge_is_not_locked_as_anothers(work):
    evil = flake_archive(b'{ outputs = _: { x = 666; };}')
    _, environment = forge(work, lambda path, headers: servers.answer(body=evil))
    command.evaluate(work, f"gitlab:o/r/{REV}?host=localhost#x", **environment)
    user = work / "user"
    user.mkdir()
    (user / "flake.nix").write_text(f'{{ inputs.n.url = "github:NixOS/nixpkgs/{REV}"; outputs = _: {{ }}; }}')
    done = command.niphas(work, "lock", f"path:{user}", "--no-registries", seconds=40, **environment)
    held(done.code != 0 and not (user / "flake.lock").exists(), "another forge's archive was locked as github.com's nixpkgs")


@attack("The token of a forge goes to that forge, and not where it redirects to.")
def a_token_does_not_follow_a_redirect(work):
    token = "glpat-MARKERTOKEN"
    other = servers.replying(lambda path, headers: servers.answer("404 Not Found"))
    _, environment = forge(work, lambda path, headers: servers.answer("302 Found", Location=f"{other.url}/archive.tar.gz"))
    for setting, reference in ((f"localhost={token}", f"gitlab:o/r/{REV}?host=localhost#x"), (f"localhost=PAT:{token}", f"gitlab:o/q/{REV}?host=localhost#x"), (f"localhost=X-Other:{token}", f"gitlab:o/s/{REV}?host=localhost#x"), (f"localhost={token}", f"github:o/r/{REV}?host=localhost#x")):
        command.evaluate(work, reference, "--option", "access-tokens", setting, NIX_CONFIG=f"access-tokens = {setting}", seconds=40, **environment)
    told = [request for request in other.requests if token.encode() in request]
    held(not told, f"another host got the token: {told[:1]}")


@attack("A fetch over https is not continued over http.")
def https_does_not_become_http(work):
    plain = servers.replying(lambda path, headers: servers.answer(body=flake_archive(b'{ outputs = _: { x = 666; };}')))
    _, environment = forge(work, lambda path, headers: servers.answer("302 Found", Location=f"{plain.url}/a.tar.gz"))
    done = command.evaluate(work, f"github:o/r/{REV}?host=localhost#x", seconds=40, **environment)
    held(not plain.requests and done.code != 0, "a redirect from https to http was followed")


def stalls(work, name, reference, serve, **options):
    server = servers.Server(serve, **options)
    (work / name).mkdir()
    return command.evaluate(work / name, reference.format(url=server.url), seconds=PATIENCE)


@attack("No server makes a fetch wait without an end.", limit=PATIENCE + 20)
def servers_that_say_nothing_end_the_fetch(work):
    def after_headers(connection, request, server):
        server.send(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10)
        servers.stalled(connection)

    cases = {
        "tarball-before": ("{url}/a.tar.gz#x", servers.stalled),
        "tarball-after": ("{url}/a.tar.gz#x", after_headers),
        "git-before": ("git+{url}/a.git#x", servers.stalled),
        "git-after": ("git+{url}/a.git#x", after_headers),
    }
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        futures = {name: pool.submit(stalls, work, name, *case) for name, case in cases.items()}
        waited = [name for name, future in futures.items() if future.result().code is None]
    held(not waited, f"still waiting after {PATIENCE} s: {', '.join(waited)}")


@attack("No server makes a fetch wait without an end.", limit=PATIENCE + 20)
def servers_that_drip_end_the_fetch(work):
    def drip(connection, request, server):
        server.send(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(300):
            server.send(connection, b"x")
            time.sleep(1)

    done = stalls(work, "drip", "{url}/a.tar.gz#x", drip)
    held(done.code is not None, f"still waiting after {PATIENCE} s for a byte a second")


ENDLESS = 256 << 20


def endless(head):
    """Serves an answer that does not end."""

    def serve(connection, request, server):
        server.send(connection, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + head)
        server.pour(connection, b" " * (1 << 20), ENDLESS)

    return serve


def bounded(server, done, most=64 << 20):
    held(server.sent < most, f"{server.sent >> 20} MiB of an answer were taken")
    held(done.code not in (0, None) and not done.crashed, f"it ended with {done.code}: {done.last}")
    held(done.memory < 512, f"it held {done.memory:.0f} MiB")


@attack("Answers of forges are bounded.")
def an_endless_answer_of_a_forge_is_cut_off(work):
    context, certificate = servers.certificate(work, "localhost")
    server = servers.Server(endless(b'{ "sha": "'), port=443, tls=context)
    done = command.evaluate(work, "github:o/r?host=localhost#x", seconds=40, SSL_CERT_FILE=str(certificate))
    bounded(server, done)


@attack("Registries are bounded.")
def an_endless_registry_is_cut_off(work):
    server = servers.Server(endless(b'{ "version": 2, "flakes": [ '))
    done = command.niphas(work, "eval", "nixpkgs#x", "--flake-registry", f"{server.url}/r.json", seconds=40)
    bounded(server, done)


@attack("Answers of forges that are no answers are errors, not crashes.")
def answers_of_a_wrong_shape_are_errors(work):
    shapes = [b"[" * 200_000, b'{"a":' * 100_000, b"null", b'{"sha": 5}', b'{"sha": "' + b"f" * 39 + b'"}', b'{"sha": "../../../../etc/passwd0000000000000000000"}', b"\xff\xfe", b'{"sha": "\x1b]0;owned\x07"}', b""]
    turn = iter(shapes)
    _, environment = forge(work, lambda path, headers: servers.answer(body=next(turn, b"")))
    for number, shape in enumerate(shapes):
        done = command.evaluate(work, f"github:o/r{number}?host=localhost#x", **environment)
        held(done.code == 1 and not done.crashed, f"{shape[:20]!r}: it ended with {done.code}: {done.last}")
        held(b"\x1b]" not in done.stderr, "an answer's control characters reached the terminal")


@attack("Redirects are bounded.")
def redirects_in_a_circle_end(work):
    server = servers.replying(lambda path, headers: servers.answer("302 Found", Location=f"{path}x"))
    done = command.evaluate(work, f"{server.url}/a.tar.gz#x", seconds=40)
    held(done.code == 1, f"it ended with {done.code}: {done.last}")
    held(len(server.requests) <= 100, f"{len(server.requests)} requests")


@attack("A redirect leads to HTTP servers only, not to files of this machine.")
def a_redirect_to_a_file_is_not_followed(work):
    (work / "secret.tar").write_bytes(sources.tar())
    server = servers.replying(lambda path, headers: servers.answer("302 Found", Location=f"file://{work}/secret.tar"))
    done = command.evaluate(work, f"{server.url}/a.tar.gz#x", seconds=40)
    held(done.code == 1, "a redirect to a file was followed")


@attack("Headers of a server are bounded.")
def endless_headers_are_cut_off(work):
    def serve(connection, request, server):
        server.send(connection, b"HTTP/1.1 200 OK\r\n")
        server.pour(connection, b"X-Junk: " + b"j" * 8000 + b"\r\n", ENDLESS)

    server = servers.Server(serve)
    done = command.evaluate(work, f"{server.url}/a.tar.gz#x", seconds=40)
    bounded(server, done)


@attack("What a Git server says before a fetch is bounded.")
def a_git_server_that_lists_references_without_end_is_cut_off(work):
    def serve(connection, request, server):
        server.send(connection, b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nConnection: close\r\n\r\n001e# service=git-upload-pack\n0000")
        lines = b"".join(b"%04x" % (50 + 6) + b"1" * 40 + b" refs/%06d" % n for n in range(20_000))
        server.pour(connection, lines, ENDLESS)

    server = servers.Server(serve)
    done = command.evaluate(work, f"git+{server.url}/a.git#x", seconds=40)
    held(done.code is not None and not done.crashed, f"it ended with {done.code}: {done.last}")
    held(done.memory < 1024, f"it held {done.memory:.0f} MiB")


@attack("A flake's own files are regular files, and none is waited for.")
def a_pipe_in_place_of_a_lock_file_is_not_waited_for(work):
    tree = work / "tree"
    tree.mkdir()
    (tree / "flake.nix").write_bytes(sources.FLAKE)
    os.mkfifo(tree / "flake.lock")
    done = command.evaluate(work, f"path:{tree}#x", seconds=10)
    held(done.code is not None, "it waits for a pipe")
    held(done.code != 0, "a pipe was taken for a lock file")


@attack("A pure evaluation sees nothing of the machine but what was fetched.")
def a_pure_evaluation_sees_nothing_of_the_machine(work):
    (work / "pure").mkdir()
    (work / "pure/flake.nix").write_text("{ outputs = _: { x = builtins.attrNames (builtins.readDir \"/\"); y = builtins.readDir \"/n\"; z = builtins.readDir \"/nix\"; w = builtins.pathExists \"/etc/passwd\"; v = builtins.readFile \"/etc/hostname\"; u = builtins.readDir ./../..; }; }")
    for output in "xyzvu":
        done = command.evaluate(work, f"path:{work}/pure#{output}", "--json")
        if done.code == 0:
            seen = json.loads(done.stdout)
            held(set(seen) <= {"nix", "store"}, f"output {output} sees {seen}")
    done = command.evaluate(work, f"path:{work}/pure#w", "--json")
    held(done.stdout.strip() != b"true", "it sees /etc/passwd")
