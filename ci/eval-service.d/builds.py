"""Builds of the evaluation service on a cluster of ci/cluster, whose nodes have what deploy/ puts there.

The service runs on the control plane's host, with the rules of deploy/eval.yaml and deploy/eval-builds. Pods and nodes reach it by the
address of a Service, which leads to all replicas that there are.
"""

import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import urllib.error
import urllib.request

import service
import tools
from build_pods import NODE, SHELL
from cluster import HOST, ROOT, cluster, kubectl, load_programs
from cluster import run as must_run
from service import require, run, wait

BUILDS, IMAGE = "niphas-builds", "localhost/niphas-eval:1"
# The image that deploy/seccomp names: its commands are busybox's.
BUSYBOX = "docker.io/library/busybox:1.37.0"
# Where the Service is, and the port of the first replica.
ADDRESS, PORT = "10.96.0.98", 9821
FLAKE = "examples/builds"


def on_cluster(script: str, *arguments: object) -> None:
    """Starts a cluster that can build, and on its control plane's host the script again, with `--on-host`."""
    cluster("down")
    try:
        cluster("up", "--nodes", "2")
        # Kubelets of ci/cluster do not measure their disks, which pods of builds ask for.
        disk = {"ephemeral-storage": "20Gi"}
        patch = json.dumps({"status": {"capacity": disk, "allocatable": disk}})
        kubectl("patch", "node", NODE, "--subresource=status", "--type=merge", "--patch", patch)
        images()
        state = dict(line.split("=", 1) for line in cluster("env").splitlines())
        os.environ |= {
            "LOOPBACK": HOST,
            "STATE": state["NIPHAS_CLUSTER"],
            "KUBECONFIG": state["KUBECONFIG"],
            "PATH": f"{os.environ['PATH']}:{state['NIPHAS_CLUSTER_PARTS']}",
            "KUBECACHEDIR": f"{state['NIPHAS_CLUSTER']}/kubectl-cache",
        }
        command = ["cluster", "run", sys.executable, script, "--on-host", *map(str, arguments)]
        done = os.spawnv(os.P_WAIT, ROOT / "ci/cluster", command)
        if done != 0:
            sys.exit(done)
    finally:
        if not os.environ.get("NIPHAS_KEEP_CLUSTER"):
            cluster("down")


def load(name: str, *files: object) -> None:
    with tempfile.TemporaryDirectory(prefix="niphas-images-") as folder:
        image = pathlib.Path(folder, "image.tar")
        must_run(ROOT / "ci/image", image, name, *files)
        cluster("load-image", image)


def images() -> None:
    load(BUSYBOX, *(f"{SHELL}:/bin/{name}" for name in ("sh", "cp", "mv", "sleep")))
    with tempfile.TemporaryDirectory(prefix="niphas-stripped-") as folder:
        stripped = pathlib.Path(folder, "niphas-eval")
        must_run("strip", "-o", stripped, service.PROGRAM)
        load(IMAGE, stripped, f"{SHELL}:{SHELL}")
    load_programs(tools.node_programs(), "niphas-csi", "niphas-operator")


class Service(service.Service):
    """The service, with builds."""

    def __init__(self, world, number=1):
        super().__init__(world, number)
        self.builds_port = PORT + number - 1
        self.arguments = ("--listen-builds", f"{HOST}:{self.builds_port}")

    def leads(self):
        return self.sum("niphas_eval_leader") == 1

    def cached(self, path):
        """What the cache says of a path, over HTTP, at this replica."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.builds_port}/{path}", timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return f"HTTP {error.code}"


class World(service.World):
    """The cluster, a Git server with a flake whose packages no cache has, and replicas of the service."""

    # deploy/csi.yaml has the other.
    namespaces = ("shop", "forge")
    Service = Service
    # Of the configuration, beside what stands below.
    policy, limits, runs = {}, {"grace": "5s"}, 2

    def make_repositories(self):
        super().make_repositories()
        flake = self.folder / "checkouts/web" / FLAKE
        shutil.copytree(ROOT / "ci/eval-builds.d/flake", flake)
        (flake / "programs").mkdir()
        shutil.copy(SHELL, flake / "programs/busybox")
        self.push("web", "builds")

    def set_up_cluster(self):
        self.kubectl("apply", "--kustomize", ROOT / "deploy/seccomp", "--namespace", "")
        self.kubectl("rollout", "status", "daemonset/niphas-seccomp", "--namespace", "niphas-seccomp", "--timeout", "60s")
        for file in ("csi", "operator"):
            self.kubectl("apply", "--server-side", "--filename", ROOT / f"deploy/{file}.yaml", "--namespace", "")
        self.kubectl("apply", "--server-side", "--filename", ROOT / "deploy/crd.yaml")
        self.kubectl("apply", "--filename", ROOT / "deploy/eval-builds/builds.yaml", "--namespace", "")
        super().set_up_cluster()
        # The service itself runs here.
        self.kubectl("delete", "deployment/niphas-eval", "--namespace", "niphas-system")
        self.apply("niphas-system", {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "replicas"},
            "spec": {"clusterIP": ADDRESS, "ports": [{"name": "builds", "port": 80, "targetPort": "builds"}]},
        })  # fmt: skip
        self.expose(self.service)

    def apply(self, namespace, item):
        self.kubectl("apply", "--filename", "-", namespace=namespace, input=json.dumps(item))

    def expose(self, replica):
        """Has the Service lead to a replica, too."""
        self.apply("niphas-system", {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": replica.identity, "labels": {"kubernetes.io/service-name": "replicas"}},
            "addressType": "IPv4",
            "ports": [{"name": "builds", "port": replica.builds_port}],
            "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
        })  # fmt: skip

    def replicate(self):
        """Starts another replica, which stands by if one leads."""
        replica = self.Service(self, len(self.replicas) + 1)
        self.replicas.append(replica)
        replica.start()
        wait("the other replica", lambda: replica.sum("niphas_eval_leader") in (0, 1), 30)
        self.expose(replica)
        return replica

    def leader(self):
        return next((replica for replica in self.replicas if replica.leads()), None)

    def configure(self):
        super().configure()
        self.builds = self.folder / "builds"
        secret, self.public_key = self.key()
        (self.folder / "signing.key").write_text(secret)
        path = self.folder / "config.yaml"
        config = json.loads(path.read_text())
        config["builds"] = {
            "signingKeyFile": str(self.folder / "signing.key"),
            "folder": str(self.builds),
            "jobs": {
                "namespace": BUILDS,
                "image": IMAGE,
                "service": f"http://{ADDRESS}",
                "serviceAccount": "niphas-build",
                "audience": "niphas-eval",
                "seccompProfile": "niphas/niphas-build.json",
                "shell": SHELL,
            },
            # ci/cluster gives every second node a runc that can have user namespaces with volumes.
            "policy": {
                "nodeSelector": {"kubernetes.io/hostname": NODE},
                "resources": {"cpu": "100m", "memory": "256Mi", "disk": "1Gi", "timeout": "5m"},
            } | self.policy,
            "limits": self.limits,
        }  # fmt: skip
        config["namespaces"][0]["builds"] = True
        config["limits"] = {"runs": self.runs, "time": "60s", "memoryMebibytes": 2048}
        path.write_text(json.dumps(config))
        driver = {"defaults": {"caches": [f"http://{ADDRESS}"], "trustedKeys": [self.public_key]}}
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "niphas-csi"}, "data": {"csi.yaml": json.dumps(driver)}}
        self.apply("niphas-system", config_map)
        self.kubectl("rollout", "restart", "daemonset/niphas-csi", "--namespace", "niphas-system")
        self.kubectl("rollout", "status", "daemonset/niphas-csi", "--namespace", "niphas-system", "--timeout", "90s")

    def key(self):
        """A key pair in Nix's form: the secret key, and the public one."""
        pem = run("openssl", "genpkey", "-algorithm", "ed25519")
        secret = base64.b64decode("".join(pem.splitlines()[1:-1]))[-32:]
        public = base64.b64decode("".join(run("openssl", "pkey", "-pubout", input=pem).splitlines()[1:-1]))[-32:]
        encode = lambda key: base64.b64encode(key).decode()  # noqa: E731
        return f"builds-1:{encode(secret + public)}", f"builds-1:{encode(public)}"

    def packages(self, **change):
        """A source of the flake with the packages."""
        return {"flake": {"dir": FLAKE}, "target": {"dir": "deploy/shop"}} | change

    def all_jobs(self):
        return json.loads(self.kubectl("get", "jobs", "--namespace", BUILDS, "--output", "json"))["items"]

    def jobs(self):
        """The Jobs by what they build."""
        return {job["metadata"]["annotations"]["niphas.io/derivation"].partition("-")[2].removesuffix(".drv"): job for job in self.all_jobs()}

    def pods(self):
        return json.loads(self.kubectl("get", "pods", "--namespace", BUILDS, "--output", "json"))["items"]

    def uid(self, derivation):
        """The UID of the Job of a derivation, if there is one."""
        name = f"job/niphas-build-{derivation.partition('-')[0]}"
        return self.kubectl("get", name, "--namespace", BUILDS, "--output", "jsonpath={.metadata.uid}", check=False).strip()

    def unfinished(self):
        """The derivations of Jobs that have not ended."""
        ended = lambda job: any(it["status"] == "True" for it in job["status"].get("conditions", []))  # noqa: E731
        return {job["metadata"]["annotations"]["niphas.io/derivation"] for job in self.all_jobs() if not ended(job)}

    def run_path(self, name):
        """The page of the last run of a source."""
        text = self.service.page(f"/sources/shop/{name}")[2]
        return max(re.findall(rf'"(/sources/shop/{name}/runs/[^"]+)"', text))

    def run_page(self, name):
        code, _, text = self.service.page(self.run_path(name))
        require(code == 200, f"the page of the run: {code}\n{text}")
        return text

    def look(self, name, path):
        """Opens a page in a browser, where NIPHAS_LOOK names a folder for the picture."""
        folder = os.environ.get("NIPHAS_LOOK")
        if not folder:
            return
        from browser import Browser  # noqa: PLC0415

        with Browser() as browser:
            page = browser.page(width=1280, height=1000, scheme="light")
            page.open(self.service.pages_url + path)
            require(not page.problems and not page.overflow(), f"{path} in a browser: {page.problems} {page.overflow()}")
            page.screenshot(pathlib.Path(folder, f"{name}.png"))

    def failed_build(self, name, revision):
        for past in self.status(name).get("history", []):
            if past["revision"] == revision and past.get("result") == "BuildFailed":
                return past["message"]
        return None

    def diagnosis(self):
        said = super().diagnosis()
        for replica in self.replicas[1:]:
            said += "\n" + "\n".join(replica.log.read_text().splitlines()[-40:])
        for what in (("get", "jobs,pods"), ("describe", "pods"), ("get", "events", "--sort-by=.lastTimestamp")):
            said += "\n" + self.kubectl(*what, "--namespace", BUILDS, check=False)[-6000:]
        for pod in self.kubectl("get", "pods", "--namespace", BUILDS, "--output", "name", check=False).split():
            said += "\n" + self.kubectl("logs", pod, "--namespace", BUILDS, check=False)[-3000:]
        return said

    def nothing_was_forbidden(self):
        logs = "".join(replica.log.read_text() for replica in self.replicas)
        forbidden = [line for line in logs.splitlines() if "is forbidden: User" in line]
        require(not forbidden, f"the API server forbade something: {forbidden[:3]}")


@contextlib.contextmanager
def world_of(kind, prefix, *arguments):
    """A world in a folder of its own; what it says of itself is printed if something fails."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir="/var/tmp") as folder, kind(pathlib.Path(folder), *arguments) as world:
        try:
            yield world
        except BaseException:
            print(world.diagnosis(), file=sys.stderr)
            raise
        world.nothing_was_forbidden()
