"""Flakes that want what is not theirs: what each says, and how it is refused."""

MARKERS = ["root:x:0", "marker-of-the-environment", "marker-of-another-checkout", "marker-of-a-token"]

FLAKE = """{
  outputs = { self }: {
    niphasConfigurations.production = let stolen = %s; in throw "stolen: ${builtins.toJSON stolen}";
  };
}
"""


def all_of(world):
    """Name, files and what the status has to say."""
    token = world.folder / "token"
    token.write_text("marker-of-a-token\n")
    pure = r"forbidden in pure eval|not allowed|absolute path|pure|does not exist"
    read = {
        "passwd": '"/etc/passwd"',
        "passwd-path": "/etc/passwd",
        "token": '"/var/run/secrets/kubernetes.io/serviceaccount/token"',
        "file-of-the-service": f'"{token}"',
        "environment": '"/proc/self/environ"',
        "parent": '"/proc/1/environ"',
        "kubeconfig": f'"{world.folder}/kubeconfig"',
        "configuration": f'"{world.folder}/config.yaml"',
    }
    for name, path in read.items():
        yield name, {"flake.nix": FLAKE % f"builtins.readFile {path}"}, pure
    yield "other-checkouts", {"flake.nix": FLAKE % f'builtins.readDir "{world.work}/sources"'}, pure
    yield "import", {"flake.nix": FLAKE % f'import "{world.folder}/checkouts/private/secret.txt"'}, pure
    yield "path", {"flake.nix": FLAKE % f'builtins.readDir (builtins.path {{ path = "{world.folder}/checkouts/private"; }})'}, pure
    link = r"outside|forbidden|absolute path|not allowed|does not exist|symbolic link"
    yield "link", {"link": ("/etc/passwd",), "flake.nix": FLAKE % "builtins.readFile ./link"}, link
    yield "link-out", {"link": (f"{world.folder}/checkouts/private",), "flake.nix": FLAKE % "builtins.readFile (./link + \"/secret.txt\")"}, link
    yield "link-up", {"link": ("../" * 20 + "etc/passwd",), "flake.nix": FLAKE % "builtins.readFile ./link"}, link
    yield "flake-link", {"flake.nix": ("/etc/passwd",)}, r"outside|symbolic link|not.*found|no flake|flake\.nix"
    yield "lock-link", {"flake.nix": FLAKE % "1", "flake.lock": ("/etc/passwd",)}, r"outside of the tree"
    yield "variable", {"flake.nix": FLAKE % 'builtins.getEnv "MARKER"'}, r'stolen: \\?"\\?"|stolen: ""'
    offline = r"servers are not asked|forbidden|not allowed|locked|Permission denied|pure"
    for name, expression in {
        "metadata": 'builtins.readFile (builtins.fetchurl "http://169.254.169.254/latest/meta-data/")',
        "metadata-hash": 'builtins.readFile (builtins.fetchurl { url = "http://169.254.169.254/latest/meta-data/"; sha256 = "0000000000000000000000000000000000000000000000000000"; })',
        "api-server": 'builtins.fetchTarball { url = "https://kubernetes.default.svc/api"; sha256 = "0000000000000000000000000000000000000000000000000000"; }',
        "other-repository": f'builtins.fetchGit {{ url = "{world.url("other/private.git")}"; rev = "{world_rev(world)}"; }}',
        "own-repository": f'builtins.fetchGit {{ url = "{world.url("shop/gitops.git")}"; ref = "main"; }}',
        "local-repository": f'builtins.fetchGit {{ url = "file://{world.repositories}/other/private.git"; rev = "{world_rev(world)}"; }}',
        "get-flake": 'builtins.getFlake "github:NixOS/nixpkgs"',
        "fetch-tree": 'builtins.fetchTree { type = "path"; path = "/etc"; }',
    }.items():  # fmt: skip
        yield name, {"flake.nix": FLAKE % expression}, offline
    yield "unlocked", {"flake.nix": '{ inputs.x.url = "github:NixOS/nixpkgs"; outputs = { ... }: { }; }'}, r"flake lock"
    for name, locked in {
        "lock-path": '{"type": "path", "path": "/etc", "lastModified": 1, "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}',
        "lock-file": f'{{"type": "git", "url": "file://{world.repositories}/other/private.git", "rev": "{world_rev(world)}", "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}}',
        "lock-other": f'{{"type": "git", "url": "{world.url("other/private.git")}", "rev": "{world_rev(world)}", "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}}',
        "lock-metadata": '{"type": "tarball", "url": "http://169.254.169.254/latest.tar.gz", "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}',
        "lock-host": '{"type": "github", "owner": "NixOS", "repo": "nixpkgs", "host": "169.254.169.254", "rev": "' + "a" * 40 + '", "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}',
    }.items():  # fmt: skip
        lock = '{"version": 7, "root": "root", "nodes": {"root": {"inputs": {"x": "x"}}, "x": {"locked": %s, "original": %s}}}' % (locked, locked)
        flake = '{ inputs.x.url = "github:NixOS/nixpkgs"; outputs = { x, ... }: { niphasConfigurations.p = throw "stolen: ${builtins.readFile (x + "/passwd")}"; }; }'
        yield name, {"flake.nix": flake, "flake.lock": lock}, r"is not allowed for this namespace|does not lock"
    yield "endless", {"flake.nix": FLAKE % "let f = n: f (n + 1); in f 0"}, r"overflow"
    # Long in a builtin, which takes no memory.
    slow = "let all = builtins.genList (n: n) 1000000; in builtins.all (n: !(builtins.elem (0 - 1 - n) all)) all"
    yield "slow", {"flake.nix": FLAKE % slow}, r"took more|time"
    yield "large", {"flake.nix": FLAKE % 'builtins.foldl\' (s: _: s + s) "aaaaaaaaaaaaaaaa" (builtins.genList (n: n) 40)'}, r"memory|limit|large"
    yield "deep", {"flake.nix": FLAKE % "let f = n: 1 + f n; in f 0"}, r"overflow"


def world_rev(world):
    """The commit of the other namespace's repository."""
    head = world.repositories / "other/private.git/refs/heads/main"
    return head.read_text().strip()
