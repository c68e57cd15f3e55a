"""Nodes that share what they fetch, as network namespaces on one switch: each has a driver, a store and a mesh of its own.

The cache (nginx) is behind a link of 200 Mbit/s, nodes have 1 Gbit/s each way. The kernels of CI's machines have no netem: links have
rates, and no delay. A suite runs in mount and network namespaces of its own, so that nothing of it is left, however it ends. Needs
root, nginx, openssl, and what csi.py names.
"""

import base64
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

import csi
import generated_closure
from csi import check, eventually, say

NETWORK = "10.213.78"
CACHE_RATE, NODE_RATE = "200mbit", "1gbit"
PORT, PAGES = 9812, 9813
PEER, READER = (f"system:serviceaccount:niphas-system:niphas-{name}" for name in ("mesh", "csi"))
CACHE_LINK = "cache"
# Seconds that a publish may take.
LONGEST = 900


def address(node):
    return f"{NETWORK}.{10 + node}"


def space(node):
    return f"node-{node}"


def in_space(node, *command):
    return ["nsenter", f"--net=/run/netns/{space(node)}", *command]


def in_own_namespaces():
    csi.in_own_mount_namespace("--net")


class Network:
    """A switch, the cache's link to it, and a namespace for each node. For a process in namespaces of its own."""

    def __init__(self, nodes):
        self.nodes = nodes
        # Names that no other process sees.
        os.makedirs("/run/netns", exist_ok=True)
        csi.run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        csi.run("ip", "link", "set", "lo", "up")
        csi.run("ip", "netns", "add", "switch")
        csi.run("ip", "-n", "switch", "link", "add", "bridge", "type", "bridge")
        csi.run("ip", "-n", "switch", "link", "set", "bridge", "up")
        self.connect(None, f"{NETWORK}.1", CACHE_RATE)
        for number in range(nodes):
            csi.run("ip", "netns", "add", space(number))
            csi.run("ip", "-n", space(number), "link", "set", "lo", "up")
            self.connect(number, address(number), NODE_RATE)

    def connect(self, node, own, rate):
        """A link between the switch and a node, or the cache, that has this rate each way."""
        inside, port = ("eth0", f"to-node-{node}") if node is not None else (CACHE_LINK, "to-cache")
        within, place = (["-n", space(node)], space(node)) if node is not None else ([], str(os.getpid()))
        csi.run("ip", "-n", "switch", "link", "add", port, "type", "veth", "peer", "name", inside, "netns", place)
        csi.run("ip", "-n", "switch", "link", "set", port, "master", "bridge", "up")
        csi.run("ip", *within, "addr", "add", f"{own}/24", "dev", inside)
        csi.run("ip", *within, "link", "set", inside, "up")
        # Bursts of the largest packets that are cut only by the device; and no longer queue than routers have.
        shape = ["root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms"]
        csi.run("tc", "-n", "switch", "qdisc", "add", "dev", port, *shape)
        csi.run("tc", *within, "qdisc", "add", "dev", inside, *shape)

    def sent_by_cache(self):
        (link,) = json.loads(csi.run("ip", "-json", "-statistics", "link", "show", "dev", CACHE_LINK))
        return link["stats64"]["tx"]["bytes"]

    def part(self, node, others):
        """Nothing goes between a node and others any more: they get no answer of it, not even that there is none."""
        for other in others:
            csi.run("ip", "-n", space(node), "route", "add", "blackhole", f"{address(other)}/32")

    def join(self, node, others):
        for other in others:
            csi.run("ip", "-n", space(node), "route", "del", "blackhole", f"{address(other)}/32")


# Tokens, as the API server makes them.


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Tokens:
    def __init__(self, work):
        self.key, self.work = work / "key.pem", work
        csi.run("openssl", "genrsa", "-out", self.key, "2048")
        modulus = csi.run("openssl", "rsa", "-in", self.key, "-noout", "-modulus").decode().strip().split("=")[1]
        key = {"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig", "n": encoded(bytes.fromhex(modulus)), "e": encoded(b"\1\0\1")}
        self.keys = work / "jwks.json"
        self.keys.write_text(json.dumps({"keys": [key]}))

    def file(self, subject):
        claims = {"iss": "https://kubernetes.default.svc", "sub": subject, "aud": ["niphas-mesh"], "exp": int(time.time()) + 3600}
        parts = ({"alg": "RS256", "kid": "1"}, claims)
        signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
        signature = csi.run("openssl", "dgst", "-sha256", "-sign", self.key, input=signed.encode())
        file = self.work / f"token-{subject.rsplit(':')[-1]}"
        file.write_text(f"{signed}.{encoded(signature)}\n")
        return file


class Driver(csi.Driver):
    """A driver in a node's namespace."""

    def __init__(self, work, number, name):
        super().__init__(work, "--publish-limit", f"{LONGEST}s", name=name)
        self.number = number

    def command(self):
        command = super().command()
        command[command.index("--listen") + 1] = f"{address(self.number)}:9809"
        return in_space(self.number, *command)

    def page(self, name):
        try:
            with urllib.request.urlopen(f"http://{address(self.number)}:9809/{name}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


class Mesh:
    """The program on one node."""

    def __init__(self, suite, number, *arguments):
        self.host, self.log, self.state = address(number), suite.work / f"mesh-{number}.log", suite.work / f"mesh-{number}"
        self.command = in_space(
            number,
            *(csi.programs() / "niphas-mesh", "run"),
            *("--node", f"node-{number}", "--cache", suite.url, "--members", suite.members, "--keys", suite.tokens.keys),
            *("--token-file", suite.peer, "--state-dir", self.state, "--listen", f"{self.host}:{PORT}"),
            *("--listen-pages", f"{self.host}:{PAGES}", "--log-format", "text"),
            *arguments,
        )

    def start(self):
        with open(self.log, "wb") as log:
            self.process = csi.start(*self.command, stdout=log, stderr=log)

    def page(self):
        with urllib.request.urlopen(f"http://{self.host}:{PAGES}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def status(self):
        """What `niphas-mesh status` prints."""
        program = csi.programs() / "niphas-mesh"
        return json.loads(csi.run(program, "status", "--pages", f"http://{self.host}:{PAGES}", "--output", "json"))

    def is_ready(self, members):
        """It knows its peers, and keys."""
        with contextlib.suppress(OSError):
            return self.metric("members") == members and "jwks.json" in self.log.read_text()
        return False

    def metric(self, name):
        values = re.findall(rf"^niphas_mesh_{re.escape(name)} (\S+)$", self.page(), re.MULTILINE)
        return int(float(values[0])) if values else 0

    def received(self, source):
        return self.metric(f'received_bytes_total{{source="{source}"}}')

    def memory(self):
        """The most that was resident, in MiB."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024

    def kill(self):
        self.process.kill()
        self.process.wait()


class BadPeer:
    """A program in the place of a node's mesh, that misbehaves: see bad_peer.py."""

    def __init__(self, suite, number, how):
        command = (sys.executable, pathlib.Path(__file__).parent / "bad_peer.py", how, suite.folder, address(number), PORT)
        self.process = csi.start(*in_space(number, *command), stdout=subprocess.PIPE)
        csi.equal(self.process.stdout.readline(), b"ready\n", f"a peer that misbehaves ({how})")

    def kill(self):
        self.process.kill()
        self.process.wait()
        return self.process.stdout.read().count(b"bad\n")


class Suite:
    """Nodes, a closure in the cache, and rounds in which nodes publish it. `update` shares all paths with it but its own, and
    `small` is another."""

    def __init__(self, work, network, nodes, zones, size, paths=300):
        self.work, self.network, self.nodes, self.zones, self.folder = work, network, nodes, zones, work / "cache"
        self.tokens = Tokens(work)
        self.peer, self.reader = self.tokens.file(PEER), self.tokens.file(READER)
        self.members, self.url = work / "members.yaml", None
        secret, self.public = csi.new_key(work, "mesh-1")
        first = generated_closure.Closure("mesh", paths, 10 * paths, size)
        update = generated_closure.Closure("update", paths // 5, 2 * paths, size // 5, needs=[first.root])
        small = generated_closure.Closure("small", 60, 600, 16 << 20)
        self.closure, self.update, self.small = csi.copy_generated(work, self.folder, secret, first, update, small)
        self.rounds = 0
        self.know(range(nodes))

    def know(self, numbers):
        """These are the members from now on; each mesh finds out within two seconds."""
        member = lambda number: {"name": f"node-{number}", "zone": f"zone-{number % self.zones}", "address": f"{address(number)}:{PORT}"}
        new = self.members.with_suffix(".new")
        new.write_text(json.dumps({"members": [member(number) for number in numbers]}))
        new.rename(self.members)

    def drivers(self, numbers, with_mesh=True):
        """Drivers with empty stores, and kubelets."""
        self.rounds += 1
        found = {}
        for number in numbers:
            driver = Driver(self.work, number, f"driver-{self.rounds}-{number}")
            configuration = {"defaults": {"caches": [self.url], "trustedKeys": [self.public]}}
            if with_mesh:
                configuration["mesh"] = {"url": f"http://{address(number)}:{PORT}", "tokenFile": str(self.reader)}
            driver.config.write_text(json.dumps(configuration))
            driver.start(wait=False)
            found[number] = driver
        for driver in found.values():
            driver.wait_ready()
        return {number: (driver, csi.Kubelet(driver)) for number, driver in found.items()}

    def begin(self, drivers, closure, name="volume"):
        """Has all publish at once; gives what their answers come in."""
        attributes = closure.attributes("shop")
        return {number: kubelet.send("publish", f"csi-{name}", driver.target(name), attributes, timeout=LONGEST) for number, (driver, kubelet) in drivers.items()}

    def finish(self, what, drivers, answers):
        """The seconds until the last was ready."""
        last = 0
        for number, answer in answers.items():
            answer = answer.get(timeout=LONGEST)
            check(answer["code"] == "Ok", f"{what}: node {number}: {answer['message']}\n{drivers[number][0].tail()}")
            last = max(last, answer["seconds"])
        return last

    def publish(self, what, drivers, closure=None, during=lambda: None, name="volume", new=None):
        """Has all publish at once; the seconds until the last was ready, and the bytes that left the cache, in those of the closure."""
        closure = closure or self.closure
        new = new or size_of(closure)
        before = self.network.sent_by_cache()
        answers = self.begin(drivers, closure, name)
        during()
        last = self.finish(what, drivers, answers)
        sent = (self.network.sent_by_cache() - before) / new
        say(f"{what:22} {len(drivers):>3} nodes: last ready after {last:6.2f} s; {sent:5.2f} times {new / 1e6:.1f} MB left the cache")
        return last, sent

    def end(self, drivers, meshes=(), names=("volume",)):
        for driver, kubelet in drivers.values():
            for name in names:
                kubelet.unpublished(name)
            kubelet.close()
            driver.stop()
            csi.run("rm", "-rf", driver.store)
        for mesh in meshes:
            mesh.kill()

    def meshes(self, numbers=None, *arguments):
        numbers = range(self.nodes) if numbers is None else numbers
        meshes = [Mesh(self, number, *arguments) for number in numbers]
        for mesh in meshes:
            mesh.start()
        self.ready(meshes, len(numbers))
        return meshes

    def ready(self, meshes, members):
        eventually(lambda: all(mesh.is_ready(members) for mesh in meshes), "all meshes know their peers")

    def look(self, what, driver, closure=None, name="volume"):
        """All bytes are there, as Nix reads them."""
        csi.check_view(driver.target(name), closure or self.closure, what)

    def round(self, what, numbers, closure=None, with_mesh=False):
        """One publish from empty stores."""
        drivers = self.drivers(numbers, with_mesh)
        meshes = self.meshes() if with_mesh else ()
        found = self.publish(what, drivers, closure)
        self.end(drivers, meshes)
        return found


def size_of(closure):
    """Bytes of its files in the cache."""
    return sum(int(info["FileSize"]) for info in closure.infos.values())


def spread(suite, meshes):
    """Uploads: the average in bytes, and the least and the most of a node in averages. Bytes between zones, in closures."""
    uploads = [mesh.metric("sent_bytes_total") for mesh in meshes]
    across = sum(mesh.received("OtherZone") for mesh in meshes) / size_of(suite.closure)
    average = sum(uploads) / len(uploads) or 1
    return average, min(uploads) / average, max(uploads) / average, across
