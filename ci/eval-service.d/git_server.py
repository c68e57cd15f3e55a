"""Git over HTTPS with a login: `git http-backend` behind TLS.

    git_server.py FOLDER ADDRESS PORT CERTIFICATE LOGINS LOG

LOGINS: a file of lines `FOLDER USER:PASSWORD`, of those who may use the repositories below a folder. LOG: a line for each request.
"""

import base64
import http.server
import pathlib
import ssl
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from serve_git import Backend  # noqa: E402


class Server(Backend):
    def answer(self) -> None:
        folder = self.path.split("/")[1]
        with open(sys.argv[6], "a") as log:
            log.write(f"{self.path}\n")
        wanted = dict(line.split() for line in pathlib.Path(sys.argv[5]).read_text().splitlines()).get(folder)
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        if wanted and base64.b64decode(given).decode() == wanted:
            super().answer()
            return
        self.body()
        # Besides repositories it has nothing: no API, either.
        self.send_response(401 if wanted else 404)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815 (the names that the server asks for)


class Listener(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, address: object) -> None:
        # A client that was killed.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, address)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[4])
server = Listener((sys.argv[2], int(sys.argv[3])), Server)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
