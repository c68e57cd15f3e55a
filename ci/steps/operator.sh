# shellcheck shell=bash
# The operator against a real API server and Kubernetes' own controllers.

step_operator() {
  has_go || return 0
  node_programs
  ci/operator
}
