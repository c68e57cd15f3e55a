"""Binary caches that lie, or that do not end; the programs that read them one path at a time."""

import gzip
import os
import struct
import time

import caches
import command
import servers
from caches import archive, directory, regular, symlink, token, tokens
from suite import attack, held

NOTHING = "What a cache sends is looked at before it counts: nothing of it is in the store unless all of it is right."


def realise(work, url, keys, root, *arguments, store="store", seconds=30, **options):
    trusted = [part for key in keys for part in ("--trusted-public-key", key.public)]
    return command.run(work, "niphas-store", "realise", "--store", work / store, "--cache", url, *trusted, root, *arguments, seconds=seconds, **options)


def stored(work, store="store"):
    packs = work / store / "packs"
    return sorted(os.listdir(packs)) if packs.exists() else []


def refused(work, cache, root, what, store="store"):
    done = realise(work, f"file://{cache.folder}", cache.keys, root, store=store)
    held(done.code == 1 and not done.crashed, f"{what}: it ended with {done.code}: {done.last or done.output[-200:]}")
    held(not stored(work, store), f"{what}: something is in the store")
    held(not os.listdir(work / store / "tmp") if (work / store / "tmp").exists() else True, f"{what}: something is left in tmp")
    held(done.memory < 192, f"{what}: it held {done.memory:.0f} MiB")
    return done


def bad_nars():
    """NARs that no writer of NARs writes."""
    one = regular(b"x")
    deep = tokens("(", "type", "directory", "entry", "(", "name", "d", "node") * 100_000
    good = archive(directory(("a", one), ("b", one)))
    return {
        "a name upwards": archive(directory(("..", one))),
        "a name of this folder": archive(directory((".", one))),
        "a name with a slash": archive(directory(("a/b", one))),
        "an absolute name": archive(directory(("/etc/passwd", one))),
        "an empty name": archive(directory(("", one))),
        "a name with NUL": archive(directory((b"a\0b", one))),
        "a name of 256 bytes": archive(directory(("a" * 256, one))),
        "names that are not sorted": archive(directory(("b", one), ("a", one))),
        "a name twice": archive(directory(("a", symlink("/etc")), ("a", one))),
        "a folder over a link": archive(directory(("a", symlink("/etc")), ("a", directory(("passwd", one))))),
        "a hundred thousand folders": token(b"nix-archive-1") + deep,
        "cut": good[: len(good) // 2],
        "cut by one string": good[:-16],
        "more after the end": good + b"12345678",
        "padding": archive(tokens("(", "type", "regular", "contents") + struct.pack("<Q", 1) + b"xjunkjun" + token(b")")),
        "a length of 2^63": archive(tokens("(", "type", "regular", "contents") + struct.pack("<Q", 1 << 63)),
        "a link to nothing": archive(symlink("")),
        "a link of 1 MiB": archive(symlink("x" * (1 << 20))),
        "a device": archive(tokens("(", "type", "device", ")")),
        "an executable with a value": archive(tokens("(", "type", "regular", "executable", "x", "contents", "", ")")),
        "no archive": b"hello, world!!!!",
        "nothing in it": token(b"nix-archive-1"),
        "another version": token(b"nix-archive-2") + one,
    }


@attack(NOTHING)
def nars_that_no_nix_writes_are_refused(work):
    cache = caches.HostileCache(work / "cache", caches.Key("k-1"))
    for number, (what, nar) in enumerate(bad_nars().items()):
        refused(work, cache, cache.add(f"bad-{number}", nar), what)


@attack("`niphas cache verify` refuses what a node would refuse.")
def verify_calls_nothing_sound_that_a_node_refuses(work):
    key = caches.Key("k-1")
    cache = caches.HostileCache(work / "cache", key)
    sound = []
    for number, (what, nar) in enumerate(bad_nars().items()):
        root = cache.add(f"bad-{number}", nar)
        done = command.niphas(work, "cache", "verify", "--cache", f"file://{cache.folder}", "--trusted-public-key", key.public, f"/nix/store/{root}")
        held(not done.crashed and done.code is not None, f"{what}: it ended with {done.code}: {done.last}")
        if done.code == 0:
            sound.append(what)
    good = cache.add("good", caches.program("x"))
    done = command.niphas(work, "cache", "verify", "--cache", f"file://{cache.folder}", "--trusted-public-key", key.public, f"/nix/store/{good}")
    held(done.code == 0, f"a good path is refused: {done.last}")
    held(not sound, f"{len(sound)} of {len(bad_nars())} are called sound: {', '.join(sound[:8])}")


@attack(NOTHING)
def narinfos_that_lie_are_refused(work):
    key, nar = caches.Key("k-1"), caches.program("x")
    cache = caches.HostileCache(work / "cache", key)
    other = caches.program("y")
    lies = {
        "another path": {"StorePath": f"/nix/store/{caches.hash_part('other')}-other"},
        "another store": {"StorePath": "/gnu/store/" + caches.hash_part("lie-1") + "-lie-1"},
        "a path with dots": {"StorePath": "/nix/store/../../etc/passwd"},
        "another hash": {"NarHash": f"sha256:{caches.nar_hash(other)}"},
        "a hash of MD5": {"NarHash": "md5:" + "0" * 26},
        "a negative size": {"NarSize": "-1"},
        "a huge size": {"NarSize": str(1 << 62)},
        "a size beyond all": {"NarSize": "9" * 30},
        "a size of nothing": {"NarSize": "0"},
        "a smaller size": {"NarSize": str(len(nar) - 8)},
        "a file of this machine": {"URL": "file:///etc/passwd"},
        "a way upwards": {"URL": "../../../../../../etc/passwd"},
        "a hidden way upwards": {"URL": "nar/%2e%2e/%2e%2e/x"},
        "an absolute name": {"URL": "/etc/passwd"},
        "another host": {"URL": "http://169.254.169.254/latest"},
        "another host without a scheme": {"URL": "//169.254.169.254/latest"},
        "another compression": {"Compression": "xz"},
        "a compression that is a path": {"Compression": "../../x"},
        "no signature": {"keys": ()},
        "junk as a signature": {"keys": (), "Sig": ["k-1:AAAA"]},
        "another key's signature": {"keys": (caches.Key("k-2"),)},
        "a wrong content address": {"keys": (), "CA": f"fixed:r:sha256:{caches.nar_hash(nar)}"},
        "a content address of the wrong contents": {"keys": (), "CA": f"fixed:r:sha256:{caches.nar_hash(other)}"},
        "a content address of MD5": {"keys": (), "CA": "fixed:r:md5:" + "0" * 26},
        "a reference upwards": {"References": "../../etc/passwd"},
    }
    for number, (what, lie) in enumerate(lies.items()):
        root = f"{caches.hash_part(f'lie-{number}')}-lie-{number}"
        cache.add(root, nar, **{"StorePath": f"/nix/store/{root}", **lie})
        refused(work, cache, root, what)
    root = cache.add("twice", nar)
    text = cache.info(root).read_text()
    for field in ("StorePath", "NarHash", "NarSize", "URL", "References", "CA"):
        line = next((line for line in text.splitlines() if line.startswith(f"{field}:")), "CA: fixed:r:sha256:" + "0" * 52)
        cache.info(root).write_text(text + f"{line}\n" * (2 if field == "CA" else 1))
        refused(work, cache, root, f"{field} twice")


@attack("Signatures of untrusted keys cost no processor time.", limit=60)
def thousands_of_signatures_cost_little(work):
    key = caches.Key("k-1")
    cache = caches.HostileCache(work / "cache", key)
    nar = caches.program("x")
    names = [f"{caches.hash_part(f'p-{number}')}-p-{number}" for number in range(64)]
    for number, name in enumerate(names):
        junk = [caches.junk_signature("k-1", f"{number} {index}") for index in range(9500)]
        cache.add(name, nar, references=names[number + 1 : number + 2], Sig=junk)
    began = time.monotonic()
    done = realise(work, f"file://{cache.folder}", cache.keys, names[0], seconds=50)
    held(done.code is not None and not done.crashed, f"it ended with {done.code}: {done.last}")
    taken = time.monotonic() - began
    held(taken < 8, f"64 small paths took {taken:.0f} s")
    size = sum(file.stat().st_size for file in (work / "store").rglob("*") if file.is_file())
    held(size < 16 << 20, f"64 small paths take {size >> 20} MiB in the store")


@attack("A path that is content-addressed by MD5 or SHA-1 needs a signature.")
def weak_content_addresses_are_no_trust(work):
    import hashlib

    cache = caches.HostileCache(work / "cache")
    nar = caches.program("x")
    accepted = []
    for algorithm in ("md5", "sha1"):
        digest = hashlib.new(algorithm, nar)
        text = f"fixed:out:r:{algorithm}:{digest.hexdigest()}:"
        inner = hashlib.sha256(text.encode()).hexdigest()
        whole = hashlib.sha256(f"output:out:sha256:{inner}:/nix/store:weak".encode()).digest()
        folded = bytearray(20)
        for index, byte in enumerate(whole):
            folded[index % 20] ^= byte
        import csi

        root = f"{csi.nix_base32(bytes(folded))}-weak"
        cache.add(root, nar, CA=f"fixed:r:{algorithm}:{csi.nix_base32(digest.digest())}")
        for program, arguments in (("niphas-store", ["realise", "--store", work / f"store-{algorithm}"]), ("niphas", ["cache", "closure"])):
            done = command.run(work, program, *arguments, "--cache", f"file://{cache.folder}", f"/nix/store/{root}")
            if done.code == 0:
                accepted.append(f"{program} {algorithm}")
    held(not accepted, f"taken without a signature: {', '.join(accepted)}")


def asked_in_vain(work, server):
    """Asks a server for a path that it does not give; it ends with an error."""
    done = realise(work, server.url, [], f"{caches.hash_part('x')}-x", seconds=40)
    held(done.code == 1 and not done.crashed, f"it ended with {done.code}: {done.last}")
    return done


@attack("A narinfo is bounded.")
def an_endless_narinfo_is_cut_off(work):
    def serve(connection, request, server):
        if b"nix-cache-info" in request:
            return server.send(connection, servers.answer(body=b"StoreDir: /nix/store\n"))
        server.send(connection, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nStorePath: /nix/store/x\n")
        server.pour(connection, b"Junk: " + b"j" * (1 << 20) + b"\n", 256 << 20)

    server = servers.Server(serve)
    done = asked_in_vain(work, server)
    held(server.sent < 64 << 20, f"{server.sent >> 20} MiB were taken")
    held(done.memory < 128, f"it held {done.memory:.0f} MiB")


@attack("A narinfo that is sent compressed is bounded by what it unpacks to.")
def a_narinfo_that_unpacks_to_gigabytes_is_cut_off(work):
    bomb = gzip.compress(b"J: " + b"j" * (512 << 20), 6)

    def reply(path, headers):
        if path.endswith("nix-cache-info"):
            return servers.answer(body=b"StoreDir: /nix/store\n")
        return servers.answer(body=bomb, Content_Encoding="gzip")

    server = servers.replying(reply)
    done = asked_in_vain(work, server)
    held(done.memory < 128, f"it held {done.memory:.0f} MiB")


@attack("No more of a NAR is unpacked than its narinfo says.")
def a_nar_that_is_longer_than_it_says_is_cut_off(work):
    key = caches.Key("k-1")
    cache = caches.HostileCache(work / "cache", key)
    nar = caches.program("x")
    bomb = caches.zstd_of_zeros(64 << 30)
    for number, (compression, body) in enumerate((("zstd", bomb), ("gzip", gzip.compress(nar + b"\0" * (256 << 20), 1)), ("none", nar + b"\0" * (64 << 20)))):
        root = cache.add(f"long-{number}", nar, Compression=compression, body=body)
        done = refused(work, cache, root, compression)
        held(done.seconds < 10, f"{compression}: it took {done.seconds:.0f} s")


@attack("Decompressing a NAR takes bounded memory.")
def windows_of_gigabytes_in_a_nar_are_refused(work):
    key = caches.Key("k-1")
    cache = caches.HostileCache(work / "cache", key)
    nar = caches.program("x")
    root = cache.add("window", nar, Compression="zstd", body=caches.zstd_of_zeros(2 << 30, window_log=31))
    refused(work, cache, root, "a window of 2 GiB")


@attack("A cache that answers 429 or 503 is not asked without an end.")
def a_storm_of_refusals_ends(work):
    server = servers.replying(lambda path, headers: servers.answer("429 Too Many Requests", Retry_After="0"))
    done = asked_in_vain(work, server)
    held(len(server.requests) < 100, f"{len(server.requests)} requests")


@attack("A closure is bounded in paths and references while it is walked.")
def narinfos_with_a_hundred_thousand_references_are_bounded(work):
    key = caches.Key("k-1")
    cache = caches.HostileCache(work / "cache", key)
    names = [f"{caches.hash_part(f'r-{number}')}-r" for number in range(100_000)]
    root = cache.add("many", caches.program("x"), references=names)
    done = realise(work, f"file://{cache.folder}", cache.keys, root)
    held(done.code == 1 and not done.crashed, f"it ended with {done.code}: {done.last}")
    held(done.memory < 256, f"it held {done.memory:.0f} MiB")


@attack("A store's folders are its owner's alone.")
def a_store_is_not_for_other_users(work):
    key = caches.Key("k-1")
    cache = caches.HostileCache(work / "cache", key)
    root = cache.add("private", caches.program("private"))
    done = realise(work, f"file://{cache.folder}", cache.keys, root)
    held(done.code == 0, f"a good path is refused: {done.last}")
    work.chmod(0o755)
    probe = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "ls", str(work / "store"), str(work / "store/packs")]
    import subprocess

    seen = subprocess.run(probe, capture_output=True, check=False)
    held(not seen.stdout, f"another user lists {seen.stdout.split()[:3]}")


@attack("A redirect of a cache leads to other public servers only, not into the cluster or to the machine's metadata.")
def a_cache_does_not_redirect_to_addresses_within(work):
    # A public address, and that of the machine's metadata; both are this namespace's own.
    servers.own_address("93.184.215.14")
    servers.own_address("169.254.169.254")
    servers.own_address("10.96.0.1")
    for inner in ("169.254.169.254", "10.96.0.1", "127.0.0.1"):
        secret = servers.replying(lambda path, headers: servers.answer(body=b"StorePath: /nix/store/SECRETOFTHECLUSTER\n"), address=inner)
        cache = servers.replying(lambda path, headers, secret=secret: servers.answer(body=b"StoreDir: /nix/store\n") if "cache-info" in path else servers.answer("302 Found", Location=f"{secret.url}/latest"), address="93.184.215.14")
        done = realise(work, cache.url, [], f"{caches.hash_part('x')}-x", seconds=40)
        held(not secret.requests, f"a cache on the internet had {inner} asked: {done.last}")
        held("SECRET" not in done.output, "what is there was printed")


@attack("A certificate is verified, and a cache behind TLS is not had without.")
def a_cache_with_a_foreign_certificate_is_refused(work):
    context, _ = servers.certificate(work, "localhost")
    server = servers.replying(lambda path, headers: servers.answer(body=b"StoreDir: /nix/store\n"), tls=context)
    done = realise(work, server.url, [], f"{caches.hash_part('x')}-x", seconds=40)
    held(done.code == 1 and not server.requests, "an untrusted certificate was accepted")
