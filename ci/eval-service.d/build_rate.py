"""How many trivial derivations a minute are built by Jobs, and how many pods that do nothing the same cluster runs meanwhile."""

import datetime
import json
import statistics
import time

import builds
from build_pods import SHELL
from builds import BUILDS, FLAKE
from service import wait

PACKAGES = """# Derivations that take no time to build, and a workload that needs all of them.
system:
let
  programs = ./programs;
  build =
    name: attributes: script:
    derivation ({ inherit name system; builder = "/bin/sh"; args = [ "-euc" script ]; } // attributes);
  jobs = builtins.genList (number: build "trivial-${toString number}" { inherit programs; } "echo done > $out") COUNT;
in
rec {
  site = build "site-1.0" { inherit jobs; } "echo done > $out";
  web = build "web-1.0" { inherit programs site; } ''
    "$programs/busybox" mkdir -p "$out/bin"
    "$programs/busybox" cp "$programs/busybox" "$out/bin/busybox"
  '' // { meta.mainProgram = "busybox"; };
}
"""


class World(builds.World):
    """One source whose flake needs a number of trivial derivations."""

    policy = {"keepBuilt": "2h", "resources": {"cpu": "10m", "memory": "64Mi", "disk": "10Mi", "timeout": "5m"}}

    def __init__(self, folder, count, at_once):
        super().__init__(folder)
        self.count, self.limits = count, {"jobs": at_once, "jobsOfNamespace": at_once}

    def make_repositories(self):
        super().make_repositories()
        (self.folder / "checkouts/web" / FLAKE / "packages.nix").write_text(PACKAGES.replace("COUNT", str(self.count)))
        self.push("web", "trivial derivations")


def seconds(text):
    return datetime.datetime.fromisoformat(text).timestamp()


class Steps:
    """Where the time of pods goes, by what the API server has of them."""

    def __init__(self, pods):
        self.times = {"scheduled": [], "started": [], "ran": []}
        for pod in pods:
            conditions = {one["type"]: one["lastTransitionTime"] for one in pod["status"]["conditions"]}
            ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
            created, scheduled = seconds(pod["metadata"]["creationTimestamp"]), seconds(conditions["PodScheduled"])
            started, finished = seconds(ended["startedAt"]), seconds(ended["finishedAt"])
            self.times["scheduled"].append(scheduled - created)
            self.times["started"].append(started - scheduled)
            self.times["ran"].append(finished - started)

    def __str__(self):
        return ", ".join(f"{name} {statistics.mean(times):.2f} s" for name, times in self.times.items())


def measure(world):
    """Builds, and then runs as many pods that do nothing."""
    world.source("shop", world.packages())
    done = lambda: [job for name, job in world.jobs().items() if name.startswith("trivial-") and job["status"].get("succeeded")]  # noqa: E731
    wait("the builds", lambda: len(done()) == world.count or time.sleep(2), 60 + 20 * world.count)
    jobs = done()
    begin, end = min(seconds(job["metadata"]["creationTimestamp"]) for job in jobs), max(seconds(job["status"]["completionTime"]) for job in jobs)
    names = {job["metadata"]["name"] for job in jobs}
    of = [pod for pod in world.pods() if pod["metadata"]["labels"].get("job-name") in names]
    retried = len(of) - len(jobs)
    took, idle = end - begin, idle_pods(world, jobs[0])
    at_once = world.limits["jobs"]
    print(f"{world.count} derivations, {at_once} Jobs at a time: {world.count / took * 60:.1f} a minute, {took:.0f} s; {retried} pods more")
    print(f"  a pod: {Steps(of)}")
    print(f"{world.count} pods that do nothing, {at_once} at a time: {world.count / idle[0] * 60:.1f} a minute, {idle[0]:.0f} s")
    print(f"  a pod: {idle[1]}")
    print(f"builds are {idle[0] / took:.2f} of what the cluster runs of such pods")


def idle_pods(world, job):
    """As many pods as the Job's, as many at a time, of one Job: with its inputs mounted, its isolation, and nothing to do."""
    spec = job["spec"]["template"]["spec"]
    container = spec["containers"][0] | {"command": [SHELL, "true"]}
    del container["args"]
    item = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "idle"},
        "spec": {
            "completions": world.count,
            "parallelism": world.limits["jobs"],
            "template": {"metadata": {"labels": {"app": "idle"}}, "spec": spec | {"containers": [container]}},
        },
    }
    world.apply(BUILDS, item)
    status = lambda: json.loads(world.kubectl("get", "job/idle", "--namespace", BUILDS, "--output", "json"))["status"]  # noqa: E731
    wait("the pods that do nothing", lambda: status().get("completionTime") or time.sleep(2), 60 + 20 * world.count)
    of = [pod for pod in world.pods() if pod["metadata"]["labels"].get("app") == "idle" and pod["status"]["phase"] == "Succeeded"]
    return seconds(status()["completionTime"]) - seconds(status()["startTime"]), Steps(of)
