"""A node's driver as deploy/csi.yaml runs it: its settings, and its limit of memory."""

import contextlib
import os
import pathlib
import re
import threading
import time
import uuid

import cgroup
import csi
from cgroup import deployed_memory
from suite import Broken, held, lacks


class Group(cgroup.Group):
    """One that this attack's end removes."""

    def __init__(self, name, limit):
        prefix = os.environ.get("NIPHAS_SECURITY_GROUP", f"niphas-security-{os.getpid()}")
        try:
            super().__init__(f"{prefix}-{name}", limit)
        except cgroup.Unavailable as error:
            lacks(True, str(error))


def makes_groups():
    with contextlib.suppress(Exception):
        Group("probe", 1 << 30).remove()
        return True
    return False


def has_flag(flag):
    return flag.encode() in csi.run(csi.programs() / "niphas-csi", "run", "--help")


class Node(csi.Driver):
    """The driver in a group of its own; `kubelet` calls it."""

    def __init__(self, work, *arguments, name="node", memory=None, garbage=True):
        self.kubelet_root = work / f"{name}-kubelet"
        (self.kubelet_root / "pods").mkdir(parents=True)
        flags = list(arguments)
        if garbage and "--gc-above" not in flags:
            flags += ["--gc-above", "80%", "--gc-down-to", "70%"]
        for flag in ("--kubelet-dir", "--kubelet-root"):
            if has_flag(flag):
                flags += [flag, self.kubelet_root]
        super().__init__(work, *flags, name=name, group=Group(name, memory or deployed_memory()))
        self.kubelet = None
        self.uids = {}

    def start(self, wait=True, seconds=30):
        super().start(wait=False)
        if wait:
            self.ready(seconds)
            self.kubelet = csi.Kubelet(self)
        return self

    def ready(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            held(self.process.poll() is None, f"the driver ended with {self.process.poll()} while it started: {self.tail(3)}")
            with contextlib.suppress(OSError):
                if self.page("readyz")[0] == 200:
                    return
            time.sleep(0.02)
        raise Broken(f"the driver was not ready after {seconds} s")

    def mounts(self):
        """Those of the driver's folder, and those below kubelet's."""
        found = super().mounts()
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            if (where := line.split()[4]).startswith(f"{self.kubelet_root}/"):
                found[where] = line
        return found

    # Volumes as kubelet's.

    def uid(self, name):
        return self.uids.setdefault(name, str(uuid.uuid5(uuid.NAMESPACE_OID, name)))

    def target(self, name):
        folder = self.kubelet_root / "pods" / self.uid(name) / "volumes/kubernetes.io~csi/nix"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "mount"

    def attributes(self, closure, name, namespace="shop", **options):
        """A pod's attributes, and what kubelet adds to them."""
        given = closure if isinstance(closure, dict) else closure.attributes(**options)
        pod = {"pod.namespace": namespace, "pod.name": name, "pod.uid": self.uid(name), "serviceAccount.name": "default"}
        return {**given, **{f"csi.storage.k8s.io/{key}": value for key, value in pod.items()}, "csi.storage.k8s.io/ephemeral": "true"}

    def publish(self, name, closure, namespace="shop", timeout=30, **options):
        return self.kubelet.publish(name, self.attributes(closure, name, namespace, **options), timeout=timeout)

    def published(self, name, closure, namespace="shop", timeout=30, **options):
        answer = self.publish(name, closure, namespace, timeout, **options)
        held(answer["code"] == "Ok", f"an honest volume in namespace {namespace} is refused: {answer['code']}: {answer['message']}")
        return self.target(name)

    def send(self, name, closure, namespace="shop", timeout=30, **options):
        return self.kubelet.send("publish", f"csi-{name}", self.target(name), self.attributes(closure, name, namespace, **options), timeout=timeout)

    def lives(self, what):
        """The driver was not killed, and answers."""
        code = self.process.poll()
        held(code is None, f"{what}: the driver ended with {code}")
        status = None
        for _ in range(3):
            with contextlib.suppress(OSError):
                status = self.page("healthz")[0]
                break
        held(status == 200, f"{what}: the driver's /healthz says {status}")


def section(url, *keys, **more):
    """A section of csi.yaml."""
    return {"caches": [url] if isinstance(url, str) else list(url), "trustedKeys": [key.public for key in keys], **more}


def watch_death(node, seconds, until=lambda: False):
    """Waits until the driver is dead, or `until`, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and node.process.poll() is None and not until():
        time.sleep(0.05)


def in_background(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread
