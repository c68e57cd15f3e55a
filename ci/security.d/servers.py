"""Servers of the attackers: on the loopback interface, bounded in what they send, ended with the attack."""

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time

# No server sends more than this.
MOST_SENT = 512 << 20


class Server:
    """Serves each connection by `serve(connection, request, server)` in a thread; `request` is the head of the HTTP request as
    bytes, b"" for protocols in which the server speaks first (`reads=False`)."""

    def __init__(self, serve, port=0, address="127.0.0.1", tls=None, reads=True):
        self.serve, self.tls, self.reads = serve, tls, reads
        self.requests, self.sent, self.connections = [], 0, 0
        self.listener = socket.create_server((address, port), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{address}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with contextlib.suppress(OSError, ssl.SSLError), connection:
            connection.settimeout(300)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            request = b""
            while self.reads and b"\r\n\r\n" not in request and len(request) < 1 << 20:
                piece = connection.recv(1 << 16)
                if not piece:
                    return
                request += piece
            self.requests.append(request)
            self.serve(connection, request, self)

    def send(self, connection, data):
        """Sends, and counts. False once the bound is reached."""
        connection.sendall(data)
        self.sent += len(data)
        return self.sent < MOST_SENT

    def pour(self, connection, piece, most=MOST_SENT):
        """Sends a piece again and again."""
        sent = 0
        while sent < most and self.send(connection, piece):
            sent += len(piece)

    def close(self):
        self.listener.close()


def answer(status="200 OK", body=b"", **headers):
    """The bytes of an HTTP answer that closes the connection."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def path_of(request):
    return request.split(b" ", 2)[1].decode(errors="replace") if request.count(b" ") >= 2 else ""


def headers_of(request):
    lines = request.split(b"\r\n\r\n")[0].decode(errors="replace").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def replying(reply, **options):
    """A server that answers each request with `reply(path, headers)`, bytes of an answer."""

    def serve(connection, request, server):
        server.send(connection, reply(path_of(request), headers_of(request)))

    return Server(serve, **options)


def stalled(connection, *_):
    """Says nothing more, and keeps the connection."""
    with contextlib.suppress(OSError):
        while connection.recv(1 << 16):
            pass
        time.sleep(300)


def certificate(work, *names):
    """A certificate for names of this machine. Gives the server's context, and the authority's file to trust."""
    alternatives = ",".join(f"IP:{name}" if name.replace(".", "").isdigit() else f"DNS:{name}" for name in names)
    (work / "extensions").write_text(f"subjectAltName={alternatives}\nbasicConstraints=critical,CA:FALSE\n")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for command in (
        ["req", "-x509", *new_key, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority of a test"],
        ["req", *new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={names[0]}"],
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-extfile", "extensions", "-out", "server.pem"],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True, cwd=work)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(work / "server.pem", work / "server.key")
    return context, work / "ca.pem"


def git(folder):
    """Serves bare repositories as Git does; gives the URL."""
    import csi

    port = csi.free_port()
    csi.start(sys.executable, csi.ROOT / "ci/lib/serve_git.py", folder, "127.0.0.1", str(port), stderr=subprocess.DEVNULL)
    wait_for_port(port)
    return f"http://127.0.0.1:{port}"


def wait_for_port(port):
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def own_address(address):
    """Gives this namespace's loopback interface one more address."""
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        alias = f"lo:{address.replace('.', '')[-8:]}".encode()[:15]
        place = struct.pack("16sHH4s8x", alias, socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(any_socket, 0x8916, place)
        mask = struct.pack("16sHH4s8x", alias, socket.AF_INET, 0, socket.inet_aton("255.255.255.255"))
        fcntl.ioctl(any_socket, 0x891C, mask)
