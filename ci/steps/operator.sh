# shellcheck shell=bash
# The operator against a real API server and Kubernetes' own controllers.

step_operator() {
  if ! command -v go >/dev/null; then
    skip "the API server is built with Go"
    return
  fi
  node_programs
  ci/operator
}
