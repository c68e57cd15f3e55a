"""What the suites of the CSI driver share: closures by real Nix, a cache that can misbehave, the driver, and kubelet's part.

NIPHAS_ORACLE names the folder of Nix's programs, NIPHAS_NODE_PROGRAMS that of ours: `niphas-csi`, `niphas-store` and `test-kubelet`
(default: what ci/node-programs builds). All of it needs root. A suite runs in a mount namespace of its own, so that no mount outlives it.
"""

import atexit
import contextlib
import functools
import hashlib
import http.server
import json
import math
import os
import pathlib
import queue
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import cgroup
import generated_closure
import tools

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEM = f"{os.uname().machine}-linux"
NIX_CONFIG = "build-users-group =\nsandbox = false\nsubstituters =\nexperimental-features = nix-command\n"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NIX_CONFIG": NIX_CONFIG}

checks = 0
counting = threading.Lock()


def fail(text):
    sys.exit(f"{sys.argv[0]}: {text}")


def say(text):
    print(text, flush=True)


def check(is_so, what):
    """One thing that must hold."""
    global checks
    with counting:
        checks += 1
    if not is_so:
        fail(what)


def equal(found, wanted, what):
    check(found == wanted, f"{what}: {found!r}, not {wanted!r}")


def setting(name, what):
    return pathlib.Path(os.environ.get(name) or fail(f"{name} must name {what}"))


def run(*command, **options):
    """The output of a command that must succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, **{"env": ENVIRONMENT, **options})
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))}:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def nix(program, *arguments, **options):
    return run(setting("NIPHAS_ORACLE", "the folder of Nix's programs (ci/oracle prints it)") / program, *arguments, **options).decode()


@functools.cache
def programs():
    return tools.node_programs()


def in_own_mount_namespace(*more):
    """Goes on in a namespace whose mounts no other process sees, and that end with it; `more` are options of unshare."""
    if os.environ.get("NIPHAS_CSI_ISOLATED") != str(os.getpid()):
        if os.geteuid() != 0:
            fail("needs root")
        os.environ["NIPHAS_CSI_ISOLATED"] = str(os.getpid())
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", *more, sys.executable, *sys.argv])


@contextlib.contextmanager
def workplace(name):
    """A folder on a real file system, for mounts of file-backed EROFS need one. What was started or mounted in it ends."""
    work = pathlib.Path(tempfile.mkdtemp(prefix=f"niphas-{name}.", dir="/var/tmp"))
    try:
        yield work
    finally:
        for process in started:
            process.kill()
            process.wait()
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        for where in reversed([line.split()[4] for line in lines]):
            if where.startswith(f"{work}/"):
                subprocess.run(["umount", "--lazy", where], check=False)
        shutil.rmtree(work, ignore_errors=True)


started = []


def start(*command, **options):
    """Starts a process that ends with the suite at the latest."""
    process = subprocess.Popen([str(part) for part in command], start_new_session=True, **options)
    started.append(process)
    return process


# Closures.


class Closure:
    """A closure in a binary cache, as its narinfo files tell it."""

    def __init__(self, cache, root):
        self.root = pathlib.Path(root).name
        infos, wanted = {}, [self.root]
        while wanted:
            name = wanted.pop()
            if name not in infos:
                text = (cache / f"{name[:32]}.narinfo").read_text()
                infos[name] = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
                wanted += infos[name].get("References", "").split()
        self.infos = infos
        lines = [f"/nix/store/{name} {infos[name]['NarHash']} {infos[name]['NarSize']}\n" for name in sorted(infos, key=lambda name: f"/nix/store/{name}")]
        self.digest = f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
        self.nar_size = sum(int(info["NarSize"]) for info in infos.values())

    def attributes(self, namespace=None, pod="pod", digest=None, roots=None):
        """The volume's attributes, and what kubelet adds; the UID is for test-kubelet to put in."""
        attributes = {f"niphas.io/roots.{SYSTEM}": roots or self.root, f"niphas.io/digest.{SYSTEM}": digest or self.digest}
        if namespace:
            attributes |= {"csi.storage.k8s.io/pod.namespace": namespace, "csi.storage.k8s.io/pod.name": pod, "csi.storage.k8s.io/pod.uid": "{uid}", "csi.storage.k8s.io/ephemeral": "true"}
        return attributes


def new_key(work, name):
    """A key pair of Nix's; the secret's file and the public text."""
    secret = work / f"{name}.secret"
    nix("nix-store", "--generate-binary-cache-key", name, secret, work / f"{name}.public")
    return secret, (work / f"{name}.public").read_text().strip()


def copy(cache, secret, *roots, source=None, compression="none"):
    """Has Nix copy closures into a signed cache."""
    store = ["--from", source] if source else []
    nix("nix", "copy", "--quiet", *store, "--to", f"file://{cache}?compression={compression}&secret-key={secret}", *roots)
    return cache


def generated(work, cache, secret, name, paths, files, size, compression="none"):
    """A generated closure in a cache; its store is gone afterwards."""
    closure = generated_closure.Closure(name, paths, files, size)
    (found,) = copy_generated(work, cache, secret, closure, compression=compression)
    return found


def copy_generated(work, cache, secret, *closures, compression="none"):
    """Generated closures in a cache, those first that others need; their store is gone afterwards."""
    store = work / "generated-source"
    command = [setting("NIPHAS_ORACLE", "") / "nix-store", "--store", f"local?root={store}", "--import", "--quiet"]
    for closure in closures:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=ENVIRONMENT) as importing:
            closure.write(importing.stdin)
            importing.stdin.close()
        equal(importing.returncode, 0, "nix-store --import")
    copy(cache, secret, *(closure.root for closure in closures), source=f"local?root={store}", compression=compression)
    run("chmod", "-R", "u+w", store)
    shutil.rmtree(store)
    return [Closure(cache, closure.root) for closure in closures]


# A cache over HTTP.


class Cache:
    """Serves a folder over HTTP, and misbehaves as asked: `misbehave(handler, name, body, label)` gives what to send instead, or
    None if it has answered. `label` is X for what is asked for below `<url>/x-X/`: the same cache for one who takes it for
    another. `requests` counts what was asked for, by name; `headers` has the last ones of each.
    """

    def __init__(self, folder):
        cache = self
        self.folder = folder
        self.misbehave = None
        self.rate = None
        self.requests = {}
        self.headers = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                name, label = self.path.lstrip("/").split("?")[0], None
                if name.startswith("x-"):
                    label, name = name.removeprefix("x-").split("/", 1)
                cache.requests[name] = cache.requests.get(name, 0) + 1
                cache.headers[name] = self.headers
                try:
                    body = (cache.folder / name).read_bytes()
                except OSError:
                    return self.answer(404, b"")
                if cache.misbehave:
                    changed = cache.misbehave(self, name, body, label)
                    if changed is None:
                        return None
                    body = changed
                self.answer(200, body)

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    if cache.rate and len(body) > 1 << 16:
                        for start in range(0, len(body), 1 << 18):
                            self.wfile.write(body[start : start + (1 << 18)])
                            # It may be let off meanwhile.
                            rate = cache.rate
                            time.sleep((1 << 18) / rate if rate else 0)
                    else:
                        self.wfile.write(body)
                except OSError:
                    self.close_connection = True

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, _):
                """The client was killed, which is not this server's affair."""
                if not isinstance(sys.exception(), ConnectionError):
                    super().handle_error(request, _)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def nars_fetched(self):
        return {name: count for name, count in self.requests.items() if name.startswith("nar/")}


# The driver.


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def memory_group(name):
    """A driver's group, or None where there cannot be one, which is said."""
    try:
        group = cgroup.Group(f"niphas-csi-{os.getpid()}-{name}", cgroup.deployed_memory())
    except cgroup.Unavailable as error:
        say(f"SKIPPED: the limit of the driver's memory: {error}")
        return None
    atexit.register(group.remove)
    return group


class Driver:
    """The real program, with folders of its own, and as little memory as deploy/csi.yaml gives it."""

    def __init__(self, work, *arguments, name="driver", group=None):
        self.work = work / name
        self.work.mkdir()
        self.socket = self.work / "csi.sock"
        self.config = self.work / "csi.yaml"
        self.store = self.work / "store"
        self.state = self.work / "state"
        self.pods = self.work / "pods"
        self.pods.mkdir()
        self.log = self.work / "log"
        self.arguments = list(arguments)
        self.port = free_port()
        self.process = None
        self.group = group or memory_group(name)
        self.prefix = []
        self.configure()

    def configure(self, defaults=None, **namespaces):
        """Writes the configuration; JSON is YAML."""
        new = self.config.with_suffix(".new")
        new.write_text(json.dumps({"defaults": defaults or {}, "namespaces": namespaces}))
        new.rename(self.config)

    def command(self):
        return [
            *(self.group.prefix() if self.group else ()),
            *self.prefix,
            programs() / "niphas-csi",
            "run",
            *("--node", "test-node", "--config", self.config, "--endpoint", self.socket, "--store", self.store),
            *("--state-dir", self.state, "--listen", f"127.0.0.1:{self.port}"),
            *(() if "--gc-above" in self.arguments else ("--gc-above", "100%", "--gc-down-to", "100%")),
            *self.arguments,
        ]

    def in_container_dev(self):
        """Has the driver run as in its container: with a /dev of its own, whose devices are those that were there at its start,
        and with its folders shared with the node."""
        run("mount", "--bind", self.work, self.work)
        run("mount", "--make-shared", self.work)
        nodes = {"null": "c 1 3", "random": "c 1 8", "urandom": "c 1 9", "loop-control": "c 10 237", **{f"loop{n}": f"b 7 {n}" for n in range(8)}}
        script = ["mount -t tmpfs dev /dev", *(f"mknod /dev/{name} {node}" for name, node in nodes.items()), 'exec "$@"']
        self.prefix = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", " && ".join(script), "sh"]

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = start(*self.command(), stderr=log, stdout=log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                fail(f"the driver ended with {self.process.returncode}:\n{self.tail(60)}")
            try:
                if self.page("readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        fail(f"the driver did not become ready:\n{self.tail()}")

    def page(self, name):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        """A metric's value; its labels are part of the name."""
        for line in self.page("metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[-1])
        return None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)

    def tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def status(self):
        return json.loads(run(programs() / "niphas-csi", "status", "--store", self.store, "--state-dir", self.state, "--output", "json"))

    # What is left of it.

    def target(self, name):
        """A volume's target, where kubelet has it for the pod with the UID NAME; kubelet makes its parent."""
        parent = self.pods / name / "volumes/kubernetes.io~csi/closure"
        parent.mkdir(parents=True, exist_ok=True)
        return parent / "mount"

    def mounts(self):
        """The mounts below the driver's folder: {where: line}."""
        found = {}
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            where = re.sub(r"\\([0-7]{3})", lambda escaped: chr(int(escaped[1], 8)), line.split()[4])
            if where.startswith(f"{self.work}/"):
                found[where] = line
        return found

    def roots(self):
        return sorted(os.listdir(self.store / "roots"))

    def records(self):
        return sorted(os.listdir(self.state / "volumes"))

    def nothing_left(self, what):
        """No volume: so no mount, no record, no root, no half-made file."""
        equal(self.mounts(), {}, f"{what}: mounts")
        equal(self.records(), [], f"{what}: records")
        equal(self.roots(), [], f"{what}: roots")
        equal(os.listdir(self.state / "views"), [], f"{what}: views")
        equal(os.listdir(self.state / "exports"), [], f"{what}: exports")
        equal([str(path) for path in self.pods.glob("*/volumes/*/*/*")], [], f"{what}: targets")

    def memory(self):
        """Resident memory in MiB."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Kubelet:
    """Calls the driver as kubelet does; any number of calls at once."""

    def __init__(self, driver):
        self.driver = driver
        self.process = start(programs() / "test-kubelet", driver.socket, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.answers = {}
        self.tag = 0
        self.lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            self.answers[answer["tag"]].put(answer)

    def send(self, call, volume, target, attributes=None, timeout=120, count=None):
        """Makes a call; gives a queue that its answer comes in."""
        with self.lock:
            self.tag += 1
            answers = self.answers[self.tag] = queue.Queue()
            message = {"tag": self.tag, "call": call, "volume": volume, "target": str(target), "attributes": attributes or {}, "timeout": timeout}
            if count is not None:
                message["count"] = count
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        return answers

    def call(self, *arguments, **options):
        return self.send(*arguments, **options).get(timeout=300)

    def publish(self, name, attributes, **options):
        return self.call("publish", f"csi-{name}", self.driver.target(name), attributes, **options)

    def unpublish(self, name, **options):
        return self.call("unpublish", f"csi-{name}", self.driver.target(name), **options)

    def published(self, name, attributes, **options):
        """Publishes what can be; gives the target."""
        answer = self.publish(name, attributes, **options)
        check(answer["code"] == "Ok", f"publishing {name}: {answer['code']}: {answer['message']}\n{self.driver.tail()}")
        return self.driver.target(name)

    def unpublished(self, name):
        answer = self.unpublish(name)
        check(answer["code"] == "Ok", f"unpublishing {name}: {answer['code']}: {answer['message']}\n{self.driver.tail()}")
        check(not os.path.lexists(self.driver.target(name)), f"the target of {name} is still there")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def eventually(is_so, what, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.05)
    fail(f"not in {seconds} s: {what}")


# What a pod sees.


def listing(path):
    """What lstat and readlink tell of all that is in PATH, as {name: facts}."""
    facts = {}

    def visit(path, name):
        at = os.lstat(path)
        link = os.readlink(path) if stat.S_ISLNK(at.st_mode) else None
        size = at.st_size if stat.S_ISREG(at.st_mode) or link is not None else None
        facts[name] = (oct(at.st_mode), at.st_uid, at.st_gid, at.st_mtime_ns, size, link)
        if stat.S_ISDIR(at.st_mode):
            with os.scandir(path) as entries:
                for entry in entries:
                    visit(entry.path, name + b"/" + entry.name)

    visit(os.fsencode(path), b"")
    return facts


def nix_base32(data):
    number = int.from_bytes(data, "little")
    digits = math.ceil(len(data) * 8 / 5)
    return "".join("0123456789abcdfghijklmnpqrsvwxyz"[number >> 5 * place & 31] for place in reversed(range(digits)))


def check_view(folder, closure, what, nix_store=None):
    """FOLDER shows the closure, all of it and no more, bit for bit; compared with Nix's own store if that is given."""
    folder = pathlib.Path(folder)
    equal(sorted(os.listdir(folder)), ["root", "store"], f"{what}: the view has")
    equal(os.readlink(folder / "root"), f"store/{closure.root}", f"{what}: root leads to")
    equal(sorted(os.listdir(folder / "store")), sorted(closure.infos), f"{what}: store paths")
    names = sorted(closure.infos)
    hashes = nix("nix", "hash", "path", "--type", "sha256", "--base32", *(folder / "store" / name for name in names)).split()
    equal(len(hashes), len(names), f"{what}: hashes")
    for name, found in zip(names, hashes):
        equal(f"sha256:{found}", closure.infos[name]["NarHash"], f"{what}: the NAR hash of {name}")
        if nix_store:
            equal(listing(folder / "store" / name), listing(nix_store / name), f"{what}: modes, times and links of {name}")

