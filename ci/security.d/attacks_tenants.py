"""What one namespace may do to another: closures that are not its own, a node's time, memory and disk."""

import os
import random
import subprocess
import time

import caches
import csi
import servers
from caches import archive, directory, regular
from node import Node, section, watch_death
from suite import attack, held, lacks

WRONG = "sha256:" + "0" * 64
OWN = "A namespace has what its own caches gave and its own keys signed, whatever is on the node."
LIVES = "No pod, cache or closure takes the driver past the memory that deploy/csi.yaml gives it."


def tree(name, size=2000):
    """A NAR whose contents are its own."""
    return archive(directory(("bin", directory(("prog", regular(b"#!/bin/sh\n# " + name.encode() + b"\n", True)))), ("text", regular(random.Random(name).randbytes(size)))))


def two_caches(work):
    a, b = caches.Key("a-1"), caches.Key("b-1")
    return caches.HostileCache(work / "cache-a", a), caches.HostileCache(work / "cache-b", b), a, b


@attack("Signatures that decide nothing are not kept, so they lock no other namespace out of a path.")
def junk_signatures_lock_no_other_namespace_out(work):
    cache_a, cache_b, a, b = two_caches(work)
    nar = tree("glibc")
    root = cache_a.add("glibc", nar, Sig=[caches.junk_signature("x-1", number) for number in range(64)])
    cache_b.add("glibc", nar)
    node = Node(work)
    node.configure({}, a=section(f"file://{cache_a.folder}", a), b=section(f"file://{cache_b.folder}", b))
    node.start()
    node.publish("attacker", cache_a.closure(root), "a")
    answer = node.publish("honest", cache_b.closure(root), "b")
    held(answer["code"] == "Ok", f"the second namespace is refused: {answer['code']}: {answer['message']}")


@attack(OWN)
def a_narinfo_alone_gives_no_closure_of_another_namespace(work):
    cache_a, cache_b, a, b = two_caches(work)
    nar = tree("private")
    root = cache_a.add("private", nar)
    # The thief knows the line of the closure's file in Git, and not the contents.
    cache_b.add("private", nar, body=b"\0" * len(nar))
    node = Node(work)
    node.configure({}, a=section(f"file://{cache_a.folder}", a), b=section(f"file://{cache_b.folder}", b))
    node.start()
    node.published("owner", cache_a.closure(root), "a")
    answer = node.publish("thief", cache_b.closure(root), "b")
    held(answer["code"] != "Ok", "a namespace that has only a narinfo reads another namespace's closure")
    cache_b.add("private", nar)
    deadline = time.monotonic() + 25
    while (answer := node.publish("later", cache_b.closure(root), "b"))["code"] != "Ok" and time.monotonic() < deadline:
        time.sleep(1)
    held(answer["code"] == "Ok", f"a namespace whose cache has the contents is refused: {answer['code']}: {answer['message']}")


@attack(OWN)
def a_content_addressed_closure_of_another_namespace_is_refused(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache")
    nar = tree("ca")
    root, address = caches.content_addressed("ca", nar)
    cache.add(root, nar, CA=address)
    node = Node(work)
    node.configure({}, owner=section(f"file://{cache.folder}", key), nothing={})
    node.start()
    node.published("owner", cache.closure(root), "owner")
    answer = node.publish("thief", cache.closure(root), "nothing")
    held(answer["code"] != "Ok", "a namespace without any cache reads another namespace's closure")


@attack(OWN)
def a_namespace_without_the_private_cache_is_refused(work):
    org = caches.Key("org-1")
    private, public = caches.HostileCache(work / "private", org), caches.HostileCache(work / "public", org)
    root = private.add("private", tree("private"))
    node = Node(work)
    node.configure({}, team=section(f"file://{private.folder}", org), other=section(f"file://{public.folder}", org))
    node.start()
    node.published("owner", private.closure(root), "team")
    answer = node.publish("thief", private.closure(root), "other")
    held(answer["code"] != "Ok", "a namespace that trusts the same key reads what only the other's cache has")


@attack("With a digest nothing is fetched before the digest is known to be right.")
def a_wrong_digest_fetches_no_nar(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    names = [cache.add(f"part-{number}", tree(f"part-{number}", 200_000)) for number in range(20)]
    root = cache.add("root", tree("root"), references=names)
    server = csi.Cache(cache.folder)
    node = Node(work)
    node.configure(section(server.url, key))
    node.start()
    for number in range(3):
        answer = node.publish(f"wrong-{number}", cache.closure(root), digest=WRONG)
        held(answer["code"] != "Ok", "a wrong digest was mounted")
    held(not server.nars_fetched(), f"{sum(server.nars_fetched().values())} NARs were fetched for closures of a wrong digest")
    held(not os.listdir(node.store / "packs"), "packs of a refused closure stay in the store")
    node.published("right", cache.closure(root))


@attack("A volume's attributes are bounded before anything is done for them.")
def many_roots_do_not_kill_the_driver(work):
    node = Node(work)
    node.configure({}, nothing={})
    node.start()
    answers = []
    for volume in range(16):
        names = " ".join(f"{caches.hash_part(f'root-{volume}-{number}')}-a" for number in range(28_000))
        attributes = {f"niphas.io/roots.{csi.SYSTEM}": names, f"niphas.io/digest.{csi.SYSTEM}": WRONG}
        answers.append(node.send(f"many-{volume}", attributes, "nothing", timeout=20))
    watch_death(node, 15, lambda: all(answer.qsize() for answer in answers))
    node.lives("16 volumes of 28,000 roots")
    for answer in answers:
        text = answer.get(timeout=25)
        held(text["code"] not in ("Ok", "DeadlineExceeded"), f"28,000 roots are answered with {text['code']}")
        held(len(text["message"]) < 8192, f"the answer has {len(text['message'])} characters")
    held(node.log.stat().st_size < 1 << 20, f"the log has {node.log.stat().st_size >> 10} KiB")


@attack(LIVES, limit=75)
def many_wrong_digests_do_not_kill_the_driver(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    nar = tree("small", 300)
    count = 5000
    names = [f"{caches.hash_part(f'wide-{number}')}-wide-{number}" for number in range(count)]
    (cache.folder / "nar/all").write_bytes(nar)
    for number, name in enumerate(names):
        cache.add(name, nar, references=names[number * 8 + 1 : number * 8 + 9], URL="nar/all")
    node = Node(work)
    node.configure(section(f"file://{cache.folder}", key))
    node.start()
    attributes = {f"niphas.io/roots.{csi.SYSTEM}": names[0]}
    answers = [node.send(f"wrong-{number}", {**attributes, f"niphas.io/digest.{csi.SYSTEM}": f"sha256:{number:064x}"}, timeout=20) for number in range(250)]
    watch_death(node, 22, lambda: all(answer.qsize() for answer in answers))
    node.lives("250 volumes with wrong digests of a closure of 5,000 paths")


@attack(LIVES)
def narinfos_of_a_megabyte_do_not_kill_the_driver(work):
    key = caches.Key("a-1")
    count = 18_000
    names = [f"{caches.hash_part(f'mega-{number}')}-m" for number in range(count)]
    references = sorted(names)
    said = ",".join(f"/nix/store/{name}" for name in references)
    listed = " ".join(references)
    by_hash = {name[:32]: name for name in names}
    empty = caches.program("m")
    digest = caches.nar_hash(empty)

    def serve(connection, request, server):
        path = servers.path_of(request).lstrip("/")
        if path.startswith("nar/"):
            # What is known of a path is held until its NAR comes.
            return servers.stalled(connection)
        name = by_hash.get(path[:32])
        if name is None:
            return server.send(connection, servers.answer(body=b"StoreDir: /nix/store\n") if "cache-info" in path else servers.answer("404 Not Found"))
        signature = key.sign(f"1;/nix/store/{name};sha256:{digest};{len(empty)};{said}".encode())
        text = f"StorePath: /nix/store/{name}\nURL: nar/{name[:32]}\nCompression: none\nNarHash: sha256:{digest}\nNarSize: {len(empty)}\nReferences: {listed}\nSig: {signature}\n"
        return server.send(connection, servers.answer(body=text.encode()))

    server = servers.Server(serve)
    node = Node(work)
    node.configure(section(server.url, key))
    node.start()
    attributes = {f"niphas.io/roots.{csi.SYSTEM}": names[0], f"niphas.io/digest.{csi.SYSTEM}": WRONG}
    answer = node.send("mega", attributes, timeout=20)
    watch_death(node, 22, answer.qsize)
    node.lives("18,000 narinfos of 0.9 MiB")


def nar_of_many_files(count, tag):
    """A flat directory of files of eight bytes, each another."""
    entry = caches.tokens("entry", "(", "name", b"f-------", "node", "(", "type", "regular", "contents", tag + b"------", ")", ")")
    before, between, after = entry.replace(b"f-------", b"\xff").replace(tag + b"------", b"\xff").split(b"\xff")
    body = b"".join(b"%bf%07d%b%b%06d%b" % (before, number, between, tag, number, after) for number in range(count))
    return archive(caches.tokens("(", "type", "directory") + body + caches.token(b")"))


@attack(LIVES, limit=110)
def nars_of_many_small_files_do_not_kill_the_driver(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    roots = [cache.add(f"files-{number}", nar_of_many_files(700_000, b"%02d" % number), compression="gzip") for number in range(4)]
    node = Node(work)
    node.configure(section(f"file://{cache.folder}", key))
    node.start()
    answers = [node.send(f"files-{number}", cache.closure(root), timeout=60) for number, root in enumerate(roots)]
    watch_death(node, 65, lambda: all(answer.qsize() for answer in answers))
    node.lives("four NARs of 700,000 files")


@attack(LIVES, limit=60)
def decoders_that_look_far_back_do_not_kill_the_driver(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    size = 200 << 20
    # As far as a zstd decoder goes: 128 MiB; and as far as the driver takes.
    bodies = [caches.zstd_of_zeros(size, window_log) for window_log in (27, 26)]
    roots = [cache.add(f"far-{number}", tree(f"far-{number}"), Compression="zstd", NarSize=size, body=bodies[number % 2]) for number in range(8)]
    node = Node(work)
    node.configure(section(f"file://{cache.folder}", key))
    node.start()
    answers = [node.send(f"far-{number}", cache.closure(root), timeout=30) for number, root in enumerate(roots)]
    watch_death(node, 35, lambda: all(answer.qsize() for answer in answers))
    node.lives("eight NARs whose decoders look back on 64 and 128 MiB")


@attack("A store opens in memory that does not grow with its files.", limit=240)
def a_store_of_millions_of_files_opens(work):
    import command

    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    node = Node(work)
    for number in range(3):
        root = cache.add(f"files-{number}", nar_of_many_files(700_000, b"%02d" % number), compression="gzip")
        done = command.run(work, "niphas-store", "realise", "--store", node.store, "--cache", f"file://{cache.folder}", "--trusted-public-key", key.public, root, seconds=60)
        # A store that takes no such path cannot grow to that either.
        held(done.code is not None and not done.crashed, f"it ended with {done.code}: {done.last}")
    node.configure(section(f"file://{cache.folder}", key))
    honest = cache.add("honest", tree("honest"))
    node.start(seconds=40)
    node.published("honest", cache.closure(honest))
    node.lives("a store of 2.1 million files")


@attack("A slow cache delays only the namespaces that ask it.", limit=60)
def slow_caches_of_one_namespace_hold_no_other_up(work):
    slow, good, a, b = two_caches(work)
    roots = []
    for number in range(6):
        nar = archive(regular(random.Random(number).randbytes(4 << 20)))
        roots.append(slow.add(f"slow-{number}", nar, compression="xz"))
    honest = good.add("honest", tree("honest", 300))

    def serve(connection, request, server):
        path = slow.folder / servers.path_of(request).lstrip("/")
        if not path.is_file():
            return server.send(connection, servers.answer("404 Not Found"))
        body = path.read_bytes()
        if "nar/" not in str(path):
            return server.send(connection, servers.answer(body=body))
        server.send(connection, f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), 300):
            server.send(connection, body[start : start + 300])
            time.sleep(0.25)

    server = servers.Server(serve)
    node = Node(work)
    node.configure({}, evil=section(server.url, a), good=section(f"file://{good.folder}", b))
    node.start()
    for number, root in enumerate(roots):
        node.send(f"slow-{number}", slow.closure(root), "evil", timeout=40)
    time.sleep(4)
    began = time.monotonic()
    answer = node.publish("honest", good.closure(honest), "good", timeout=20)
    taken = time.monotonic() - began
    held(answer["code"] == "Ok" and taken < 3, f"a path of 500 bytes from another cache: {answer['code']} after {taken:.0f} s: {answer['message']}")


@attack("A namespace's share of a disk counts all that it has mounted, also what others have mounted.")
def what_others_have_mounted_counts_for_a_namespace_as_well(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    first, second = (cache.closure(cache.add(name, tree(name, 600_000))) for name in ("first", "second"))
    node = Node(work)
    node.configure(section(f"file://{cache.folder}", key, limits={"disk": 1_000_000}))
    node.start()
    node.published("others", second, "others")
    node.published("own", first, "tenant")
    answer = node.publish("beyond", second, "tenant")
    held(answer["code"] == "ResourceExhausted", f"a second closure of 600 kB with 1 MB allowed, mounted for another namespace: {answer['code']}: {answer['message']}")
    node.published("again", first, "tenant")


def small_disk(folder, mib):
    """An ext4 of its own at a folder."""
    image = folder.parent / f"{folder.name}.ext4"
    folder.mkdir(exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(mib << 20)
    lacks(subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=False).returncode != 0, "mkfs.ext4 cannot be run")
    csi.run("mount", "-o", "loop", image, folder)


def node_on_small_disk(work, mib, defaults):
    small_disk(work / "disk", mib)
    node = Node(work)
    node.store = work / "disk/store"
    node.configure(defaults)
    node.start()
    return node


@attack("Garbage is collected for a closure that would not fit, before it is fetched.", limit=60)
def a_closure_that_needs_the_place_of_garbage_starts(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    old = [cache.add(f"old-{number}", tree(f"old-{number}", 12 << 20)) for number in range(5)]
    new = cache.add("new", tree("new", 60 << 20))
    node = node_on_small_disk(work, 110, section(f"file://{cache.folder}", key))
    for number, root in enumerate(old):
        node.published(f"old-{number}", cache.closure(root))
        node.kubelet.unpublish(f"old-{number}")
    deadline, answer = time.monotonic() + 35, None
    while time.monotonic() < deadline:
        answer = node.publish("new", cache.closure(new), timeout=20)
        if answer["code"] == "Ok":
            break
        time.sleep(1)
    held(answer["code"] == "Ok", f"a closure of 60 MiB on a disk with 60 MiB of garbage: {answer['code']}: {answer['message']}")


@attack("Closures that do not run take no disk from those that do.", limit=60)
def wrong_digests_do_not_fill_the_disk(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    large = [cache.add(f"large-{number}", tree(f"large-{number}", 24 << 20)) for number in range(5)]
    honest = cache.add("honest", tree("honest", 8 << 20))
    node = node_on_small_disk(work, 96, section(f"file://{cache.folder}", key))
    most = 0
    for _ in range(2):
        answers = [node.send(f"large-{number}", cache.closure(root), timeout=20, digest=WRONG) for number, root in enumerate(large)]
        for answer in answers:
            answer.get(timeout=25)
        disk = os.statvfs(work / "disk")
        most = max(most, 1 - disk.f_bavail / disk.f_blocks)
    answer = node.publish("honest", cache.closure(honest), timeout=20)
    held(answer["code"] == "Ok", f"an honest closure of 8 MiB: {answer['code']}: {answer['message']}")
    held(most < 0.5, f"closures of wrong digests took {most:.0%} of the disk")


@attack("A realisation that no volume wants any more ends, and gives back what it holds.", limit=60)
def deleted_pods_leave_no_work_behind(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    root = cache.add("endless", tree("endless", 4 << 20))
    open_now = [0]

    def serve(connection, request, server):
        path = cache.folder / servers.path_of(request).lstrip("/")
        if not path.is_file():
            return server.send(connection, servers.answer("404 Not Found"))
        body = path.read_bytes()
        if "nar/" not in str(path):
            return server.send(connection, servers.answer(body=body))
        open_now[0] += 1
        try:
            server.send(connection, f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            for start in range(0, len(body), 2000):
                server.send(connection, body[start : start + 2000])
                time.sleep(0.05)
        finally:
            open_now[0] -= 1

    server = servers.Server(serve)
    node = Node(work)
    node.configure(section(server.url, key))
    node.start()
    node.send("gone", cache.closure(root), timeout=5)
    time.sleep(5.5)
    answer = node.kubelet.unpublish("gone")
    held(answer["code"] == "Ok", f"unpublish: {answer['message']}")
    deadline = time.monotonic() + 15
    while open_now[0] and time.monotonic() < deadline:
        time.sleep(0.2)
    held(not open_now[0], "the NAR is still fetched 15 s after the pod is gone")
