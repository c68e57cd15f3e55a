# shellcheck shell=bash
# The parts of the evaluation service that need programs of their own to be tested with.

# The client of Git hosts, and a real Gitea.
step_forges() {
  if command -v go >/dev/null; then ci/forges; else skip "Gitea is built with Go, which is not here"; fi
}

# The pages in a browser.
step_pages() {
  if command -v chromium >/dev/null || [[ -n ${NIPHAS_CHROMIUM-} ]]; then ci/pages; else skip "the pages in a browser: there is no chromium"; fi
}
