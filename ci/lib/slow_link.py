"""A slow way to a server: a network namespace whose only link has 100 Mbit/s each way (tbf), and 20 ms there and back.

The kernels of CI's machines have no netem, so a relay in the namespace holds back what goes by. Needs root.
"""

import asyncio
import os
import subprocess
import sys
import time

RATE = "100mbit"
DELAY = 0.010
HOST, GUEST = "10.213.77.1", "10.213.77.2"
_MOST_HELD_BACK = 4 << 20


class SlowLink:
    """Within it, `command` runs programs in the namespace, for which the server is at `url`."""

    # The link is made after the server.
    listens_at = "0.0.0.0"

    def __init__(self, port):
        self.name, self.port = f"niphas-{os.getpid()}", port
        self.url = f"http://127.0.0.1:{port}"

    def command(self, command):
        return ["ip", "netns", "exec", self.name, *command]

    def __enter__(self):
        ip = lambda *arguments: subprocess.run(["ip", *arguments], check=True)
        outer, inner = f"nb{os.getpid() % 100_000}a", f"nb{os.getpid() % 100_000}b"
        ip("netns", "add", self.name)
        ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.name)
        shape = ["root", "tbf", "rate", RATE, "burst", "64kb", "latency", "200ms"]
        ip("addr", "add", f"{HOST}/30", "dev", outer)
        ip("link", "set", outer, "up")
        subprocess.run(["tc", "qdisc", "add", "dev", outer, *shape], check=True)
        ip("-n", self.name, "addr", "add", f"{GUEST}/30", "dev", inner)
        ip("-n", self.name, "link", "set", inner, "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        subprocess.run(self.command(["tc", "qdisc", "add", "dev", inner, *shape]), check=True)
        self.relay = subprocess.Popen(self.command([sys.executable, __file__, str(self.port)]))
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self.relay.terminate()
        self.relay.wait()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


async def _hold_back(reader, writer):
    """Hands on what comes after DELAY."""
    held = asyncio.Queue(_MOST_HELD_BACK >> 16)

    async def receive():
        while piece := await reader.read(1 << 16):
            await held.put((time.monotonic() + DELAY, piece))
        await held.put((0, b""))

    receiving = asyncio.create_task(receive())
    try:
        while True:
            due, piece = await held.get()
            if not piece:
                break
            await asyncio.sleep(max(0, due - time.monotonic()))
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        receiving.cancel()
        writer.close()


async def _relay(port):
    async def serve(reader, writer):
        # A connection takes a round trip to make.
        await asyncio.sleep(2 * DELAY)
        try:
            from_server, to_server = await asyncio.open_connection(HOST, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_hold_back(reader, to_server), _hold_back(from_server, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_relay(int(sys.argv[1])))
