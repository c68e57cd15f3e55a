# Argo CD on the control plane's host: its own repo server and application controller, built from its Go module.
# shellcheck shell=bash

# The newest that compiles from its module alone.
ARGOCD_VERSION=v3.2.11

argocd_folder() {
  go mod download -json "github.com/argoproj/argo-cd/v3@$ARGOCD_VERSION" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

build_argocd() {
  command -v redis-server >/dev/null || apt-get install --yes --no-install-recommends redis-server >&2
  [[ ! -x $PARTS/argocd ]] || return 0
  say "building Argo CD (about four minutes on two cores, once)"
  (
    cd "$(argocd_folder)" || exit
    # It is the main module there: so its own versions and replacements count.
    CGO_ENABLED=0 GOFLAGS=-mod=mod go build -trimpath -ldflags '-s -w' -o "$PARTS/argocd.new" ./cmd
  )
  mv "$PARTS/argocd.new" "$PARTS/argocd"
}

# Starts it in the namespace argocd; any file given is applied after its definitions: what it is to know of other kinds.
argocd() {
  alone build_argocd
  local folder=$STATE/argocd file
  mkdir -p "$folder"
  for file in argocd-repo-server argocd-application-controller; do ln -sf "$PARTS/argocd" "$folder/$file"; done
  kubectl create namespace argocd >&2
  kubectl apply --server-side --kustomize "$(argocd_folder)/manifests/crds" >&2
  wait_for "Argo CD's definitions" argocd_is_defined
  argocd_settings | kubectl apply --namespace argocd --filename - >&2
  for file in "$@"; do kubectl apply --namespace argocd --server-side --force-conflicts --filename "$file" >&2; done

  sed 's/user: admin}/user: admin, namespace: argocd}/' "$STATE/admin.conf" >"$folder/kubeconfig"
  # It asks Git every few seconds, for nothing tells it of commits; its verdicts stand in Applications.
  start cp redis redis-server --bind 127.0.0.1 --save '' --appendonly no --dir "$folder"
  start cp argocd-repo-server env ARGOCD_GPG_ENABLED=false HOME="$folder" KUBECONFIG="$folder/kubeconfig" TMPDIR="$folder" \
    "$folder/argocd-repo-server" --disable-tls --redis 127.0.0.1:6379 --port 8081 \
    --revision-cache-expiration 1s
  start cp argocd-application-controller env HOME="$folder" \
    "$folder/argocd-application-controller" --kubeconfig "$folder/kubeconfig" \
    --repo-server 127.0.0.1:8081 --repo-server-plaintext --app-resync 3 --app-resync-jitter 0 --redis 127.0.0.1:6379 --metrics-port 8082 \
    --persist-resource-health
  wait_for "Argo CD" run curl --silent --fail --output /dev/null http://127.0.0.1:8082/healthz
}

argocd_is_defined() {
  kubectl wait --for condition=Established --timeout 10s crd --selector app.kubernetes.io/part-of=argocd >/dev/null 2>&1
}

argocd_settings() {
  local part
  for part in argocd-cm argocd-rbac-cm; do
    printf -- '---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {app.kubernetes.io/part-of: argocd}}\n' "$part"
  done
  encode() { base64 --wrap=0 "$STATE/pki/$1"; }
  cat <<YAML
---
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, labels: {app.kubernetes.io/part-of: argocd}}
stringData: {server.secretkey: only-for-tests}
---
apiVersion: v1
kind: Secret
metadata: {name: cluster, labels: {argocd.argoproj.io/secret-type: cluster}}
stringData:
  name: test
  server: https://$CONTROL_PLANE:6443
  config: '{"tlsClientConfig":{"caData":"$(encode ca.crt)","certData":"$(encode admin.crt)","keyData":"$(encode admin.key)"}}'
---
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default}
spec:
  sourceRepos: ['*']
  destinations: [{namespace: '*', server: '*'}]
  clusterResourceWhitelist: [{group: '*', kind: '*'}]
YAML
}
