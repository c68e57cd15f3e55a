"""Pods that build, on a cluster of ci/cluster: without capabilities, in user namespaces of their own."""

import json
import pathlib
import subprocess
import sys

from cluster import ROOT, kubectl

NAMESPACE, IMAGE = "builds", "localhost/niphas-build:1"
# A static shell, in the image too.
SHELL = "/bin/busybox"
# ci/cluster gives every second node a runc that can have user namespaces with volumes.
NODE = "node2"


def compile_probe(program: pathlib.Path) -> None:
    """The program of ci/build-sandbox, the same bytes each time: they are an input of the build."""
    subprocess.run(["gcc", "-O1", "-D_GNU_SOURCE", "-static", "-o", program, ROOT / "ci/build-parity.d/probe.c"], check=True)


def pod(name: str, command: list[str], **security: object) -> dict:
    """A pod that builds, with the folder /graph of the ConfigMap `graph`; `security` replaces fields of the container's."""
    context = {
        "procMount": "Unmasked",
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "Localhost", "localhostProfile": "niphas/niphas-build.json"},
    } | security
    container = {
        "name": "build",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command),
        "env": [{"name": "HOME", "value": "/work"}, {"name": "NO_COLOR", "value": "1"}],
        "securityContext": {key: value for key, value in context.items() if value is not None},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}, {"name": "graph", "mountPath": "/graph"}],
        "resources": {"limits": {"memory": "512Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "hostUsers": False,
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "nodeSelector": {"kubernetes.io/hostname": NODE},
            "containers": [container],
            "volumes": [{"name": "work", "emptyDir": {}}, {"name": "graph", "configMap": {"name": "graph"}}],
        },
    }


def run_pod(manifest: dict) -> tuple[int, str]:
    """Runs a pod to its end; its exit code, and all that it said."""
    name = manifest["metadata"]["name"]
    kubectl("apply", "--filename", "-", input=json.dumps(manifest))
    got = wait_for_end(name)
    log = kubectl("logs", name, "--namespace", NAMESPACE)
    kubectl("delete", "pod", name, "--namespace", NAMESPACE, "--grace-period", "1", "--wait=false")
    return got, log


def wait_for_end(name: str) -> int:
    condition = 'jsonpath={.status.containerStatuses[0].state.terminated.exitCode}'
    command = [ROOT / "ci/cluster", "kubectl", "wait", "--namespace", NAMESPACE, "--for", condition, "--timeout", "90s", f"pod/{name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(kubectl("describe", "pod", name, "--namespace", NAMESPACE), file=sys.stderr)
        sys.exit(f"FAILED: the pod {name} did not end: {done.stderr}")
    status = json.loads(kubectl("get", "pod", name, "--namespace", NAMESPACE, "--output", "json"))["status"]
    return status["containerStatuses"][0]["state"]["terminated"]["exitCode"]
