"""What a pod, its volume's attributes and what runs in it may do."""

import json
import os
import pathlib
import shutil
import socket
import stat
import subprocess

import caches
import csi
import writes
from node import Node, section, watch_death
from suite import Broken, attack, held, lacks

WRONG = "sha256:" + "0" * 64
SHARED = "What pods share is read-only by its file system, not by a flag of one mount."


def simple(work, *arguments, **options):
    """A node with one cache and a closure that may run."""
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    root = cache.add("prog", caches.program("shared"))
    node = Node(work, *arguments, **options)
    node.configure(section(f"file://{cache.folder}", key))
    node.start()
    return node, cache, root


def runtimes():
    """The container runtimes of this machine: the distribution's, and the newer ones that ci/runc built."""
    cache = pathlib.Path(os.environ.get("NIPHAS_CI_CACHE", pathlib.Path.home() / ".cache/niphas-ci"))
    found = [shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), *map(str, cache.glob("runc-v*"))]
    return {pathlib.Path(file).name: file for file in found if file and os.access(file, os.X_OK)}


def in_container(work, runtime, name, view, script, options):
    """Runs a script as the container's root, without CAP_SYS_ADMIN, with the host's programs beside the view."""
    bundle = work / f"bundle-{name}"
    for folder in ("proc", "nix", "usr", "bin", "lib", "lib64", "tmp"):
        (bundle / "rootfs" / folder).mkdir(parents=True, exist_ok=True)
    binds = [{"destination": f"/{folder}", "type": "bind", "source": f"/{folder}", "options": ["rbind", "ro"]} for folder in ("usr", "bin", "lib", "lib64") if os.path.exists(f"/{folder}")]
    capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_MKNOD", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT"]
    spec = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", script], "cwd": "/", "env": ["PATH=/usr/bin:/bin"], "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")}},
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, *binds, {"destination": "/nix", "type": "bind", "source": str(view), "options": options}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }
    (bundle / "config.json").write_text(json.dumps(spec))
    return subprocess.run([runtime, "--root", work / f"state-{name}", "run", "--bundle", bundle, f"niphas-{os.getpid()}-{name}"], capture_output=True, check=False, timeout=30)


def remounted(target):
    """What a target lets root change once the flag of its mount is cleared, as newer container runtimes clear it."""
    try:
        writes.make_writable(str(target))
    except OSError:
        return []
    return [name for name, number in writes.tried(str(target), str(next((target / "store").iterdir()) / "text")).items() if number is None]


def shared_stays(work, view):
    node, cache, root = simple(work, "--view", view)
    first = node.publish("first", cache.closure(root))
    lacks(first["code"] != "Ok" and "readonly" not in first["message"].lower().replace("-", ""), f"the view {view} cannot be mounted here: {first['message'][:200]}")
    if first["code"] != "Ok":
        return
    second = node.published("second", cache.closure(root))
    path = f"store/{root}/bin/prog"
    before = (second / path).read_bytes()
    script = f"chmod u+w /nix/{path}; echo 'echo owned' >> /nix/{path}; chown 1 /nix/{path}; rm -f /nix/{path}; true"
    for name, runtime in runtimes().items():
        in_container(work, runtime, name, node.target("first"), script, ["rbind", "rprivate", "rw"])
        held((second / path).exists() and (second / path).read_bytes() == before, f"view {view}, {name}: a pod changed what another pod runs")
    written = remounted(node.target("first"))
    held(not written, f"view {view}: with the flag of the mount gone, root of a pod can do {', '.join(written)}")
    held((second / path).read_bytes() == before, f"view {view}: another pod's program has changed")


@attack(SHARED)
def a_pod_cannot_write_what_others_run_in_the_view_export(work):
    shared_stays(work, "export")


@attack(SHARED)
def a_pod_cannot_write_what_others_run_in_the_view_file(work):
    shared_stays(work, "file")


@attack(SHARED)
def a_pod_cannot_write_what_others_run_in_the_view_file_direct(work):
    shared_stays(work, "file-direct")


@attack(SHARED)
def a_pod_cannot_write_what_others_run_in_the_view_loop(work):
    shared_stays(work, "loop")


@attack("Views of loop devices need no more of /dev than a container's own has.")
def a_view_of_many_packs_mounts_with_a_containers_own_devices(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    # Large enough for packs of their own.
    import random

    names = [cache.add(f"pack-{number}", caches.archive(caches.regular(random.Random(number).randbytes(600_000)))) for number in range(20)]
    root = cache.add("root", caches.program("root"), references=names)
    lacks(not pathlib.Path("/dev/loop-control").exists(), "there is no /dev/loop-control")
    nodes = [("loop-control", 10, 237), *((f"loop{number}", 7, number) for number in range(8)), ("null", 1, 3), ("zero", 1, 5), ("urandom", 1, 9), ("random", 1, 8)]
    csi.run("mount", "-t", "tmpfs", "-o", "mode=755", "own", "/dev")
    for name, major, minor in nodes:
        kind = stat.S_IFBLK if major == 7 else stat.S_IFCHR
        os.mknod(f"/dev/{name}", 0o666 | kind, os.makedev(major, minor))
    node = Node(work, "--view", "loop")
    node.configure(section(f"file://{cache.folder}", key))
    node.start()
    answer = node.publish("many", cache.closure(root))
    held(answer["code"] == "Ok", f"20 packs with 8 devices: {answer['code']}: {answer['message']}")


@attack("A pod is who kubelet says, and not who its own attributes say.")
def a_pod_cannot_name_another_namespace(work):
    key = caches.Key("a-1")
    cache = caches.HostileCache(work / "cache", key)
    root = cache.add("private", caches.program("private"))
    node = Node(work)
    node.configure({}, owner=section(f"file://{cache.folder}", key))
    node.start()
    node.published("owner", cache.closure(root), "owner")
    # The CSIDriver object lacks podInfoOnMount: kubelet adds nothing, and all of it is the pod's own.
    forged = {"csi.storage.k8s.io/pod.namespace": "owner", "csi.storage.k8s.io/pod.name": "x", "csi.storage.k8s.io/pod.uid": "00000000-0000-0000-0000-000000000000", "csi.storage.k8s.io/ephemeral": "true"}
    for name, left_out in (("forged", ()), ("without-uid", ("uid",)), ("empty-uid", ())):
        attributes = {**cache.closure(root).attributes(), **{key: value for key, value in forged.items() if not any(part in key for part in left_out)}}
        if name == "empty-uid":
            attributes["csi.storage.k8s.io/pod.uid"] = ""
        answer = node.kubelet.publish(name, attributes)
        held(answer["code"] != "Ok", f"a pod that names a namespace itself has that namespace's closure ({name})")
    answer = node.kubelet.publish("of-another", {**cache.closure(root).attributes(), **forged, "csi.storage.k8s.io/pod.uid": node.uid("owner")})
    held(answer["code"] != "Ok", "a pod that names another pod's UID has that pod's closure")


@attack("Attributes that are not known, or for another system, are refused, and leave nothing.")
def attributes_that_are_not_known_are_refused(work):
    node, cache, root = simple(work)
    good = cache.closure(root).attributes()
    roots, digest = (next(name for name in good if part in name) for part in ("roots", "digest"))
    cases = {
        "none": {},
        "another system": {name.replace(csi.SYSTEM, "riscv64-linux"): value for name, value in good.items()},
        "unknown": {**good, "niphas.io/writable": "true"},
        "no digest": {roots: good[roots]},
        "no roots": {digest: good[digest]},
        "a way upwards": {**good, roots: "../../etc/passwd"},
        "an absolute path": {**good, roots: "/etc/passwd"},
        "a name with a slash": {**good, roots: f"{root}/bin"},
        "another digest": {**good, digest: WRONG},
        "a digest of MD5": {**good, digest: "md5:" + "0" * 32},
        "a digest with a line": {**good, digest: good[digest] + "\n"},
        "a long name": {**good, "niphas.io/roots." + "x" * 200_000: "x"},
        "control characters": {**good, roots: f"{root}\x1b]0;owned\x07"},
    }
    for what, attributes in cases.items():
        answer = node.publish("wrong", attributes, timeout=20)
        held(answer["code"] not in ("Ok", "Unknown", "DeadlineExceeded"), f"{what}: answered with {answer['code']}: {answer['message']}")
        held(not node.target("wrong").exists(), f"{what}: a target is left")
        held(not any(character in answer["message"] for character in "\x1b\x07"), f"{what}: the answer has control characters")
    held(node.records() == [], f"records are left: {node.records()}")
    held(node.mounts() == {}, "mounts are left")
    node.lives("wrong attributes")


@attack("Names that kubelet hands on lead to no file but the volume's record.")
def odd_volume_ids_write_nothing_elsewhere(work):
    node, cache, root = simple(work)
    before = sorted(str(path) for path in work.rglob("*") if "home" not in path.parts)
    ids = ["../../owned", "/etc/owned", "a/b", "..", ".", "x" * 300, "x" * 70_000, "a\0b", "a\nb", "csi-\x1b]0;owned\x07", "", " ", "-rf"]
    for number, volume in enumerate(ids):
        target = node.target(f"odd-{number}")
        node.kubelet.call("publish", volume, target, node.attributes(cache.closure(root), f"odd-{number}"), timeout=20)
        node.kubelet.call("unpublish", volume, target, timeout=20)
    node.lives("odd volume ids")
    made = [path for path in map(str, work.rglob("*owned*"))] + [path for path in ("/etc/owned", "/owned") if os.path.exists(path)]
    held(not made, f"written: {made}")
    held(all("/" not in name for name in node.records()), "records are left")
    for line in node.log.read_text(errors="replace").splitlines():
        try:
            json.loads(line)
        except ValueError:
            raise Broken(f"a line of the log is no JSON: {line[:100]!r}") from None
    held(b"\x1b" not in node.log.read_bytes(), "control characters are in the log")


@attack("A target that kubelet cannot have meant is an error, and mounts nothing.")
def targets_that_are_none_are_refused(work):
    node, cache, root = simple(work)
    pod = node.target("pod").parent
    (pod / "link").symlink_to(work)
    places = {
        "relative": "relative/mount",
        "the root": "/",
        "with NUL": f"{pod}/a\0b",
        "long": f"{pod}/{'x' * 5000}",
        "deep": f"{pod}/{'d/' * 3000}mount",
        "a link": f"{pod}/link",
        "a file": str(node.config),
        "nothing": "",
    }
    before = node.config.read_bytes()
    for what, target in places.items():
        answer = node.kubelet.call("publish", "csi-odd", target, node.attributes(cache.closure(root), "pod"), timeout=20)
        held(answer["code"] not in ("Ok", "Unknown"), f"{what}: answered with {answer['code']}")
        node.kubelet.call("unpublish", "csi-odd", target, timeout=20)
    held(all("views" in where for where in node.mounts()), f"mounts are left: {list(node.mounts())}")
    held(node.config.read_bytes() == before and (pod / "link").is_symlink(), "what was there is gone")
    node.lives("odd targets")


@attack("A volume keeps the closure that it was published with.")
def a_volume_does_not_change_its_closure(work):
    node, cache, root = simple(work)
    other = cache.add("other", caches.program("other"))
    node.published("one", cache.closure(root))
    answer = node.publish("one", cache.closure(other))
    held(answer["code"] == "AlreadyExists", f"another closure for the same volume: {answer['code']}")
    elsewhere = node.kubelet.call("publish", "csi-one", node.target("two"), node.attributes(cache.closure(root), "two"))
    held(elsewhere["code"] not in ("Ok",), "one volume is published at two targets")
    held(os.listdir(node.target("one") / "store") == [root], "the volume's closure has changed")


@attack("Bytes that are no calls do not harm the driver.")
def junk_on_the_sockets_does_not_harm_the_driver(work):
    node, cache, root = simple(work)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = b"\0\0\0\x04\0\0\0\0\0"
    junk = [b"\0" * 100_000, b"GET / HTTP/1.1\r\n\r\n", os.urandom(100_000), preface + b"\xff" * 65_536, preface + settings + b"\xff\xff\xff\x00\x04\0\0\0\x01", preface + settings * 20_000, preface + settings + b"\0\0\x08\x06\0\0\0\0\0" * 1 + b"12345678" * 20_000]
    kept = []
    for data in junk:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(3)
        connection.connect(str(node.socket))
        try:
            connection.sendall(data)
        except OSError:
            pass
        kept.append(connection)
    node.published("after", cache.closure(root))
    node.lives("junk on the socket")
    held(stat.S_IMODE(os.stat(node.socket).st_mode) == 0o600, "the socket is open to others")


@attack("A message of kubelet's socket is bounded.")
def a_message_of_many_megabytes_is_refused(work):
    node, cache, root = simple(work)
    answers = [node.send(f"large-{number}", {**cache.closure(root).attributes(), "other/attribute": "x" * (3 << 20)}, timeout=20) for number in range(24)]
    watch_death(node, 20, lambda: all(answer.qsize() for answer in answers))
    node.lives("24 messages of 3 MiB")
    codes = {answer.get(timeout=25)["code"] for answer in answers}
    held("Ok" not in codes, "attributes of 3 MiB are taken")


@attack("Volumes that come and go all at once leave nothing, and the driver lives.", limit=60)
def a_storm_of_volumes_leaves_nothing(work):
    node, cache, root = simple(work)
    closure = cache.closure(root)
    for _ in range(3):
        answers = [node.send(f"storm-{number}", closure, timeout=30) for number in range(200)]
        answers += [node.kubelet.send("unpublish", f"csi-storm-{number}", node.target(f"storm-{number}")) for number in range(200)]
        for answer in answers:
            answer.get(timeout=40)
    for number in range(200):
        answer = node.kubelet.unpublish(f"storm-{number}")
        held(answer["code"] == "Ok", f"unpublish: {answer['message']}")
    node.lives("a storm of volumes")
    held(node.records() == [] and node.mounts() == {}, f"left: {node.records()[:3]} {list(node.mounts())[:3]}")
    held(os.listdir(node.state / "views") == [], "views are left")


@attack("A pod sees its own closure's paths, and no others of a pack that they share.")
def a_view_shows_its_own_closure_alone(work):
    node, cache, root = simple(work)
    other = cache.add("other", caches.program("other"))
    node.published("other", cache.closure(other))
    target = node.published("one", cache.closure(root))
    held(os.listdir(target / "store") == [root], f"it shows {os.listdir(target / 'store')}")
    options = node.mounts()[str(target)].split()[5].split(",")
    held({"ro", "nosuid", "nodev"} <= set(options), f"it is mounted with {options}")
    held(stat.S_IMODE(os.stat(node.state / "views").st_mode) == 0o700, "views are open to other users")
