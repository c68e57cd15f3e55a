"""Sources with a repository each, as many as are asked for, and one GitOps repository for all of them."""

import re
import shutil

from service import World

FLAKE = "examples/hello/flake.nix"


class Apps(World):
    """The World of ci/eval-service, with a repository for each name. Each push to one changes a workload of it."""

    def __init__(self, folder, names):
        super().__init__(folder)
        self.names, self.replicas = names, dict.fromkeys(names, 3)

    def make_repositories(self):
        super().make_repositories()
        for name in self.names:
            shutil.copytree(self.repositories / "shop/web.git", self.repositories / f"shop/{name}.git")
            self.checkout(name)
            # An environment belongs to one source.
            self.edit(name, FLAKE, "niphasConfigurations.production", f"niphasConfigurations.{name}")

    def sources(self, interval):
        for name in self.names:
            change = {"flake": {"url": self.url(f"shop/{name}.git")}, "target": {"dir": f"deploy/{name}"}}
            self.source(name, change | {"environments": [name], "interval": interval})

    def change(self, name):
        """Pushes a number of replicas that was not there before; the revision."""
        before = self.replicas[name]
        self.replicas[name] += 1
        self.edit(name, FLAKE, f"replicas = {before};", f"replicas = {before + 1};")
        return self.tip(name)

    def commits(self):
        """The commits of the GitOps repository, the oldest first: name, tree, and the source's repository and revision."""
        text = self.git("gitops", "log", "--reverse", "--format=%H %T%n%B%x00", "main")
        for entry in filter(str.strip, text.split("\0")):
            commit, tree = entry.split()[:2]
            trailers = dict(re.findall(r"^Niphas-Source-(Repo|Rev): (\S+)", entry, re.MULTILINE))
            yield commit, tree, trailers.get("Repo"), trailers.get("Rev")
