"""The evaluation service and what it builds with are killed at random moments, on a cluster, while pushes arrive that need builds.

What is killed: a replica of the service, a process that builds, a pod, the API server, kubelet with containerd of a node.
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import threading
import time

import builds
import service
from agents import Agents
from build_pods import NODE
from builds import BUILDS, FLAKE
from cluster import ROOT, cluster, seen
from service import require, run, wait

# What is killed, and how often it is chosen.
KINDS = {"a replica of the service": 4, "a process that builds": 4, "a pod": 2, "the API server": 2, "the node": 3}
# How often a lease lasts no longer than what was killed is away.
LONG = 0.15
# Longer than a lease, and longer than a leader goes on without the API server.
LEASE, ANSWERS = 17, 12


class World(builds.World):
    """Sources with a repository each, whose builds have much in common, and two replicas."""

    # All is removed soon, so that what is left is seen.
    policy = {"keepBuilt": "5s", "keepFailures": "20s", "lostTimeout": "1m"}
    limits, runs = {"grace": "60s"}, 3

    def __init__(self, folder, chance, names):
        super().__init__(folder)
        self.chance, self.names, self.versions, self.pushed = chance, names, dict.fromkeys(names, 1), 0

    def make_repositories(self):
        super().make_repositories()
        self.edit("web", f"{FLAKE}/packages.nix", 'echo "building the site"', '"$tools/bin/busybox" sleep 0 # seconds')
        for name in self.names:
            run("cp", "--recursive", self.repositories / "shop/web.git", self.repositories / f"shop/{name}.git")
            self.checkout(name)
            # An environment belongs to one source.
            self.edit(name, f"{FLAKE}/flake.nix", "niphasConfigurations.production", f"niphasConfigurations.{name}")

    def nothing_was_forbidden(self):
        """An API server that has just started forbids all until it has read the roles: ci/eval-builds checks these."""

    def sources(self):
        for name in self.names:
            flake, target = {"url": self.url(f"shop/{name}.git"), "dir": FLAKE}, {"dir": f"deploy/{name}"}
            self.source(name, {"flake": flake, "target": target, "environments": [name], "interval": "10s"})

    def change(self):
        """Pushes a version to one of the sources: often one that another has, too. Its build takes some seconds."""
        name = self.chance.choice(self.names)
        others = [version for version in self.versions.values() if version > self.versions[name]]
        newest = max(self.versions.values()) + 1
        version = self.versions[name] = self.chance.choice([newest, *others])
        file = self.folder / "checkouts" / name / FLAKE / "packages.nix"
        text = re.sub(r"version \d+", f"version {version}", file.read_text())
        file.write_text(re.sub(r"sleep \d+ # seconds", f"sleep {version * 7 % 5} # seconds", text))
        self.push(name, f"version {version}")
        self.pushed += 1
        path = self.status(name).get("webhookPath")
        if path and self.chance.random() < 0.8:
            revision = self.tip(name)
            try:
                to = self.chance.choice(self.replicas)
                self.hook(path, {"ref": "refs/heads/main", "after": revision}, delivery=f"{self.pushed}", to=to)
            except OSError:
                # It was killed, or is not up yet: the branch is looked at without it, too.
                pass


class Restarts:
    """Starts replicas again that ended, as kubelet does."""

    def __init__(self, world):
        self.world, self.away, self.count, self.end = world, set(), 0, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()

    def look(self):
        while not self.end.wait(0.3):
            for replica in self.world.replicas:
                if replica.identity not in self.away and replica.process.poll() is not None:
                    self.count += 1
                    replica.start()


class Faults:
    """What happens to a world."""

    def __init__(self, world, chance, agents, restarts):
        self.world, self.chance, self.agents, self.restarts = world, chance, agents, restarts
        self.counts, self.building, self.long = collections.Counter(), 0, 0

    def happen(self):
        """One fault, at a random moment after some pushes."""
        chance = self.chance
        for _ in range(chance.randint(0, 2)):
            self.world.change()
        end, is_eager = time.monotonic() + chance.uniform(0, 5), chance.random() < 0.7
        while time.monotonic() < end and not (is_eager and self.agents.running()):
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 1.5))
        kind = chance.choices(list(KINDS), KINDS.values())[0]
        self.building += bool(self.agents.running())
        if self.kill(kind):
            self.counts[kind] += 1
            return True
        return False

    def kill(self, kind):
        """Whether there was something to kill."""
        chance, is_long = self.chance, self.chance.random() < LONG
        match kind:
            case "a replica of the service":
                replica = self.world.leader() if is_long else chance.choice(self.world.replicas)
                if not replica or replica.process.poll() is not None:
                    return False
                self.restarts.away |= {replica.identity} if is_long else set()
                replica.kill()
                self.wait(is_long, LEASE, 2)
                self.restarts.away.clear()
            case "a process that builds":
                return self.agents.kill(chance) is not None
            case "a pod":
                pods = [pod["metadata"]["name"] for pod in self.world.pods() if pod["status"]["phase"] in ("Pending", "Running")]
                if not pods:
                    return False
                self.world.kubectl("delete", "pod", chance.choice(sorted(pods)), "--namespace", BUILDS, "--wait=false", check=False)
            case "the API server":
                cluster("kill", "apiserver")
                self.wait(is_long, ANSWERS, 4)
                cluster("restart", "apiserver")
            case "the node":
                number = NODE.removeprefix("node")
                cluster("kill", "node", number)
                self.wait(is_long, LEASE, 5)
                cluster("restart", "node", number)
        return True

    def wait(self, is_long, long, short):
        self.long += is_long
        time.sleep(long if is_long else self.chance.uniform(0, short))


def kills(world, chance, count):
    """Kills so often, and checks what comes of it all."""
    world.replicate()
    world.sources()
    wait("the first commit", lambda: world.tip("gitops"), 180)
    began = time.monotonic()
    with Agents() as agents, Restarts(world) as restarts:
        faults = Faults(world, chance, agents, restarts)
        while faults.counts.total() < count:
            if faults.happen() and faults.counts.total() % 10 == 0:
                print(f"{faults.counts.total()} kills after {time.monotonic() - began:.0f} s", flush=True)
        settle(world)
        built = {name for name, _ in agents.times}
        overlaps = agents.overlaps()
        require(not overlaps, f"built twice at the same time: {overlaps}")
        pods, restarted = len(agents.times), restarts.count
    what = ", ".join(f"{kind} {number}" for kind, number in sorted(faults.counts.items()))
    seen(f"{count} kills while {world.pushed} pushes arrived ({what}), {faults.building} of them while pods built, {faults.long} for long")
    seen(f"{len(built)} derivations were built in {pods} pods, none in two at the same time; replicas were started again {restarted} times")
    check(world)
    is_cache_sound(world)
    nothing_is_left(world, agents)


def settle(world):
    """Waits until all is done, and nothing more happens."""
    for name in world.names:
        wait(f"the last revision of {name}", lambda name=name: world.is_ready(name, world.tip(name)), 400)
    before = world.tip("gitops")
    # A poll of each, so that what would be done twice is.
    time.sleep(15)
    require(world.tip("gitops") == before, "something was committed though nothing was pushed")


def check(world):
    """The commits are those of the pushes, each once."""
    text = world.git("gitops", "log", "--reverse", "--format=%H %T%n%B%x00", "main")
    commits = []
    for entry in filter(str.strip, text.split("\0")):
        trailers = dict(re.findall(r"^Niphas-Source-(Repo|Rev): (\S+)", entry, re.MULTILINE))
        commits.append((entry.split()[1], trailers.get("Repo", ""), trailers.get("Rev")))
    counts = collections.Counter((repository, revision) for _, repository, revision in commits)
    twice = [f"{repository} {revision}" for (repository, revision), number in counts.items() if number > 1]
    require(not twice, f"revisions were rendered twice: {twice}")
    trees = [tree for tree, *_ in commits]
    require(all(one != other for one, other in zip(trees, trees[1:])), "a commit repeats the one before it")
    for name in world.names:
        last = [revision for _, repository, revision in commits if f"/{name}.git" in repository][-1:]
        require(last == [world.tip(name)], f"the last commit of {name} is of {last}, expected {world.tip(name)}")
    seen(f"{len(commits)} commits, no revision twice, each source's last one is its newest")


def is_cache_sound(world):
    """Each path of the cache is signed, and has the contents that its narinfo says; the closures of the last commits are there."""
    cache, key = world.builds / "cache", world.folder / "builds.public"
    key.write_text(world.public_key)
    paths = [re.search(r"^StorePath: (\S+)$", file.read_text(), re.MULTILINE)[1] for file in sorted(cache.glob("*.narinfo"))]
    niphas = os.environ.get("NIPHAS", ROOT / "target/release/niphas")
    said = run(niphas, "cache", "verify", "--cache", f"file://{cache}", "--key-file", key, "--output", "json", *paths)
    verified = {path["path"] for path in json.loads(said)["paths"]}
    require(verified == set(paths), f"these were not verified: {set(paths) - verified}")
    files = [name for name in world.git("gitops", "ls-tree", "-r", "--name-only", "main").split() if name.endswith(".x86_64-linux.txt")]
    closures = {line.split()[0] for name in files for line in world.git("gitops", "show", f"main:{name}").splitlines()}
    names = {pathlib.Path(path).name for path in verified}
    missing = {path for path in closures if pathlib.Path(path).name not in names}
    require(closures and not missing, f"the cache lacks {missing} of what the commits name")
    seen(f"niphas cache verify: {len(paths)} paths have sound signatures and contents, among them the {len(closures)} of the last commits")


def nothing_is_left(world, agents):
    """No Job, pod or Secret; no process that builds; no folder or file that was there for a while only."""
    wait("all Jobs and pods to go", lambda: not world.all_jobs() and not world.pods(), 120)
    secrets = json.loads(world.kubectl("get", "secrets", "--namespace", BUILDS, "--output", "json"))["items"]
    require(not secrets, f"Secrets are left: {[item['metadata']['name'] for item in secrets]}")
    agents.look()
    require(not agents.running(), f"processes go on: {agents.running()}")
    uploads = lambda: [path.name for path in (world.builds / "uploads").iterdir() if path.name != "boot"]  # noqa: E731
    wait("uploads to go whose Jobs are gone", lambda: not uploads(), 150)
    for replica in world.replicas:
        replica.process.terminate()
        require(replica.process.wait(20) == 0, f"{replica.identity} does not end well")
    left = [str(path) for folder in (world.builds, *(replica.work for replica in world.replicas)) for path in temporary(folder)]
    require(not left, f"temporary files are left: {left}")
    found = subprocess.run(["pgrep", "--full", f"{service.PROGRAM} evaluate"], capture_output=True, text=True, check=False).stdout
    require(not found, f"processes that evaluate are left: {found}")
    seen("no Job, pod, Secret, upload, process or temporary file is left")


def temporary(folder):
    """Files and folders with names of temporary ones, outside of what was fetched."""
    for path in folder.rglob("*"):
        if (path.name.startswith(".tmp") or path.name.endswith((".new", ".tmp"))) and "trees" not in path.parts:
            yield path
