"""Chromium without a window, by its protocol over two pipes: nothing but the browser itself is needed."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

# What is too pale: the text of each element against the first colour behind it. Elements of pictures are compared in the same way,
# with the box that they stand in.
CONTRAST = """
(() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n.length > 3 ? n[3] : 1]; };
  const over = (top, back) => [0, 1, 2].map((i) => top[i] * top[3] + back[i] * (1 - top[3])).concat(1);
  const light = (c) => [0, 1, 2].reduce((sum, i) => { const v = c[i] / 255;
    return sum + [0.2126, 0.7152, 0.0722][i] * (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
  const behind = (element) => {
    if (element.closest("svg.graph")) return parse(getComputedStyle((element.closest("g.box") || document).querySelector("rect")).fill);
    let layers = [];
    for (let e = element; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      layers.push(c);
      if (c[3] === 1) break;
    }
    let back = [255, 255, 255, 1];
    for (const layer of layers.reverse()) back = over(layer, back);
    return back;
  };
  const pale = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.getClientRects().length || element.closest("noscript")) continue;
    const style = getComputedStyle(element), back = behind(element);
    let front = parse(element instanceof SVGElement ? style.fill : style.color);
    front[3] *= Number(style.opacity);
    front = over(front, back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) pale.push(`${element.tagName}.${element.getAttribute("class")} ${ratio.toFixed(2)}: ${element.textContent.slice(0, 30)}`);
  }
  return [...new Set(pale)].slice(0, 5);
})()
"""


def program():
    """The browser: NIPHAS_CHROMIUM, or the one in PATH."""
    named = os.environ.get("NIPHAS_CHROMIUM")
    found = named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        sys.exit(f"{sys.argv[0]}: there is no chromium; install Debian's, or set NIPHAS_CHROMIUM")
    return found


class Browser:
    """A browser; `with` ends it."""

    def __init__(self, wait=60):
        self.wait = wait
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        into, self.write = os.pipe()
        self.read, out = os.pipe()
        self.answers, self.listeners, self.count, self.arrived = {}, [], 0, threading.Condition()

        def pipes():
            # The browser reads from 3 and writes to 4. The ends may have these numbers already.
            reader, writer = os.dup(into), os.dup(out)
            os.dup2(reader, 3)
            os.dup2(writer, 4)

        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
                   f"--user-data-dir={self.folder.name}", "about:blank"]
        self.process = subprocess.Popen([program(), *options], preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(into)
        os.close(out)
        threading.Thread(target=self.receive, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.write)
        self.folder.cleanup()

    def receive(self):
        """Sorts what arrives: answers, and events for those who listen."""
        buffer = b""
        while piece := os.read(self.read, 1 << 16):
            buffer += piece
            *messages, buffer = buffer.split(b"\0")
            for message in map(json.loads, messages):
                with self.arrived:
                    if "id" in message:
                        self.answers[message["id"]] = message
                    for listener in self.listeners:
                        listener(message)
                    self.arrived.notify_all()

    def call(self, method, session=None, **parameters):
        """What the browser answers to a command."""
        with self.arrived:
            self.count += 1
            number = self.count
            message = {"id": number, "method": method, "params": parameters}
            if session:
                message["sessionId"] = session
            os.write(self.write, json.dumps(message).encode() + b"\0")
            if not self.arrived.wait_for(lambda: number in self.answers, self.wait):
                raise TimeoutError(f"the browser does not answer to {method}")
            answer = self.answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def page(self, **settings):
        """A new page."""
        return Page(self, **settings)


class Page:
    """A page of the browser, with a size and a colour scheme. `problems` is what the browser complains of."""

    def __init__(self, browser, width=1280, height=800, scheme="light", scripts=True):
        self.browser, self.problems, self.events = browser, [], []
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        browser.listeners.append(self.listen)
        for domain in ("Page", "Log", "Runtime", "Network", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700)
        self.media(scheme=scheme)
        if not scripts:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def listen(self, message):
        if message.get("sessionId") != self.session:
            return
        method, parameters = message.get("method"), message.get("params", {})
        self.events.append(method)
        if method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{parameters['entry']['source']}: {parameters['entry']['text']}")
        elif method == "Runtime.exceptionThrown":
            self.problems.append(f"exception: {parameters['exceptionDetails']['text']}")
        elif method == "Runtime.consoleAPICalled":
            self.problems.append(f"console: {[argument.get('value') for argument in parameters['args']]}")
        elif method == "Page.javascriptDialogOpening":
            self.problems.append(f"dialog: {parameters['message']}")

    def media(self, scheme="light", kind=""):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def open(self, url):
        """Loads a page, and waits until it is there."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.until(lambda: "Page.loadEventFired" in self.events, f"{url} does not load")

    def until(self, condition, what):
        with self.browser.arrived:
            if not self.browser.arrived.wait_for(condition, self.browser.wait):
                raise TimeoutError(what)

    def evaluate(self, expression):
        """The value of an expression in the page. The page's own policy does not forbid it."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description", expression))
        return result["result"].get("value")

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        metrics = self.call("Page.getLayoutMetrics")
        return metrics["cssContentSize"]["width"] - metrics["cssLayoutViewport"]["clientWidth"]

    def tab(self):
        """Presses the key, as a person without a mouse."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self.browser.listeners.remove(self.listen)
        self.browser.call("Target.closeTarget", targetId=self.target)
