# shellcheck shell=bash
# The API on a real API server (ci/apiserver), and how GitOps controllers take it.

# What is made of Kubernetes' own modules.
has_go() {
  command -v go >/dev/null && return
  skip "Kubernetes is built with Go"
  return 1
}

# The definition refuses what it must and gives back what it gets; all plain objects are taken.
step_crd() {
  has_go || return 0
  niphas
  ci/crd
}

# Jobs of builds, with Kubernetes' own Job controller.
step_build_jobs() {
  has_go || return 0
  ci/build-jobs
}

# Everything rendered, and deploy/, against the API server's schemas.
step_kubeconform() {
  has_go || return 0
  niphas
  ci/kubeconform
}

# Helm, built once from its Go module.
HELM_VERSION=v3.19.4

# How charts of others are delivered: as objects of Argo CD and Flux, or rendered by Helm.
step_charts() {
  has_go || return 0
  niphas
  local folder=$NIPHAS_CI_CACHE/helm-$HELM_VERSION
  [[ -x $folder/helm ]] || GOBIN=$folder CGO_ENABLED=0 go install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
  PATH=$PATH:$folder ci/charts
}

# The health check that Argo CD gets, asked of Argo CD.
step_argocd_health() {
  has_go || return 0
  niphas
  ci/argocd-health
}
