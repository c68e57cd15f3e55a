// Adds what a log gains to its page. What arrives is text and names of classes: nothing of it is markup.
"use strict";
(() => {
  const log = document.getElementById("log");
  if (!log || !log.dataset.events || !window.EventSource) return;
  const status = document.getElementById("log-status");
  const follow = document.getElementById("follow");
  const follows = follow.querySelector("input");
  const most = 5000;
  follow.hidden = false;
  status.textContent = "The build goes on: lines appear as they are written.";

  const isAtEnd = () => window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 80;
  const toEnd = () => window.scrollTo(0, document.documentElement.scrollHeight);
  const line = (spans) => {
    const element = document.createElement("span");
    for (const { text, class: classes } of spans) {
      if (classes && /^[a-z0-9 ]+$/.test(classes)) {
        const part = document.createElement("span");
        part.className = classes;
        part.textContent = text;
        element.append(part);
      } else {
        element.append(String(text));
      }
    }
    element.append("\n");
    return element;
  };

  const events = new EventSource(log.dataset.events);
  events.onopen = () => { status.textContent = "The build goes on: lines appear as they are written."; };
  events.onmessage = (event) => {
    const wasAtEnd = isAtEnd();
    log.append(...JSON.parse(event.data).lines.map(line));
    for (let more = log.childElementCount - most; more > 0; more -= 1) log.firstElementChild.remove();
    if (follows.checked && wasAtEnd) toEnd();
  };
  events.addEventListener("end", () => {
    events.close();
    follow.hidden = true;
    status.textContent = "The log is complete. Load the page again for the result.";
  });
  events.onerror = () => { status.textContent = "The connection is lost; it is tried again."; };
  follows.addEventListener("change", () => { if (follows.checked) toEnd(); });
  toEnd();
})();
