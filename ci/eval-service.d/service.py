"""What ci/eval-service works with: the service, its Git server, repositories, and what the cluster says of sources."""

import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("NIPHAS_EVAL", ROOT / "target/release/niphas-eval")
EXAMPLE = ROOT / "examples/hello"


def require(condition, what) -> None:
    if not condition:
        raise AssertionError(what)


def wait(what, condition, seconds=60):
    """Waits until the condition gives something, and gives that."""
    end = time.monotonic() + seconds
    while not (got := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.2)
    return got


def run(*command, input=None, check=True, **options):
    done = subprocess.run([*map(str, command)], text=True, capture_output=True, input=input, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def copy_example(folder):
    for file in ("flake.nix", "nixlib", "examples/hello"):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / file).is_dir():
            shutil.copytree(ROOT / file, target, ignore=shutil.ignore_patterns("cache", "*.secret"))
        else:
            shutil.copy(ROOT / file, target)


def free_port(address):
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]


class Service:
    """niphas-eval, as a process: one of the replicas, by its number."""

    # More of the command line.
    arguments = ()

    def __init__(self, world, number=1):
        self.world, self.port, self.pages_port = world, free_port(world.address), free_port(world.address)
        self.pages_url = f"http://{world.address}:{self.pages_port}"
        self.identity, self.work = f"eval-{number}", world.folder / ("work" if number == 1 else f"work-{number}")
        self.log = world.folder / ("niphas-eval.log" if number == 1 else f"niphas-eval-{number}.log")
        self.process = None

    def configuration(self):
        """The file that it reads: that of the world, with a folder of its own to work in."""
        config = self.world.folder / "config.yaml"
        if self.work == self.world.work:
            return config
        self.work.mkdir(exist_ok=True)
        own = config.with_name(f"{self.identity}.yaml")
        own.write_text(json.dumps(json.loads(config.read_text()) | {"workFolder": str(self.work)}))
        return own

    def start(self):
        """Starts it, with the same name as before, as kubelet does a container of a pod."""
        world = self.world
        command = [
            PROGRAM, "serve", "--config", self.configuration(), "--kubeconfig", world.folder / "kubeconfig",
            "--identity", self.identity, "--listen", f"{world.address}:{self.port}", "--pages", f"{world.address}:{self.pages_port}", "--log", "info,niphas_eval_service=debug",
            *self.arguments,
        ]  # fmt: skip
        environment = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(world.folder / "ca.pem"), "TMPDIR": str(self.work), "MARKER": "marker-of-the-environment"}
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, env=environment)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def page(self, path):
        """The code, the headers and the text of a page."""
        connection = http.client.HTTPConnection(self.world.address, self.pages_port, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()

    def sum(self, name):
        """The sum of all values of a metric."""
        try:
            with urllib.request.urlopen(f"http://{self.world.address}:{self.port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return -1
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[ {{]", line))


class World:
    """A cluster without nodes, a Git server with repositories, and the service."""

    namespaces = ("shop", "forge", "niphas-system")
    Service = Service

    def __init__(self, folder):
        self.folder, self.address, self.state = folder, os.environ["LOOPBACK"], pathlib.Path(os.environ["STATE"])
        self.work, self.repositories = folder / "work", folder / "git"
        self.password, self.hook_secret = secrets.token_hex(16), secrets.token_hex(16).encode()
        self.git_port, self.gitea_port = free_port(self.address), free_port(self.address)
        self.service = self.Service(self)
        self.replicas = [self.service]
        self.server = self.gitea = None

    def __enter__(self):
        try:
            self.certificates()
            self.make_repositories()
            self.serve_git()
            self.set_up_cluster()
            self.configure()
            self.service.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        replicas = [replica.process for replica in self.replicas]
        for process in (*replicas, self.server, self.gitea and self.gitea.process):
            if process:
                process.kill()
                process.wait()

    # Git

    def url(self, path):
        return f"https://{self.address}:{self.git_port}/{path}"

    def gitea_url(self, path=""):
        return f"https://{self.address}:{self.gitea_port}/{path}"

    def certificates(self):
        key = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        folder, name = self.folder, f"subjectAltName=IP:{self.address}"
        run(*key, "-x509", "-days", "2", "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-subj", "/CN=ci")
        signer = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key")
        run(*key, "-x509", "-days", "2", *signer, "-keyout", folder / "key.pem", "-out", folder / "certificate.pem", "-subj", "/CN=git",
            "-addext", name, "-addext", "basicConstraints=critical,CA:FALSE")  # fmt: skip
        (folder / "server.pem").write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())

    def serve_git(self):
        (self.folder / "logins").write_text(f"shop ci:{self.password}\nother other:{secrets.token_hex(16)}\n")
        command = [
            sys.executable, ROOT / "ci/eval-service.d/git_server.py", self.repositories, self.address, self.git_port,
            self.folder / "server.pem", self.folder / "logins", self.folder / "requests",
        ]  # fmt: skip
        (self.folder / "requests").touch()
        self.server = subprocess.Popen([*map(str, command)])

    def make_repositories(self):
        for name in ("shop/web", "shop/gitops", "shop/hostile", "other/private"):
            run("git", "init", "--quiet", "--bare", "--initial-branch=main", self.repositories / f"{name}.git")
        copy_example(self.checkout("web"))
        self.push("web", "begin")
        private = self.checkout("private", "other")
        (private / "secret.txt").write_text("marker-of-another-checkout\n")
        self.push("private", "begin")
        self.checkout("hostile")

    def checkout(self, name, folder="shop"):
        target = self.folder / "checkouts" / name
        run("git", "clone", "--quiet", self.repositories / f"{folder}/{name}.git", target, check=True)
        return target

    def push(self, name, subject):
        folder = self.folder / "checkouts" / name
        author = ("-c", "user.name=CI", "-c", "user.email=ci@example.org")
        run("git", "add", "--all", cwd=folder)
        run("git", *author, "commit", "--quiet", "--message", subject, cwd=folder)
        run("git", "push", "--quiet", "origin", "HEAD", cwd=folder)

    def edit(self, name, file, old, new):
        path = self.folder / "checkouts" / name / file
        text = path.read_text()
        require(old in text, f"{file} has no {old}")
        path.write_text(text.replace(old, new))
        self.push(name, f"{old} -> {new}")

    def hostile(self, name, files):
        """A branch with a flake; the files of it by name, a tuple for a symbolic link."""
        folder = self.folder / "checkouts/hostile"
        run("git", "checkout", "--quiet", "--orphan", name, cwd=folder)
        run("git", "rm", "-r", "--force", "--quiet", "--ignore-unmatch", ".", cwd=folder)
        for file, text in files.items():
            if isinstance(text, tuple):
                (folder / file).symlink_to(text[0])
            else:
                (folder / file).write_text(text)
        self.push("hostile", name)
        return name

    def git(self, repository, *arguments):
        return run("git", "-C", self.repositories / f"shop/{repository}.git", *arguments)

    def tip(self, repository):
        return run("git", "-C", self.repositories / f"shop/{repository}.git", "rev-parse", "--verify", "--quiet", "main", check=False).strip()

    def git_requests(self, repository):
        """How often the service that runs now has asked for a repository's branches."""
        lines = (self.folder / "requests").read_text().splitlines()
        return sum(f"/{repository}.git/info/refs" in line for line in lines[self.asked_before :])

    asked_before = 0

    def forget_requests(self):
        """Counts from now on."""
        self.asked_before = len((self.folder / "requests").read_text().splitlines())

    # The cluster

    def kubectl(self, *arguments, input=None, check=True, namespace="shop"):
        return run("kubectl", "--namespace", namespace, *arguments, input=input, check=check)

    def set_up_cluster(self):
        for namespace in self.namespaces:
            self.kubectl("create", "namespace", namespace)
        self.kubectl("apply", "--server-side", "--filename", ROOT / "deploy/source-crd.yaml")
        wait("the definition", lambda: self.kubectl("wait", "--for=condition=Established", "crd/niphassources.niphas.io", check=False))
        self.kubectl("apply", "--filename", ROOT / "deploy/eval.yaml", "--namespace", "niphas-system")
        for namespace in ("shop", "forge"):
            reads = ("--clusterrole=niphas-eval-secrets", "--serviceaccount=niphas-system:niphas-eval")
            self.kubectl("create", "rolebinding", "niphas-eval", *reads, namespace=namespace)
        self.kubectl("create", "secret", "generic", "login", "--from-literal=username=ci", f"--from-literal=password={self.password}")
        self.kubectl("create", "secret", "generic", "hook", f"--from-literal=secret={self.hook_secret.decode()}")
        token = self.kubectl("create", "token", "niphas-eval", "--namespace", "niphas-system", "--duration", "24h").strip()
        admin = (self.state / "admin.conf").read_text()
        users = f"users:\n- name: admin\n  user: {{token: {token}}}\n"
        (self.folder / "kubeconfig").write_text(re.sub(r"(?s)users:\n.*?(?=contexts:)", users, admin))

    def configure(self):
        self.work.mkdir()
        key = (EXAMPLE / "cache-demo-key.public").read_text().strip()
        shop = {
            "names": ["shop"],
            "flakes": [self.url("shop/")],
            "targets": [{"url": self.url("shop/gitops.git"), "branches": ["main"], "dir": "deploy"}],
            "caches": [f"file://{EXAMPLE}/cache"],
            "trustedPublicKeys": [key],
        }
        targets = [{"url": self.gitea_url(f"bot/{name}.git"), "branches": ["main"], "dir": "deploy"} for name in ("gitops", "proposals")]
        forge = shop | {"names": ["forge"], "flakes": [self.gitea_url("bot/")], "targets": targets}
        limits = {"runs": 2, "time": "10s", "memoryMebibytes": 2048}
        (self.folder / "config.yaml").write_text(json.dumps({"workFolder": str(self.work), "pagesUrl": self.service.pages_url, "limits": limits, "namespaces": [shop, forge]}))

    def source(self, name, change=None):
        login = {"name": "login"}
        spec = {
            "flake": {"url": self.url("shop/web.git"), "branch": "main", "dir": "examples/hello", "secretRef": login},
            "target": {"url": self.url("shop/gitops.git"), "branch": "main", "dir": "deploy", "secretRef": login},
            "interval": "10s",
            "webhook": {"provider": "github", "secretRefs": [{"name": "hook"}]},
        }
        for field, values in (change or {}).items():
            if not isinstance(values, dict):
                spec[field] = values
                continue
            spec[field] |= values
            spec[field] = {key: value for key, value in spec[field].items() if value is not None}
        item = {"apiVersion": "niphas.io/v1alpha1", "kind": "NiphasSource", "metadata": {"name": name}, "spec": spec}
        self.kubectl("create", "--filename", "-", input=json.dumps(item))

    def forge_secrets(self, gitea):
        for name, entry in (("login", f"token={gitea.tokens['bot']}"), ("hook", f"secret={self.hook_secret.decode()}")):
            self.kubectl("create", "secret", "generic", name, f"--from-literal={entry}", namespace="forge")

    def forge_source(self, name, change=None):
        """A source of Gitea's `bot/web`, and a webhook for it."""
        login = {"name": "login"}
        spec = {
            "flake": {"url": self.gitea_url("bot/web.git"), "branch": "main", "dir": "examples/hello", "secretRef": login},
            "target": {"url": self.gitea_url("bot/gitops.git"), "branch": "main", "dir": "deploy", "secretRef": login},
            "interval": "10m",
            "webhook": {"provider": "gitea", "secretRefs": [{"name": "hook"}]},
        }
        for field, values in (change or {}).items():
            spec[field] = spec.get(field, {}) | values
        item = {"apiVersion": "niphas.io/v1alpha1", "kind": "NiphasSource", "metadata": {"name": name}, "spec": spec}
        self.kubectl("create", "--filename", "-", input=json.dumps(item), namespace="forge")
        self.gitea.hook("bot/web", wait("the address", lambda: self.status(name, "forge").get("webhookPath")))

    def pull_requests(self, name):
        """The pull requests in the status of a source, with the commit of each."""
        return {one["number"]: one["revision"] for one in self.status(name, "forge").get("pullRequests", [])}

    def proposal(self, name):
        return self.status(name, "forge").get("proposal")

    def annotation(self, name, annotation):
        return json.loads(self.kubectl("get", f"nsrc/{name}", "--output", "json"))["metadata"].get("annotations", {}).get(annotation)

    def status(self, name, namespace="shop"):
        return json.loads(self.kubectl("get", f"nsrc/{name}", "--output", "json", namespace=namespace)).get("status", {})

    def condition(self, name, kind, status, namespace="shop"):
        """The message of a condition, once it has that status."""
        for condition in self.status(name, namespace).get("conditions", []):
            if (condition["type"], condition["status"]) == (kind, status):
                return condition["message"] or condition["reason"]
        return None

    def is_ready(self, name, revision):
        status = self.status(name)
        rendered = status.get("revisions", {}).get("rendered")
        return status if rendered == revision and self.condition(name, "Ready", "True") else None

    def failure(self, name, revision):
        """Why a revision failed, once it has."""
        for past in self.status(name).get("history", []):
            if past["revision"] == revision and past.get("result") == "EvaluationFailed":
                return past["message"]
        return None

    def ended(self, name):
        """How the last run of a source ended."""
        for past in self.status(name).get("history", []):
            if past.get("completionTime"):
                return f"{past['result']}: {past.get('message', '')}"
        return None

    def events(self, name):
        events = json.loads(self.kubectl("get", "events.events.k8s.io", "--output", "json"))["items"]
        return [event for event in events if event["regarding"]["name"] == name]

    # Webhooks

    def hook(self, path, body, *, event="push", secret=b"", delivery="1", to=None):
        """Sends a webhook as GitHub does, to a replica; the code and what is answered."""
        text = json.dumps(body).encode()
        headers = {"X-GitHub-Event": event, "X-GitHub-Delivery": delivery, "Content-Type": "application/json"}
        if secret is not None:
            headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(secret or self.hook_secret, text, hashlib.sha256).hexdigest()
        connection = http.client.HTTPConnection(self.address, (to or self.service).port, timeout=20)
        try:
            connection.request("POST", urllib.parse.quote(path), text, headers)
        except (BrokenPipeError, ConnectionResetError):
            # It answers before all of a body came that is too large.
            pass
        answer = connection.getresponse()
        said = answer.read()
        return answer.status, json.loads(said) if said.startswith(b"{") else {"error": said.decode()}

    def evaluate(self, authorization, body):
        """Asks for an evaluation; the code and what is answered."""
        connection = http.client.HTTPConnection(self.address, self.service.port, timeout=20)
        headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
        connection.request("POST", "/evaluate", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def diagnosis(self):
        log = "\n".join(self.service.log.read_text().splitlines()[-40:])
        return f"{self.kubectl('get', 'nsrc', '--all-namespaces', '--output', 'yaml', check=False)[-6000:]}\n{log}"
