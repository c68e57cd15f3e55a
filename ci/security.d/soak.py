"""A node's driver under mixed attacks by three tenants, while the pods of a fourth come and go.

The same honest volumes are published and unpublished twice: first while nothing else runs, then under attack. What
is measured is what a pod waits: its closure is cold in every tenth volume, and mounted or in the store otherwise.
"""

import contextlib
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

import attacks_tenants
import caches
import csi
import node
import servers
import suite

WRONG = attacks_tenants.WRONG
QUIET_MINUTES = 0.1
# What is promised: p99 under attack is at most twice the quiet one, and a second.
FACTOR, SLACK = 2, 1.0


def main(script, programs, minutes):
    """Runs the soak in namespaces of its own; gives the exit code."""
    if os.environ.get("NIPHAS_SECURITY_SOAK") != "here":
        work = tempfile.mkdtemp(prefix="niphas-security.", dir="/var/tmp")
        group = f"niphas-security-{work.rsplit('.', 1)[1]}"
        environment = {**os.environ, "NIPHAS_SECURITY_SOAK": "here", "NIPHAS_SECURITY_WORK": work, "NIPHAS_SECURITY_GROUP": group}
        apart = ["unshare", "--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        try:
            return subprocess.run([*apart, sys.executable, script, "--programs", programs, "--soak", str(minutes)], env=environment, check=False).returncode
        finally:
            suite.remove(pathlib.Path(work))
            suite.remove_groups(group)
    suite.loopback_up()
    try:
        return soak(pathlib.Path(os.environ["NIPHAS_SECURITY_WORK"]), minutes)
    except (suite.Broken, SystemExit) as broken:
        print(f"ci/security: soak failed: {suite.one_line(str(broken))}")
        return 1
    finally:
        # Threads of the attackers wait for servers that never answer.
        sys.stdout.flush()


class Honest:
    """Publishes and unpublishes; how long each volume took, and what failed."""

    def __init__(self, driver, cache, key):
        self.driver, self.cache, self.key = driver, cache, key
        self.numbers = itertools.count()
        self.warm = [cache.closure(cache.add(f"warm-{number}", attacks_tenants.tree(f"warm-{number}", 20_000))) for number in range(5)]

    def cycle(self, until):
        times, failed = [], []
        while time.monotonic() < until:
            number = next(self.numbers)
            closure = self.warm[number % len(self.warm)]
            if number % 10 == 0:
                closure = self.cache.closure(self.cache.add(f"cold-{number}", attacks_tenants.tree(f"cold-{number}", 20_000)))
            name = f"honest-{number}"
            began = time.monotonic()
            answer = self.driver.publish(name, closure, "good", timeout=60)
            times.append(time.monotonic() - began)
            if answer["code"] != "Ok":
                failed.append(f"{answer['code']}: {answer['message']}")
            self.driver.kubelet.unpublish(name)
            time.sleep(0.05)
        return sorted(times), failed


def percentile(times, share):
    return times[min(len(times) - 1, int(len(times) * share))]


class Attackers:
    """Three tenants; each thread does one thing again and again until the end."""

    def __init__(self, driver, work, keys):
        self.driver, self.keys = driver, keys
        self.over = threading.Event()
        self.kubelet = csi.Kubelet(driver)
        self.asked = dict.fromkeys(("wrong digests", "slow caches", "junk narinfos", "large attributes", "many volumes", "half-open connections"), 0)
        self.number = itertools.count()
        self.wide = caches.HostileCache(work / "wide", keys[0])
        nar = attacks_tenants.tree("wide", 300)
        (self.wide.folder / "nar/all").write_bytes(nar)
        self.names = [f"{caches.hash_part(f'wide-{number}')}-wide-{number}" for number in range(2000)]
        for number, name in enumerate(self.names):
            self.wide.add(name, nar, references=self.names[number * 8 + 1 : number * 8 + 9], URL="nar/all")
        self.slow = caches.HostileCache(work / "slow", keys[1])
        self.slow_roots = [self.slow.closure(self.slow.add(f"slow-{number}", caches.archive(caches.regular(random.Random(number).randbytes(2 << 20))), compression="xz")) for number in range(8)]
        self.slow_server = servers.Server(self.drip)
        self.junk_server = servers.Server(self.junk)

    def drip(self, connection, request, server):
        path = self.slow.folder / servers.path_of(request).lstrip("/")
        if not path.is_file():
            return connection.sendall(servers.answer("404 Not Found"))
        body = path.read_bytes()
        if "nar/" not in str(path):
            return connection.sendall(servers.answer(body=body))
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), 1500):
            connection.sendall(body[start : start + 1500])
            time.sleep(1)
        return None

    def junk(self, connection, request, server):
        """Answers every narinfo with a megabyte that is none, and signs nothing."""
        if b"nix-cache-info" in request:
            return connection.sendall(servers.answer(body=b"StoreDir: /nix/store\n"))
        path = servers.path_of(request)
        text = f"StorePath: /nix/store/{path[1:33]}-junk\nURL: nar/x\nCompression: none\nNarHash: sha256:{'0' * 52}\nNarSize: 100\nReferences: \n"
        text += "".join(f"Sig: {caches.junk_signature(self.keys[1].name, number)}\n" for number in range(8000))
        return connection.sendall(servers.answer(body=text.encode()))

    def volume(self, what, attributes, namespace, timeout=20):
        name = f"evil-{next(self.number)}"
        self.asked[what] += 1
        with_pod = self.driver.attributes(attributes, name, namespace)
        return name, self.kubelet.send("publish", f"csi-{name}", self.driver.target(name), with_pod, timeout=timeout)

    def settle(self, volumes, seconds=25):
        deadline = time.monotonic() + seconds
        for name, answer in volumes:
            with contextlib.suppress(Exception):
                answer.get(timeout=max(0.1, deadline - time.monotonic()))
            self.kubelet.send("unpublish", f"csi-{name}", self.driver.target(name))

    def wanted(self, roots, digest):
        return {f"niphas.io/roots.{csi.SYSTEM}": roots, f"niphas.io/digest.{csi.SYSTEM}": digest}

    def wrong_digests(self):
        self.settle([self.volume("wrong digests", self.wanted(self.names[0], f"sha256:{random.getrandbits(256):064x}"), "evil-1") for _ in range(50)])

    def slow_caches(self):
        self.settle([self.volume("slow caches", closure.attributes(), "evil-2", timeout=8) for closure in self.slow_roots], 10)

    def junk_narinfos(self):
        self.settle([self.volume("junk narinfos", self.wanted(f"{caches.hash_part(str(random.random()))}-junk", WRONG), "evil-3") for _ in range(20)])

    def large_attributes(self):
        names = " ".join(f"{caches.hash_part(str(random.random()))}-a" for _ in range(5000))
        self.settle([self.volume("large attributes", self.wanted(names, WRONG), "evil-3") for _ in range(8)])
        time.sleep(1)

    def many_volumes(self):
        closure = caches.hash_part("nothing") + "-nothing"
        self.settle([self.volume("many volumes", self.wanted(closure, WRONG), "evil-1", timeout=10) for _ in range(200)])
        time.sleep(1)

    def half_open(self):
        import socket

        kept = []
        for _ in range(200):
            with contextlib.suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", self.driver.port), timeout=2)
                connection.sendall(b"GET /metrics HTTP/1.1\r\nX-Junk: " + b"j" * 4000)
                kept.append(connection)
                self.asked["half-open connections"] += 1
        time.sleep(2)
        for connection in kept:
            connection.close()

    def start(self):
        for attack in (self.wrong_digests, self.slow_caches, self.junk_narinfos, self.large_attributes, self.many_volumes, self.half_open):
            threading.Thread(target=self.again, args=(attack,), daemon=True).start()

    def again(self, attack):
        while not self.over.is_set():
            with contextlib.suppress(OSError, ValueError):
                attack()


def soak(work, minutes):
    keys = [caches.Key(f"{name}-1") for name in ("good", "wide", "slow")]
    good = caches.HostileCache(work / "good", keys[0])
    driver = node.Node(work)
    attackers_keys = keys[1:]
    driver.configure({})
    driver.start()
    attackers = Attackers(driver, work, attackers_keys)
    driver.configure(
        {},
        **{
            "good": node.section(f"file://{good.folder}", keys[0]),
            "evil-1": node.section(f"file://{attackers.wide.folder}", keys[1]),
            "evil-2": node.section(attackers.slow_server.url, keys[2]),
            "evil-3": node.section(attackers.junk_server.url, keys[2]),
        },
    )
    honest = Honest(driver, good, keys[0])
    csi.eventually(lambda: driver.publish("first", honest.warm[0], "good")["code"] == "Ok", "the configuration is read", 30)
    began = time.monotonic()
    quiet, failed = honest.cycle(began + max(QUIET_MINUTES, minutes * 0.1) * 60)
    suite.held(not failed, f"an honest volume failed while all was quiet: {failed[:1]}")
    print(f"quiet: {len(quiet)} volumes, p50 {percentile(quiet, 0.5):.3f} s, p99 {percentile(quiet, 0.99):.3f} s", flush=True)
    attackers.start()
    attacked, failed = honest.cycle(time.monotonic() + minutes * 0.9 * 60)
    attackers.over.set()
    p99, bound = percentile(attacked, 0.99), FACTOR * percentile(quiet, 0.99) + SLACK
    print(f"under attack: {len(attacked)} volumes, p50 {percentile(attacked, 0.5):.3f} s, p99 {p99:.3f} s, longest {attacked[-1]:.1f} s, {len(failed)} failed")
    print(f"attacks: {json.dumps(attackers.asked)}")
    limit, peak = node.deployed_memory() >> 20, driver.group.peak()
    print(f"driver: {'alive' if driver.process.poll() is None else 'ended'}, resident {driver.memory() if driver.process.poll() is None else 0:.0f} MiB, peak of the group {peak or 0:.0f} MiB of {limit}")
    broken = []
    if driver.process.poll() is not None:
        broken.append(f"the driver ended with {driver.process.poll()}")
    if failed:
        broken.append(f"{len(failed)} honest volumes failed: {suite.one_line(failed[0], 200)}")
    if p99 > bound:
        broken.append(f"p99 {p99:.2f} s is more than {bound:.2f} s")
    for reason in broken:
        print(f"BROKEN: {reason}")
    print(f"ci/security: soak of {minutes:g} minutes {'failed' if broken else 'passed'}")
    return 1 if broken else 0
