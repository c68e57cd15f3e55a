"""A cluster of ci/cluster with the CSI driver in it, and servers on its control plane's host."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The control plane's host, which pods and nodes reach.
HOST = "198.51.100.1"


def run(*command: object, **options: object) -> str:
    """Runs a command; its output. If it fails, so does this, and tells what it said."""
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"FAILED: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def cluster(*arguments: object, **options: object) -> str:
    return run(ROOT / "ci/cluster", *arguments, **options)


def kubectl(*arguments: object, **options: object) -> str:
    return cluster("kubectl", *arguments, **options)


def objects(kind: str, *arguments: str) -> list[dict]:
    return json.loads(kubectl("get", kind, "--output", "json", *arguments))["items"]


def wait(what: str, condition, seconds: float = 90):
    """Waits until the condition gives something, and gives that."""
    end = time.monotonic() + seconds
    while not (got := condition()):
        if time.monotonic() > end:
            describe()
            sys.exit(f"FAILED: waited {seconds} s for {what}")
        time.sleep(0.3)
    return got


def describe() -> None:
    """Prints what the cluster says of itself, the newest last: events of system namespaces are left out."""
    commands = [
        ("logs", "--namespace", "niphas-system", "--selector", "app.kubernetes.io/name in (niphas-csi,niphas-mesh)", "--tail=15", "--prefix"),
        ("get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp", "--field-selector=metadata.namespace!=kube-system"),
        ("get", "niphasworkloads,applications", "--all-namespaces", "--output=jsonpath={range .items[*]}{.metadata.name}: {.status}{'\\n'}{end}"),
        ("get", "nodes,pods", "--all-namespaces", "--output=wide"),
    ]
    for command in commands:
        done = subprocess.run([ROOT / "ci/cluster", "kubectl", *command], text=True, capture_output=True, check=False)
        print(f"-- kubectl {' '.join(command)}\n{done.stdout[-8000:]}{done.stderr[-2000:]}", file=sys.stderr)


def seen(what: str) -> None:
    print(f"seen: {what}", flush=True)


@contextlib.contextmanager
def server(*command: object):
    command = tuple(str(part) for part in (ROOT / "ci/cluster", "run", *command))
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def listens(port: int) -> bool:
    command = [ROOT / "ci/cluster", "run", "curl", "--silent", "--output", "/dev/null", f"http://{HOST}:{port}/"]
    return subprocess.run(command, check=False).returncode == 0


def load_programs(programs: pathlib.Path, *names: str) -> None:
    """Puts an image of each of the programs in a folder on every node, as it is deployed: niphas.invalid/NAME:dev."""
    with tempfile.TemporaryDirectory(prefix="niphas-images-") as folder:
        for name in names:
            stripped, image = pathlib.Path(folder, name), pathlib.Path(folder, f"{name}.tar")
            run("strip", "-o", stripped, programs / name)
            run(ROOT / "ci/image", image, f"niphas.invalid/{name}:dev", stripped)
            cluster("load-image", image)
            seen(f"the image of {name}: {image.stat().st_size / 2**20:.1f} MiB")


def deploy_driver(key: str) -> None:
    """Installs deploy/csi.yaml; nodes fetch from the cache at port 8000 of HOST, and trust the key."""
    kubectl("apply", "--filename", ROOT / "deploy/csi.yaml")
    config = json.dumps({"defaults": {"caches": [f"http://{HOST}:8000"], "trustedKeys": [key]}})
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "niphas-csi", "namespace": "niphas-system"},
        "data": {"csi.yaml": config},
    }
    kubectl("apply", "--filename", "-", input=json.dumps(config_map))
    kubectl("rollout", "restart", "daemonset/niphas-csi", "--namespace", "niphas-system")
    kubectl("rollout", "status", "daemonset/niphas-csi", "--namespace", "niphas-system", "--timeout", "60s")
    wait("kubelet to take the driver", lambda: all(node["spec"].get("drivers") for node in objects("csinodes")))
    seen("kubelet registered the driver on every node")


def deploy_operator() -> None:
    """Installs deploy/operator.yaml, with the definition of NiphasWorkload."""
    for file in ("crd", "operator"):
        kubectl("apply", "--server-side", "--filename", ROOT / f"deploy/{file}.yaml")
    kubectl("rollout", "status", "deployment/niphas-operator", "--namespace", "niphas-system", "--timeout", "60s")
    holder = wait("a replica of the operator to lead", leader)
    seen(f"the operator leads: {holder}")


def leader() -> str | None:
    """The replica of the operator that leads."""
    leases = objects("leases", "--namespace", "niphas-system")
    holders = [lease["spec"].get("holderIdentity") for lease in leases if lease["metadata"]["name"] == "niphas-operator"]
    return holders[0] if holders else None


def condition(namespace: str, workload: str, name: str) -> dict:
    """A condition of a workload; one that says nothing as long as there is none."""
    item = json.loads(kubectl("get", "niphasworkload", workload, "--namespace", namespace, "--output", "json"))
    found = [one for one in item.get("status", {}).get("conditions", []) if one["type"] == name]
    return found[0] if found else {"status": "Unknown"}


def install_gateway_api() -> None:
    """The definitions of the Gateway API, of the version that ci/apiserver has."""
    version = re.search(r"^GATEWAY_API_VERSION=(\S+)$", (ROOT / "ci/apiserver").read_text(), re.MULTILINE)[1]
    module = json.loads(run("go", "mod", "download", "-json", f"sigs.k8s.io/gateway-api@{version}"))["Dir"]
    kubectl("apply", "--server-side", "--filename", f"{module}/config/crd/standard")
    kubectl("wait", "--for=condition=Established", "crd/httproutes.gateway.networking.k8s.io", "--timeout=30s")
