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

# SOPS and age, built once from their Go modules.
SOPS_VERSION=v3.13.3
AGE_VERSION=v1.3.2

# What SOPS encrypted goes through to the commit, and decrypts there.
step_encrypted() {
  has_go || return 0
  niphas
  local folder=$NIPHAS_CI_CACHE/sops-$SOPS_VERSION
  [[ -x $folder/age-keygen ]] || GOBIN=$folder CGO_ENABLED=0 go install "filippo.io/age/cmd/age-keygen@$AGE_VERSION"
  # It has the clients of many clouds. Go keeps what it compiled, so the next run goes on from there.
  [[ -x $folder/sops ]] || GOBIN=$folder CGO_ENABLED=0 timeout 90 go install "github.com/getsops/sops/v3/cmd/sops@$SOPS_VERSION" || {
    skip "SOPS was not built within 90 s"
    return
  }
  PATH=$PATH:$folder ci/encrypted
}

# The health check that Argo CD gets, asked of Argo CD.
step_argocd_health() {
  has_go || return 0
  niphas
  ci/argocd-health
}
