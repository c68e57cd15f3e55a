"""What niphas says of mistakes: each row of a list of what people get wrong in their first week, with the words that help."""

import base64
import contextlib
import http.server
import os
import pty
import re
import shutil
import subprocess
import threading

from cases import Case, SERVICE, pod, refused
from stories import HELLO, NIPHAS, ROOT, Wrong, check

KEY = (HELLO / "cache-demo-key.public").read_text().strip()
KEY_NAME = KEY.split(":")[0]
FALSE_KEY = f"{KEY_NAME}:{base64.b64encode(bytes(range(32))).decode()}"
WEB = "web = { pkgs, ... }: { package = pkgs.hello; };"


def named(name, workload, *said):
    """One workload `web`, whose evaluation fails."""
    return Case(name, f"web = {workload};", ["workload 'web' of environment 'shop' for aarch64-linux", "workloads.nix:2:", *said], unsaid=["nixlib"])


CASES = [
    # Names and types.
    refused("ports with one letter too few", "port.http = 80;", "workloads.web.port: unknown attribute", "did you mean 'ports'?", "workloads.nix:2:"),
    refused("a slip in a nested name", "probes.rediness = { };", "did you mean 'readiness'?"),
    refused("a number in quotes", 'ports.http = "8080";', 'expected an integer', 'found the string "8080"', "write it without quotes"),
    refused("another number in quotes", 'replicas = "3";', "write it without quotes"),
    refused("a variable that is a number", "env.PORT = 8080;", 'write it as a string: "8080"'),
    refused("a variable that is a Boolean", "env.DEBUG = true;", "write it as a string"),
    refused("a quantity that is a float", "resources.requests.cpu = 0.5;", 'write it as a string: "0.5"'),
    refused("a quantity in units that there are not", 'resources.requests.memory = "128MB";', "128MB", "like 500m or 64Mi"),
    Case("null leaves a variable out", "web.env.X = null;", code=0, files={"NiphasWorkload-web.yaml": ["!X"]}),
    # Ports.
    refused("two ports with one number", "ports = { http = 80; web = 80; };", "workloads.web.ports.http: two ports have the same number and protocol: 80"),
    Case("two ports with one name", "web = { ports.http = 80; ports.http = 81; };", ["attribute 'ports.http' already defined at", "workloads.nix:2:9"]),
    refused("a port's name in upper case", "ports.Http = 80;", "names of ports have at most 15 lower-case letters"),
    Case(
        "two numbers out of range, said at once",
        "web = { ports.http = 80800; replicas = -1; };",
        ["workloads.web.ports.http", "1 to 65535", "workloads.web.replicas"],
    ),
    refused("a probe of a port that is none", 'ports.http = 80; probes.readiness.httpGet.port = "htp";', 'names the port "htp"', "did you mean 'http'?"),
    refused("a probe without ports", 'probes.readiness.tcpSocket.port = "http";', "there are no ports: write them as ports.<name>"),
    refused("a service of a port that is none", "ports.http = 80; service.ports.web = 81;", 'names the port "web"', "the ports are http"),
    # Packages.
    named("a package that is not there", "{ pkgs, ... }: { package = pkgs.helo; }", "attribute 'helo' missing", "Did you mean hello?"),
    Case("no package", "web.package = null;", ["workloads.web: no package", "set 'package' to the derivation whose program is to run"]),
    Case(
        "a package without a program",
        "web = { pkgs, ... }: { package = removeAttrs pkgs.hello [ \"meta\" ]; };",
        ["no command, and package 'hello-1.0' has no meta.mainProgram", "hint: set 'command'"],
    ),
    named("a package that must be built first", "{ pkgs, ... }: { env.X = builtins.readFile pkgs.hello; }", "let it be built with --allow-import-from-derivation"),
    Case(
        "a derivation's own path",
        "web = { pkgs, ... }: {\n  env.X = pkgs.hello.drvPath; };",
        ["workload 'web' of environment 'shop' for aarch64-linux", "itself, not to one of its outputs", "workloads.nix:3:3"],
        unsaid=["nixlib"],
    ),
    # Names of things.
    Case("a workload's name", "Web = { };", ['"Web" cannot be the name of a workload', "at most 63 lower-case letters"]),
    Case("an environment's own name in a list", "web.kind = \"Deploymnet\";", ["workloads.web.kind", "did you mean 'Deployment'?"]),
    Case("a name that Fleet takes", "templates = { };", ['"templates" cannot be the name of a workload', "Fleet"]),
    # Variables.
    refused("variables that refer to each other", 'env = { A = "$(B)"; B = "$(A)"; };', "refer to each other"),
    Case(
        "podTemplate has the last word about a variable",
        'web = { env.A = "1"; podTemplate.spec.containers = [ { name = "main"; env = [ { name = "A"; value = "2"; } ]; } ]; };',
        code=0,
        options=("--expand",),
        files={"Deployment-web.yaml": ['value: "2"', '!value: "1"']},
    ),
    # What belongs together.
    refused("a service without ports", "service = { };", "a service needs ports, and there are none"),
    refused("an ingress without a service", 'ports.http = 80; ingress.hosts = [ "a.example" ];', "workloads.web.ingress"),
    refused("an ingress with several ports", 'ports = { a = 80; b = 81; }; service = { }; ingress.hosts = [ "a.example" ];', "the ingress must name one of the ports, as there are several"),
    refused("a probe that does two things", f'{SERVICE} probes.liveness = {{ httpGet.port = "http"; exec.command = [ "x" ]; }};', "workloads.web.probes.liveness"),
    Case("a workload that is no set", "web = [ ];", ["workloads.web: expected a set, or a function that returns one, found an empty list", "workloads.nix:2:1"]),
    refused("a budget without a number", "disruptionBudget = { };", "expected either minAvailable or maxUnavailable"),
    # Programs and files.
    refused("a command with its options in one text", 'command = "api --port 80";', 'the program\'s name is "api --port 80"', "write a list"),
    refused("a file that is a path", 'files."/etc/x" = ./packages.nix;', "not what lies there", "hint: write builtins.readFile"),
    refused("a file with a relative path", 'files."etc/x" = "x";', "paths of files are absolute"),
    refused("a file's mode as a number", 'files."/x" = { text = "x"; mode = 644; };', "workloads.web.files", "mode"),
    refused("a file in /nix", 'files."/nix/x" = "x";', "files cannot lie in /nix"),
    refused("a file that is too large", 'files."/x" = builtins.concatStringsSep "" (builtins.genList (_: "0123456789") 110000);', "workloads.web.files: the files have 1100000 bytes together; a ConfigMap holds 1048576"),
    # Places.
    Case(
        "an attribute in a list has its own place",
        'web.podTemplate.spec.containers = [\n{ name = "main";\n  securityContext.privileged = true; } ];',
        ["workloads.web.podTemplate.spec.containers[0].securityContext", "workloads.nix:4:3"],
    ),
    pod("a place in the user's own folder", "tolerration = [ ];", "/flake/workloads.nix:2:"),
    # Limits.
    Case("endless recursion", "web = let x = x; in x;", ["infinite recursion", "workloads.nix:2:"]),
    Case("endless calls", "web = let f = x: 1 + f x; in f 1;", ["stack overflow"], options=("--max-call-depth", "1000")),
    Case(
        "too much memory",
        "web = { args = builtins.genList toString 100000000; };",
        ["MiB", "--eval-memory"],
        options=("--eval-memory", "64"),
    ),
]


class Shop:
    """A flake in a Git repository, and a GitOps repository."""

    def __init__(self, folder):
        self.home, self.flake, self.gitops = folder, folder / "shop", folder / "gitops"
        self.flake.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")
        shutil.copytree(ROOT / "nixlib", self.flake / "nixlib")
        for name in ("program", "site"):
            shutil.copytree(HELLO / name, self.flake / name)
        shutil.copy(HELLO / "packages.nix", self.flake)
        self.environments(shop=WEB)

    def git(self, *arguments, repository=None):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
        command = ["git", "-C", repository or self.flake, *identity, *arguments]
        return subprocess.run([*map(str, command)], text=True, capture_output=True, check=True).stdout

    def commit(self):
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "change")

    def environments(self, systems='[ "x86_64-linux" "aarch64-linux" ]', more="", inputs="", **environments):
        """Writes flake.nix with these environments, each with these workloads, and commits it."""
        text = ""
        for name, workloads in environments.items():
            text += f"""
    niphasConfigurations.{name} = (import ./nixlib).mkEnvironment {{
      systems = {systems};
      pkgsFor = import ./packages.nix;
      workloads = {{ {workloads} }};
      {more}
    }};"""
        self.raw(f"{text}\n  ", inputs)

    def raw(self, outputs, inputs=""):
        """Writes flake.nix with these outputs, and commits it."""
        (self.flake / "flake.nix").write_text(f"{{\n  {inputs}\n  outputs = {{ self, ... }}: {{{outputs}}};\n}}\n")
        self.commit()

    def niphas(self, *arguments, code=1, said=(), unsaid=(), cwd=None, variables=None):
        """Runs niphas in the flake's folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIPHAS", "NIX", "GIT", "http", "HTTP"))}
        kept |= {"HOME": str(self.home), "NO_COLOR": "1", **(variables or {})}
        command = [*map(str, (NIPHAS, *arguments))]
        done = subprocess.run(command, cwd=cwd or self.flake, env=kept, text=True, capture_output=True, check=False)
        printed = done.stdout + done.stderr
        if done.returncode != code:
            raise Wrong(f"{' '.join(command[1:])}: exit code {done.returncode}, wanted {code}; niphas said:\n{printed}")
        for text in said:
            if text not in printed:
                raise Wrong(f"{' '.join(command[1:])}: not said: {text}; niphas said:\n{printed}")
        for text in unsaid:
            if text in printed:
                raise Wrong(f"{' '.join(command[1:])}: said: {text}; niphas said:\n{printed}")
        return done.stdout

    def render(self, *options, cache=f"file://{HELLO}/cache", key=KEY, to=None, init=True, flake=".", **wanted):
        """Runs `niphas render` with the example's cache."""
        command = ["render", flake, "--to", to or self.gitops, *(["--init"] if init else []), "--author", "CI <ci@example.org>"]
        command += [option for url in ([cache] if cache else []) for option in ("--cache", url)]
        command += ["--trusted-public-key", key] if key else []
        self.niphas(*command, *options, **wanted)


@contextlib.contextmanager
def server(answer):
    """A server on this machine that calls `answer` with each request; gives its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        do_HEAD = do_POST = do_GET

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@contextlib.contextmanager
def git_server(folder):
    """Serves the repositories in a folder over HTTP, by git's own program."""

    def answer(request):
        path, _, query = request.path.partition("?")
        variables = {
            **os.environ, "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": "ci", "REMOTE_ADDR": "127.0.0.1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": request.command, "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        }  # fmt: skip
        if request.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(request.rfile.readline(), 16):
                body += request.rfile.read(size)
                request.rfile.readline()
        else:
            body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        variables["CONTENT_LENGTH"] = str(len(body))
        done = subprocess.run(["git", "http-backend"], env=variables, input=body, capture_output=True, check=True)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        request.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        request.wfile.write(rest)

    with server(answer) as url:
        yield url


def status(code):
    def answer(request):
        request.send_response(code)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def places_are_paths_of_the_flakes_folder(shop):
    shop.environments(shop=WEB.replace("hello;", "nosuch;"))
    here = shop.flake / "flake.nix"
    shop.render(said=[f"at {here}:", "workload 'web' of environment 'shop' for aarch64-linux"], unsaid=["/nix/store", "nixlib", "call-flake"])
    shop.render("--show-trace", said=["nixlib/assemble.nix"])
    # What the flake itself can see is as in Nix.
    shop.raw(' p = builtins.unsafeGetAttrPos "p" self.outputs; t = toString ./.; l = ./flake.nix; f = x: x; ')
    shop.niphas("eval", ".#p.file", code=0, said=["/nix/store/"])
    shop.niphas("eval", ".#t", code=0, said=["/nix/store/"])
    shop.niphas("eval", ".#l", code=0, said=[f"{here}\n"], unsaid=["/nix/store/"])
    shop.niphas("eval", ".#f", code=0, said=[f"«lambda f @ {here}:"])
    # Another source is named by its URL, and its revision.
    shop.raw(' bad = throw "no"; ')
    revision = shop.git("rev-parse", "HEAD").strip()
    shop.niphas("eval", f"git+file://{shop.flake}?rev={revision}#bad", said=[f"at «git+file://{shop.flake}?", f"rev={revision}»/flake.nix:3:"])
    shop.niphas("eval", f"path:{shop.flake}#bad", said=[f"at {here}:3:"], unsaid=["/nix/store"])


def places_of_an_environments_own_attributes(shop):
    shop.environments(more='namespace = "Shop_1";', shop=WEB)
    shop.render(said=['namespace: "Shop_1" cannot be the name of a namespace', f"at {shop.flake}/flake.nix:8:7"])
    for systems, said in (
        ("[ ]", "systems: expected a list of at least one system, found an empty list"),
        ('"x86_64-linux"', 'systems: expected a list of at least one system, found the string "x86_64-linux"'),
        ('[ "x86_64-linxu" ]', 'systems[0]: the string "x86_64-linxu": expected a system of Linux that Kubernetes knows'),
        ('[ "x86_64-darwin" ]', 'systems[0]: the string "x86_64-darwin"'),
        ("[ 3 ]", "systems[0]: expected a system of Linux"),
    ):
        shop.environments(systems=systems, shop=WEB)
        shop.render(said=[said, f"at {shop.flake}/flake.nix:5:7"], unsaid=["nixlib", "cache"])
    shop.environments(systems='[ "x86_64-linxu" ]', shop=WEB)
    shop.render(said=["hint: did you mean 'x86_64-linux'?"])


def a_place_in_another_flake(shop):
    library = shop.home / "library"
    library.mkdir()
    (library / "flake.nix").write_text("{\n  outputs = _: {\n    web = throw \"no web\";\n  };\n}\n")
    shop.git("init", "--quiet", "--initial-branch", "main", repository=library)
    shop.git("add", ".", repository=library)
    shop.git("commit", "--quiet", "--message", "library", repository=library)
    shop.git("clone", "--quiet", "--bare", library, shop.home / "library.git", repository=library)
    shop.raw(" web = self.inputs.library.web; ", f'inputs.library.url = "git+file://{shop.home}/library.git";')
    shop.niphas("eval", ".#web", said=[f"at «git+file://{shop.home}/library.git?ref=refs/heads/main&rev=", "»/flake.nix:3:11", "error: no web"], unsaid=["narHash"])


def untracked_files(shop):
    shop.raw(" a = import ./extra.nix; b = builtins.readFile ./folder/x; c = builtins.readDir ./folder; d = \"${./extra.nix}\"; e = import ./folder; g = builtins.pathExists ./extra.nix; h = ./none.nix + \"\"; i = import ./none.nix; ")
    (shop.flake / "extra.nix").write_text("1\n")
    (shop.flake / "folder").mkdir()
    (shop.flake / "folder/x").write_text("x\n")
    for attribute, path in (("a", "extra.nix"), ("b", "folder/x"), ("c", "folder"), ("d", "extra.nix"), ("e", "folder")):
        shop.niphas(
            "eval", f".#{attribute}",
            said=[f'Path \'{path}\' in the repository "{shop.flake}" is not tracked by Git.', f'git -C "{shop.flake}" add "{path}"'],
            unsaid=["/nix/store"],
        )  # fmt: skip
    shop.niphas("eval", ".#g", code=0, said=["false"])
    shop.niphas("eval", ".#i", said=[f"path '{shop.flake}/none.nix' does not exist"])
    shop.git("add", "extra.nix")
    shop.niphas("eval", ".#a", code=0, said=["1"])
    shop.git("rm", "--quiet", "--cached", "flake.nix")
    shop.niphas("eval", ".#a", said=["Path 'flake.nix' in the repository", "is not tracked by Git"])


def keys_of_signatures(shop):
    shop.render(key=None, said=["no public key is trusted, so no signature counts: name the key"])
    other = FALSE_KEY.replace(KEY_NAME, "other-1")
    shop.render(key=other, said=["signed only by keys that are not trusted: " + KEY_NAME, f"trust one of the keys {KEY_NAME}"])
    shop.render(
        key=FALSE_KEY,
        said=[f"has it, with signatures in the name of {KEY_NAME} that the trusted key of that name did not make", "if it was replaced, trust the new one", "are forged"],
        unsaid=["not trusted", "trust one of the keys"],
    )  # fmt: skip
    shop.render(key="shop-1:abc", said=["'shop-1' is not valid"])
    shop.render(key="shop-1", said=["'<name>:<base64>'"])


def caches_that_cannot_be_read(shop):
    shop.render(cache=None, said=["no binary cache is given", "--cache or NIPHAS_CACHES"])
    shop.render(cache="file:///no/such", said=["there is no folder '/no/such'"])
    shop.render(cache=f"file://{shop.home}", said=["it does not appear to be a binary cache"])
    shop.render(cache="cache.example.org", said=["'cache.example.org' is not a URL"])
    shop.render(cache="ftp://cache.example.org", said=["has the scheme 'ftp'"])
    shop.render(cache=None, variables={"NIPHAS_CACHES": f"file://{HELLO}/cache,https://b.example"}, said=["caches are separated by spaces"])
    shop.render(cache=None, code=0, variables={"NIPHAS_CACHES": f"file://{HELLO}/cache  "})
    # Each cache is named once, however many workloads ask it.
    shop.environments(shop=WEB + " a = { pkgs, ... }: { package = pkgs.hello; };", other=WEB)
    with server(status(200)) as url:
        pass
    for cache in (url, "https://no-such-host.invalid"):
        shop.render("--no-eval-cache", "--refresh", cache=cache, said=["cannot be asked", f"see whether {cache} is right"])
    with server(status(401)) as url:
        shop.render(cache=url, said=["refuses access (HTTP 401)", "--netrc-file or ~/.netrc", "--cache-token-file"])


def a_package_that_was_not_pushed(shop):
    shop.environments(shop=WEB.replace("hello;", 'hello; args = [ "${builtins.toFile "data" "x"}" ];'))
    shop.render(said=["no cache gives a store path that workloads need", "hint: build what the environments need, and push it:"])


def what_is_no_environment(shop):
    made = "hint: make it with niphas.lib.mkEnvironment"
    for value, why in (
        ("{ config = x: x; }", "it is a set that niphas.lib.mkEnvironment did not make"),
        ("{ a = 1; }", "it is a set that niphas.lib.mkEnvironment did not make"),
        ("x: x", "it is a function"),
        ("[ (x: x) ]", "it is a list"),
        ('"x"', 'it is the string "x"'),
    ):
        shop.raw(f" niphasConfigurations.shop = {value}; ")
        shop.render(said=["environment 'shop' cannot be rendered", f"not an environment: {why}", made])
    shop.raw(" niphasConfiguration.shop = { }; ")
    shop.render(said=["the flake has no output 'niphasConfigurations'", "it has 'niphasConfiguration': name that niphasConfigurations"])
    shop.raw(" nixosConfigurations.shop = { }; ")
    shop.render(said=["the flake has no output 'niphasConfigurations'", "declare environments with niphas.lib.mkEnvironment"])


def names_that_are_nearly_right(shop):
    shop.environments(production=WEB, staging=WEB)
    for arguments in (("--environment", "prodution"), ("-e", "prodution")):
        shop.render(*arguments, said=["no environment 'prodution'; it has: production, staging", "did you mean 'production'?"])
    shop.render(flake=".#stagin", said=["did you mean 'staging'?"])
    shop.niphas("eval", ".#niphasConfigurations.stagin", said=["does not provide attribute", "Did you mean staging?"])
    shop.niphas("eval", ".#niphasConfiguration", said=["Did you mean niphasConfigurations?"])
    shop.niphas("rendr", code=2, said=["'render'"])
    text = (shop.flake / "flake.nix").read_text()
    for wrong, said in (
        (text.replace("mkEnvironment", "mkEnviroment"), ["attribute 'mkEnviroment' missing", "Did you mean mkEnvironment?"]),
        (text.replace("workloads =", "workload ="), ["function 'mkEnvironment' called without required argument 'workloads'", "while evaluating environment 'production'"]),
        (text.replace("workloads =", 'namespaces = "x"; workloads ='), ["function 'mkEnvironment' called with unexpected argument 'namespaces'", "Did you mean namespace?"]),
    ):
        (shop.flake / "flake.nix").write_text(wrong)
        shop.render(said=[*said, f"at {shop.flake}/flake.nix:4:"], unsaid=["nixlib/", "anonymous"])


def inputs_that_are_wrong(shop):
    shop.raw(" x = 1; ", 'input.nixpkgs.url = "path:./x";')
    shop.niphas("eval", ".#x", said=["unsupported attribute 'input'", f"{shop.flake}/flake.nix:2:3"], unsaid=["/nix/store"])
    shop.raw(" x = 1; ", f'inputs.a.url = "path:{shop.home}/a";')
    (shop.home / "a").mkdir()
    (shop.home / "a/flake.nix").write_text(f'{{ inputs.shop.url = "git+file://{shop.flake}"; outputs = _: {{ }}; }}\n')
    shop.niphas("eval", ".#x", said=["found circular import of flake"])
    shop.raw(" x = 1; ", 'inputs.a.follows = "b"; inputs.b.follows = "a";')
    shop.niphas("eval", ".#x", said=["cycle"])
    library = shop.home / "library"
    library.mkdir()
    (library / "flake.nix").write_text("{ outputs = _: { y = 1; }; }\n")
    shop.raw(" x = self.inputs.lib.y; ", f'inputs.lib.url = "path:{library}";')
    shop.niphas("eval", ".#x", code=0, said=["1"])
    lock = shop.flake / "flake.lock"
    lock.write_text(re.sub(r'"narHash": "sha256-.', '"narHash": "sha256-/', lock.read_text()))
    shop.commit()
    shop.niphas("eval", ".#x", code=102, said=["NAR hash mismatch", "expected", "got"], unsaid=["call-flake"])


def endings_of_time(shop):
    shop.environments(shop="web.args = let f = n: if n == 0 then 0 else f (n - 1); in builtins.genList (n: toString (f 1000)) 10000000;")
    shop.render("--eval-timeout", "1", said=["--eval-timeout"])


def the_gitops_repository(shop):
    shop.render(code=0)
    shop.render(code=0, said=["nothing to commit: branch 'main' is up to date"])
    shop.render("--check", code=0)
    shop.environments(shop=WEB.replace("hello;", 'hello; args = [ "x" ];'))
    shop.render("--check", said=["would commit to branch 'main'", "changed  deploy/shop/web/NiphasWorkload-web.yaml"])
    yaml = shop.gitops / "deploy/shop/web/NiphasWorkload-web.yaml"
    text = yaml.read_text()
    yaml.write_text(text + "# mine\n")
    shop.render(said=["'deploy/shop/web/NiphasWorkload-web.yaml' has uncommitted changes", "commit or stash what is there"])
    shop.git("commit", "--quiet", "--all", "--message", "by hand", repository=shop.gitops)
    shop.render(said=["'deploy/shop/web/NiphasWorkload-web.yaml' was edited by hand", "make the change in the flake instead"])
    yaml.write_text(text)
    shop.git("commit", "--quiet", "--all", "--message", "back", repository=shop.gitops)
    shop.render(code=0, said=["committed"])
    shop.environments(shop="")
    shop.render(said=["environment 'shop' has no workloads", "--allow-empty"])


def sources_that_are_older(shop):
    shop.render(code=0)
    shop.environments(shop=WEB.replace("hello;", 'hello; args = [ "x" ];'))
    shop.render(code=0)
    shop.git("checkout", "--quiet", "HEAD~")
    shop.render(said=["which is newer than this source", "render the newest source"])
    shop.git("checkout", "--quiet", "main")
    # A shallow clone in the same place.
    clone, whole = shop.home / "clone", shop.home / "whole"
    shop.environments(shop=WEB.replace("hello;", 'hello; args = [ "y" ];'))
    shop.git("clone", "--quiet", "--depth", "1", f"file://{shop.flake}", clone)
    shop.flake.rename(whole)
    clone.rename(shop.flake)
    shop.render(flake=f"git+file://{shop.flake}?shallow=1", said=["a shallow clone lacks it", "--allow-unknown-source"])
    shutil.rmtree(shop.flake)
    whole.rename(shop.flake)
    shop.git("revert", "--no-edit", "HEAD", repository=shop.gitops)
    shop.git("checkout", "--quiet", "HEAD~")
    shop.render(said=["hint: it was rolled back, it seems"])


def files_in_the_way(shop):
    shop.git("init", "--quiet", "--initial-branch", "main", shop.gitops)
    for name in ("a", "b", "c", "d"):
        (shop.gitops / f"deploy/shop/{name}").mkdir(parents=True)
        (shop.gitops / f"deploy/shop/{name}/NiphasWorkload-{name}.yaml").write_text("mine\n")
    shop.environments(shop=WEB.replace("web", "a", 1))
    shop.render(said=["the untracked file 'deploy/shop/a/NiphasWorkload-a.yaml' is in the way"])
    shop.environments(shop="".join(WEB.replace("web", name, 1) for name in "abcd"))
    shop.render(said=["the untracked files 'deploy/shop/a/NiphasWorkload-a.yaml', ", " and 1 more are in the way"])
    shop.git("add", ".", repository=shop.gitops)
    shop.git("commit", "--quiet", "--message", "mine", repository=shop.gitops)
    shop.render(said=["'deploy/shop/a/NiphasWorkload-a.yaml' is in the way: niphas did not write it"])


def who_commits(shop):
    variables = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_COMMITTER_NAME": "Bot", "GIT_COMMITTER_EMAIL": "bot@example.org"}
    command = ["render", ".", "--to", shop.gitops, "--init", "--cache", f"file://{HELLO}/cache", "--trusted-public-key", KEY]
    shop.niphas(*command, code=0, variables=variables)
    by = shop.git("log", "--format=%an <%ae>, %cn <%ce>", repository=shop.gitops)
    check(by == "Ann <ann@example.org>, Bot <bot@example.org>\n", f"the commit is by {by}")
    shop.environments(shop=WEB.replace("hello;", 'hello; args = [ "x" ];'))
    shop.niphas(*command, "--author", "CI <ci@example.org>", code=0, variables=variables)
    by = shop.git("log", "--max-count=1", "--format=%an <%ae>, %cn <%ce>", repository=shop.gitops)
    check(by == "CI <ci@example.org>, CI <ci@example.org>\n", f"the commit is by {by}")


def repositories_that_cannot_be_reached(shop):
    with server(status(404)) as url:
        shop.render(to=f"{url}/x.git", said=["cannot reach the repository", "servers also say so of repositories that one may not see"])
    shop.render(to=f"{url}/x.git", said=["cannot reach the repository"])
    shop.render(to="https://no-such-host.invalid/x.git", said=["cannot reach the repository 'https://no-such-host.invalid/x.git'"])


def repositories_on_a_server(shop):
    with git_server(shop.home) as url:
        shop.git("init", "--quiet", "--bare", shop.home / "new.git")
        shop.git("config", "http.receivepack", "true", repository=shop.home / "new.git")
        to = f"{url}/new.git"
        shop.render(to=to, said=[f"the repository '{to}' is empty, and names no branch", "--branch main"])
        shop.render("--branch", "main", to=to, code=0, said=["committed", "to branch 'main'"])
        # Words of a rule that the server has.
        hook = shop.home / "new.git/hooks/pre-receive"
        hook.write_text("#!/bin/sh\necho 'error: GH006: Protected branch update failed for refs/heads/main.'\necho 'Changes must be made through a pull request.'\nexit 1\n")
        hook.chmod(0o755)
        shop.environments(shop=WEB.replace("hello;", 'hello; args = [ "x" ];'))
        shop.render(
            "--branch", "main", to=to,
            said=["refused the push to 'main'", "GH006: Protected branch update failed", "Changes must be made through a pull request.", "hint: the branch may be protected"],
        )  # fmt: skip


def two_runs_at_once(shop):
    shop.render(code=0)
    shop.environments(shop=WEB.replace("hello;", 'hello; args = [ "x" ];'), other=WEB)
    failures = []

    def render(name):
        try:
            shop.render("--environment", name, code=0, said=["committed"])
        except Wrong as error:
            failures.append(str(error))

    threads = [threading.Thread(target=render, args=[name]) for name in ("shop", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, "\n".join(failures))
    shop.render(code=0, said=["nothing to commit"])


def the_line_that_shows_progress(shop):
    for mode, said in (("--dry-run", "would commit to branch"), (None, "committed ")):
        command = [NIPHAS, "render", ".", "--to", shop.gitops, "--init", "--cache", f"file://{HELLO}/cache", "--trusted-public-key", KEY, *([mode] if mode else [])]
        ours, theirs = pty.openpty()
        variables = {**os.environ, "HOME": str(shop.home), "TERM": "xterm"}
        running = subprocess.Popen([*map(str, command)], cwd=shop.flake, env=variables, stdout=theirs, stderr=theirs)
        os.close(theirs)
        printed = b""
        with contextlib.suppress(OSError), open(ours, "rb", buffering=0) as terminal:
            while part := terminal.read(4096):
                printed += part
        check(running.wait() == 0, f"exit code {running.returncode}: {printed}")
        line = next((line for line in printed.decode().split("\n") if said in line), "")
        check(re.split(r"\r|\x1b\[2?K", line.rstrip("\r"))[-1].startswith(said), f"the result is in the line of the progress: {printed}")
        check(mode is None or b"writing" not in printed, f"nothing is written: {printed}")


def nothing_to_write(shop):
    shop.environments(shop="")
    for options in (["--dry-run"], []):
        shop.render(*options, code=0, said=["nothing to commit: no workloads to render, and branch 'main' has no commit"])


def a_dirty_tree(shop):
    (shop.flake / "flake.nix").open("a").write("# mine\n")
    shop.render(code=0, said=[f"Git tree '{shop.flake}' is dirty"])


def of_a_shop(story):
    """The story in the form that `stories.run` tells: of a team, whose folder the shop is in."""

    def told(team):
        story(Shop(team.home))

    told.__name__ = story.__name__
    return told


STORIES = [
    of_a_shop(story)
    for story in (
        places_are_paths_of_the_flakes_folder,
        places_of_an_environments_own_attributes,
        a_place_in_another_flake,
        untracked_files,
        keys_of_signatures,
        caches_that_cannot_be_read,
        a_package_that_was_not_pushed,
        what_is_no_environment,
        names_that_are_nearly_right,
        inputs_that_are_wrong,
        endings_of_time,
        the_gitops_repository,
        sources_that_are_older,
        files_in_the_way,
        who_commits,
        repositories_that_cannot_be_reached,
        repositories_on_a_server,
        two_runs_at_once,
        the_line_that_shows_progress,
        nothing_to_write,
        a_dirty_tree,
    )
]
