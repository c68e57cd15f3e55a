"""A real Gitea for ci/eval-service: its repositories, users, statuses, pull requests and webhooks."""

import json
import os
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request

from service import ROOT, copy_example, run, wait

SETTINGS = """\
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
RUN_MODE = prod
WORK_PATH = {work}
[database]
DB_TYPE = sqlite3
PATH = {work}/gitea.db
[repository]
ROOT = {work}/repositories
[server]
PROTOCOL = https
HTTP_ADDR = {address}
HTTP_PORT = {port}
ROOT_URL = {url}
CERT_FILE = {folder}/certificate.pem
KEY_FILE = {folder}/key.pem
STATIC_ROOT_PATH = {source}
OFFLINE_MODE = true
DISABLE_SSH = true
[security]
INSTALL_LOCK = true
[webhook]
ALLOWED_HOST_LIST = *
[log]
LEVEL = Warn
"""


class Gitea:
    """Three users: `bot`, whose repositories the service works with, `dev`, who forks them, and `guest`, who may only read."""

    def __init__(self, world):
        self.world, self.work = world, world.folder / "gitea"
        self.process, self.tokens = None, {}
        self.trust = ssl.create_default_context(cafile=str(world.folder / "ca.pem"))
        self.folder = world.folder / "checkouts"

    def start(self):
        """Starts it, with the example in `bot/web`. Its commit."""
        cache = run(ROOT / "ci/gitea").strip()
        self.work.mkdir()
        self.folder.mkdir(exist_ok=True)
        world = self.world
        values = {"work": self.work, "folder": world.folder, "source": f"{cache}/source"}
        text = SETTINGS.format(address=world.address, port=world.gitea_port, url=world.gitea_url(), **values)
        (self.work / "app.ini").write_text(text)
        self.program = [f"{cache}/gitea", "--config", self.work / "app.ini"]
        self.environment = os.environ | {"HOME": str(self.work), "GIT_SSL_CAINFO": str(world.folder / "ca.pem")}
        with open(self.work / "log", "w") as log:
            self.process = subprocess.Popen([*map(str, self.program), "web"], stdout=log, stderr=log, env=self.environment)
        wait("Gitea", lambda: self.ask("GET", "version", user=None, check=False))
        for name in ("bot", "dev", "guest"):
            self.tokens[name] = self.new_user(name)
        self.ask("POST", "user/repos", {"name": "web", "default_branch": "main"})
        for name in ("gitops", "proposals"):
            self.ask("POST", "user/repos", {"name": name, "default_branch": "main", "auto_init": True})
        copy_example(self.clone("bot/web"))
        return self.push("bot/web", "begin")

    def new_user(self, name):
        options = ("--username", name, "--password", secrets.token_hex(16), "--email", f"{name}@example.org", "--must-change-password=false")
        said = run(*self.program, "admin", "user", "create", *options, "--access-token", "--access-token-scopes", "all", env=self.environment)
        return said.split("successfully created... ")[1].split()[0]

    def ask(self, method, path, body=None, *, user="bot", check=True):
        """What the API answers."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"token {self.tokens[user]}"} if user else {})
        text = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.world.gitea_url(f"api/v1/{path}"), text, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self.trust, timeout=20) as answer:
                said = answer.read()
        except OSError as error:
            if not check:
                return None
            said = error.read().decode() if isinstance(error, urllib.error.HTTPError) else error
            raise AssertionError(f"{method} {path}: {said}") from error
        return json.loads(said or "null")

    def get(self, path):
        return self.ask("GET", path)

    # Repositories

    def clone(self, name, user="bot"):
        """A checkout of `OWNER/NAME`, with the user's login."""
        url = self.world.gitea_url(f"{name}.git").replace("https://", f"https://{user}:{self.tokens[user]}@")
        folder = self.folder / name.replace("/", "-")
        run("git", "clone", "--quiet", url, folder, env=self.environment)
        return folder

    def push(self, name, subject, branch="main", force=False):
        """Commits everything, and pushes it to a branch. The commit."""
        folder = self.folder / name.replace("/", "-")
        author = ("-c", "user.name=CI", "-c", "user.email=ci@example.org")
        run("git", "add", "--all", cwd=folder)
        run("git", *author, "commit", "--quiet", "--message", subject, cwd=folder)
        flags = ("--force",) if force else ()
        run("git", "push", "--quiet", *flags, "origin", f"HEAD:refs/heads/{branch}", cwd=folder, env=self.environment)
        return run("git", "rev-parse", "HEAD", cwd=folder).strip()

    def edit(self, name, old, new, branch="main"):
        """Changes the example's flake."""
        path = self.folder / name.replace("/", "-") / "examples/hello/flake.nix"
        text = path.read_text()
        assert old in text, f"the flake has no {old}"
        path.write_text(text.replace(old, new))
        return self.push(name, f"{old} -> {new}", branch)

    def reset(self, name, commit="origin/main"):
        folder = self.folder / name.replace("/", "-")
        run("git", "fetch", "--quiet", "origin", cwd=folder, env=self.environment)
        run("git", "reset", "--quiet", "--hard", commit, cwd=folder)

    def tip(self, name, branch="main"):
        found = self.ask("GET", f"repos/{name}/branches/{branch}", check=False)
        return found["commit"]["id"] if found else None

    def file(self, name, path, ref):
        raw = self.world.gitea_url(f"api/v1/repos/{name}/raw/{path}?ref={ref}")
        request = urllib.request.Request(raw, headers={"Authorization": f"token {self.tokens['bot']}"})
        with urllib.request.urlopen(request, context=self.trust, timeout=20) as answer:
            return answer.read().decode()

    def hook(self, name, path):
        """Has a repository's pushes and pull requests told to the service."""
        url = f"http://{self.world.address}:{self.world.service.port}{path}"
        config = {"url": url, "content_type": "json", "secret": self.world.hook_secret.decode()}
        events = ["push", "pull_request", "pull_request_sync", "pull_request_review"]
        self.ask("POST", f"repos/{name}/hooks", {"type": "gitea", "config": config, "events": events, "active": True})

    # What the service says there

    def statuses(self, name, commit):
        """Context to state, of the newest statuses of a commit."""
        found = self.ask("GET", f"repos/{name}/commits/{commit}/status", check=False) or {}
        return {one["context"]: one for one in found.get("statuses") or []}

    def states(self, name, commit):
        return {context: one["status"] for context, one in self.statuses(name, commit).items()}

    def open_pull(self, name, head, user="bot"):
        """Opens a pull request for `main`. Its number."""
        return self.ask("POST", f"repos/{name}/pulls", {"title": head, "head": head, "base": "main"}, user=user)["number"]

    def review(self, name, number, commit, user):
        body = {"event": "APPROVED", "body": "good", "commit_id": commit}
        self.ask("POST", f"repos/{name}/pulls/{number}/reviews", body, user=user)

    def pulls(self, name, state="open"):
        return self.get(f"repos/{name}/pulls?state={state}")

    def comments(self, name, number):
        return self.get(f"repos/{name}/issues/{number}/comments")
