"""What suites of the operator need: a control plane, namespaces, workloads, and operators that run there."""

import contextlib
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import tools

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = (
    "serviceaccounts,configmaps,services,deployments.apps,statefulsets.apps,daemonsets.apps,jobs.batch,cronjobs.batch,"
    "horizontalpodautoscalers.autoscaling,poddisruptionbudgets.policy,networkpolicies.networking.k8s.io,ingresses.networking.k8s.io"
)


def wait(what, condition, seconds=30):
    """Waits until the condition gives something, and gives that."""
    end = time.monotonic() + seconds
    while not (got := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.1)
    return got


@functools.cache
def program():
    return str(tools.node_programs() / "niphas-operator")


def sample(name, kind="Deployment", *, replicas=1, full=False, system="x86_64-linux"):
    """A workload; with all that can be beside one."""
    spec = {
        "kind": kind,
        "closures": [
            {
                "system": system,
                "roots": ["/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0"],
                "digest": f"sha256:{'0' * 64}",
                "narSize": 1000,
                "pathCount": 2,
            }
        ],
        "command": ["/nix/root/bin/web"],
        "ports": {"http": {"port": 8080}},
    }
    if kind in ("Deployment", "StatefulSet"):
        spec["replicas"] = replicas
    if kind == "CronJob":
        spec["cronJob"] = {"schedule": "@daily"}
    if kind not in ("Job", "CronJob") or full:
        spec["service"] = {}
    if full:
        spec |= {
            "files": {"/etc/web.conf": {"text": "a = 1\n"}},
            "ingress": {"hosts": {"example.org": {}}},
            "networkPolicy": {"ingress": []},
            "serviceAccount": {},
        }
        if kind in ("Deployment", "StatefulSet"):
            spec |= {"autoscaling": {"maxReplicas": 3, "cpu": 80}, "disruptionBudget": {"maxUnavailable": 1}}
    return {"apiVersion": "niphas.io/v1alpha1", "kind": "NiphasWorkload", "metadata": {"name": name}, "spec": spec}


class Plane:
    """The control plane that ci/apiserver started, with Kubernetes' controllers beside it."""

    def __init__(self, folder):
        self.folder, self.state, self.parts = folder, pathlib.Path(os.environ["STATE"]), pathlib.Path(os.environ["PARTS"])
        self.controllers = None

    def kubectl(self, *arguments, input=None, check=True):
        command = ["kubectl", *map(str, arguments)]
        done = subprocess.run(command, input=input, text=True, capture_output=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def kubectl_said(self, *arguments, input=None):
        """All that kubectl says, whether it succeeds or not."""
        done = subprocess.run(["kubectl", *map(str, arguments)], input=input, text=True, capture_output=True, check=False)
        return done.stdout + done.stderr

    def start(self):
        configuration, loopback = self.state / "controller-manager.conf", os.environ["LOOPBACK"]
        command = [
            self.parts / "kube-controller-manager", f"--kubeconfig={configuration}", f"--bind-address={loopback}",
            f"--authentication-kubeconfig={configuration}", f"--authorization-kubeconfig={configuration}",
            f"--service-account-private-key-file={self.state}/pki/sa.key", f"--root-ca-file={self.state}/pki/ca.crt",
            "--use-service-account-credentials=true", "--leader-elect=false",
        ]  # fmt: skip
        with open(self.state / "log/kube-controller-manager.log", "w") as log:
            self.controllers = subprocess.Popen(command, stdout=log, stderr=log)
        self.kubectl("apply", "--server-side", "--filename", ROOT / "deploy/crd.yaml")
        # kubectl fails where the definition has no conditions yet.
        established = ("wait", "--for=condition=Established", "crd/niphasworkloads.niphas.io")
        wait("the definition", lambda: self.kubectl(*established, check=False))
        self.kubectl("create", "namespace", "niphas-system")
        # Its own pods are not to be scheduled here.
        self.kubectl("apply", "--filename", ROOT / "deploy/operator.yaml")
        self.kubectl("delete", "deployment/niphas-operator", "--namespace", "niphas-system", "--wait=false")
        token = self.kubectl("create", "token", "niphas-operator", "--namespace", "niphas-system", "--duration", "24h").strip()
        admin = (self.state / "admin.conf").read_text()
        users = f"users:\n- name: admin\n  user: {{token: {token}}}\n"
        (self.folder / "kubeconfig").write_text(re.sub(r"(?s)users:\n.*?(?=contexts:)", users, admin))

    def stop(self):
        if self.controllers:
            self.controllers.kill()
            self.controllers.wait()

    def restart_api_server(self):
        """Ends it by force, and starts it again after a while; the seconds that it was away."""
        file = self.state / "log/kube-apiserver.pid"
        pid = int(file.read_text())
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        time.sleep(3)
        with open(self.state / "log/kube-apiserver-again.log", "w") as log:
            again = subprocess.Popen(command, stdout=log, stderr=log)
        file.write_text(str(again.pid))
        wait("the API server", lambda: self.kubectl("get", "--raw", "/readyz", check=False) == "ok", 60)
        return time.monotonic() - killed

    @contextlib.contextmanager
    def namespace(self, name):
        self.kubectl("create", "namespace", name)
        try:
            yield Namespace(self, name)
        finally:
            # The next operator must find no workload whose children it may not make any more. All else goes while it runs.
            # All at once: without finalizers they are gone with the answer.
            self.kubectl("delete", "--raw", f"/apis/niphas.io/v1alpha1/namespaces/{name}/niphasworkloads", check=False)
            self.kubectl("delete", "namespace", name, "--wait=false", check=False)


class Namespace:
    """A namespace, and what is in it."""

    def __init__(self, plane, name):
        self.plane, self.name = plane, name

    def kubectl(self, *arguments, input=None, check=True):
        return self.plane.kubectl("--namespace", self.name, *arguments, input=input, check=check)

    def create(self, item):
        self.kubectl("create", "--filename", "-", input=json.dumps(item))

    def patch(self, name, patch):
        self.kubectl("patch", f"nw/{name}", "--type=merge", "--patch", json.dumps(patch))

    def get(self, kind, name):
        text = self.kubectl("get", kind, name, "--ignore-not-found", "--output", "json")
        return json.loads(text) if text else None

    def has(self, kind, name):
        """Whether there is such an object; the kind may be unknown."""
        return bool(self.kubectl("get", kind, name, "--ignore-not-found", "--output", "name", check=False))

    def child_objects(self, workload):
        text = self.kubectl("get", NAMES, "--selector", f"niphas.io/workload={workload}", "--output", "json")
        return [item for item in json.loads(text)["items"] if item["metadata"].get("ownerReferences")]

    def children(self, workload):
        """The kinds of a workload's children, in the order of the alphabet."""
        plural = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}
        return sorted(plural.get(kind, kind.lower() + "s") for kind in (child["kind"] for child in self.child_objects(workload)))

    def conditions(self, workload):
        item = self.get("nw", workload) or {}
        return {condition["type"]: condition for condition in item.get("status", {}).get("conditions", [])}

    def condition(self, workload, name):
        condition = self.conditions(workload).get(name, {})
        return condition.get("status"), condition.get("reason")

    def message(self, workload, name):
        return self.conditions(workload).get(name, {}).get("message", "")

    def observed(self, workload):
        item = self.get("nw", workload)
        return item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"]


class Operator:
    """An operator, as a process."""

    port = 19810

    def __init__(self, plane, identity, *flags):
        Operator.port += 1
        self.plane, self.identity, self.port = plane, identity, Operator.port
        self.log = plane.folder / f"{identity}-{self.port}.log"
        self.command = [
            program(), "--kubeconfig", plane.folder / "kubeconfig", "--identity", identity, "--log", "info",
            "--listen", f"{os.environ['LOOPBACK']}:{self.port}", *flags,
        ]  # fmt: skip
        self.process = None
        self.forbidden = 0
        self.start()

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        """Asks it to end, and waits until it has."""
        if self.process.poll() is None:
            self.process.terminate()
            if (code := self.process.wait(timeout=40)) != 0:
                raise AssertionError(f"asked to end, {self.identity} ended with {code}")

    def is_alive(self):
        return self.process.poll() is None

    def metrics(self):
        """All that it tells: {'name{labels}': value}."""
        try:
            with urllib.request.urlopen(f"http://{os.environ['LOOPBACK']}:{self.port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}

    def sum(self, name):
        return sum(value for key, value in self.metrics().items() if key.split("{")[0] == name)

    def leads(self):
        return self.sum("niphas_operator_synced") == 1

    def reconciles(self):
        return self.sum("controller_runtime_reconcile_total")

    def requests(self):
        """The requests so far, by method and status; without the renewals of the Lease."""
        found = {}
        for key, value in self.metrics().items():
            if key.startswith("rest_client_requests_total"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', key))
                # Nothing else is replaced.
                if labels["method"] != "PUT":
                    found[f"{labels['method']} {labels['code']}"] = int(value)
        return found

    def refusals(self):
        return {key: number for key, number in self.requests().items() if key.endswith((" 401", " 403"))}

    def memory(self):
        """The most memory that it had, and has now, in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return tuple(int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024 for name in ("VmHWM", "VmRSS"))


class Running:
    """The operators of one case."""

    def __init__(self, plane):
        self.plane, self.operators, self.refused = plane, [], {}

    @contextlib.contextmanager
    def operator(self, identity="operator", **flags):
        words = [word for flag, value in flags.items() for word in (f"--{flag.replace('_', '-')}", value)]
        operator = Operator(self.plane, identity, *words)
        self.operators.append(operator)
        try:
            yield operator
            self.refused |= operator.refusals()
            operator.terminate()
        finally:
            operator.kill()

    def forbidden(self):
        return self.refused

    def tell_logs(self):
        for operator in self.operators:
            print(f"      the end of the log of {operator.identity}:")
            print("".join(f"      {line}\n" for line in operator.log.read_text().splitlines()[-15:]))


@contextlib.contextmanager
def control_plane():
    """Starts a control plane, by starting this program again within ci/apiserver."""
    if "GATEWAY_API" not in os.environ:
        os.execv(ROOT / "ci/apiserver", [str(ROOT / "ci/apiserver"), sys.executable, *sys.argv])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="niphas-operator-"))
    plane = Plane(folder)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()
        shutil.rmtree(folder)
