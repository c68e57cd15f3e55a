# shellcheck shell=bash
# The API on a real API server (ci/apiserver), and how GitOps controllers take it.

# The definition refuses what it must and gives back what it gets; all plain objects are taken.
step_crd() {
  niphas
  ci/crd
}

# Everything rendered, and deploy/, against the API server's schemas.
step_kubeconform() {
  niphas
  ci/kubeconform
}

# The health check that Argo CD gets, asked of Argo CD.
step_argocd_health() {
  niphas
  ci/argocd-health
}
