"""The HTTP pages of the driver and of the operator, which any pod on the network may connect to."""

import contextlib
import resource
import socket
import subprocess
import time
import urllib.error
import urllib.request

import csi
import servers
from node import Group, Node, deployed_memory
from suite import attack, held

OPEN = "A client of a metrics port can neither kill the program nor keep others from its pages."
KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
users: [{{name: u, user: {{}}}}]
current-context: c
"""


class Program:
    """A program whose pages are attacked, in a group with its limit of memory."""

    def __init__(self, process, port):
        self.process, self.port = process, port

    def page(self, name="healthz", seconds=8):
        with contextlib.suppress(urllib.error.HTTPError):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=seconds) as answer:
                    return answer.status
            except OSError:
                return None
        return None

    def lives(self, what, page="healthz"):
        held(self.process.poll() is None, f"{what}: it ended with {self.process.poll()}")
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.page(page) == 200:
                return
            time.sleep(0.5)
        held(self.process.poll() is None, f"{what}: it ended with {self.process.poll()}")
        held(False, f"{what}: /{page} is not answered")


def driver(work):
    node = Node(work)
    node.start()
    return Program(node.process, node.port)


def operator(work):
    """The operator, with an API server that knows nothing."""
    api = servers.replying(lambda path, headers: servers.answer("404 Not Found", b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}', Content_Type="application/json"))
    (work / "kubeconfig").write_text(KUBECONFIG.format(url=api.url))
    port = csi.free_port()
    group = Group("operator", deployed_memory("operator.yaml"))
    with open(work / "operator.log", "wb") as log:
        process = csi.start(*group.prefix(), csi.programs() / "niphas-operator", "--kubeconfig", work / "kubeconfig", "--identity", "test", "--listen", f"127.0.0.1:{port}", stdout=log, stderr=log)
    program = Program(process, port)
    for _ in range(200):
        if program.page() == 200:
            return program
        time.sleep(0.05)
    held(False, f"the operator does not start: {(work / 'operator.log').read_text()[-300:]}")


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def half_open(program, count, head=4096):
    """Connections whose headers never end."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1000, count + 1000))
    kept = []
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Junk: " + b"j" * head
    for number in range(count):
        if program.process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            connection = connect(program.port)
            connection.sendall(request)
            kept.append(connection)
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline and program.process.poll() is None:
        time.sleep(0.2)
        for connection in kept[:: max(1, len(kept) // 200)]:
            with contextlib.suppress(OSError):
                connection.sendall(b"j" * 100)
    return kept


@attack(OPEN, limit=90)
def half_open_connections_do_not_kill_the_driver(work):
    program = driver(work)
    kept = half_open(program, 11_000)
    program.lives("11,000 connections whose headers never end")
    held(len(kept) >= 0, "")


@attack(OPEN, limit=90)
def half_open_connections_do_not_kill_the_operator(work):
    program = operator(work)
    half_open(program, 11_000)
    program.lives("11,000 connections whose headers never end")


@attack(OPEN)
def a_few_silent_connections_do_not_keep_others_out(work):
    program = driver(work)
    kept = []
    for _ in range(200):
        with contextlib.suppress(OSError):
            kept.append(connect(program.port))
    # A silent client is disconnected within seconds.
    program.lives("200 connections that say nothing")


def odd_requests(program, what):
    long = b"/" + b"a" * (1 << 20)
    for data in (
        b"GET " + long + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0" * 1000,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000,
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * (1 << 20),
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"ffffffff\r\n" + b"x" * (1 << 20),
        b"GET /metrics HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(20_000)) + b"\r\n",
        b"\x16\x03\x01" + b"\0" * 500,
        b"GET /../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0" * 100_000,
    ):
        answered = b""
        with contextlib.suppress(OSError):
            connection = connect(program.port)
            with contextlib.suppress(OSError):
                connection.sendall(data)
            connection.settimeout(1)
            with contextlib.suppress(OSError):
                answered = connection.recv(1 << 16)
        held(b"root:" not in answered, f"{what}: a file of the machine is served")
        held(program.process.poll() is None, f"{what}: it ended after {data[:30]!r}")
    program.lives(what)


@attack(OPEN)
def odd_requests_do_not_harm_the_driver(work):
    odd_requests(driver(work), "odd requests")


@attack(OPEN)
def odd_requests_do_not_harm_the_operator(work):
    odd_requests(operator(work), "odd requests")


@attack("Asking for a page costs less than it takes to ask.")
def a_storm_of_health_checks_does_not_kill_the_driver(work):
    program = driver(work)
    process = subprocess.Popen(["sh", "-c", f"exec python3 - {program.port}"], stdin=subprocess.PIPE)
    process.stdin.write(b"""
import socket, sys, time
connections, end = [], time.monotonic() + 8
while time.monotonic() < end:
    try:
        connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1)
        connection.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" * 20)
        connections.append(connection)
        if len(connections) > 300: connections.pop(0).close()
    except OSError: pass
""")
    process.stdin.close()
    process.wait()
    program.lives("a storm of health checks")


@attack("The pages tell no namespace, pod or path of a tenant.")
def metrics_name_no_tenant(work):
    import attacks_pods

    node, cache, root = attacks_pods.simple(work)
    node.published("pod-of-a-tenant", cache.closure(root), "namespace-of-a-tenant")
    for page in ("metrics", "healthz", "readyz", "status", "debug/pprof", "volumes"):
        text = node.page(page)[1]
        held(root not in text and "pod-of-a-tenant" not in text, f"/{page} names a tenant's volume")
