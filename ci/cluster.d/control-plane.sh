# etcd, API server, controller manager, scheduler.
# shellcheck shell=bash

# Further arguments of the API server.
APISERVER_ARGUMENTS=()

control_plane_up() {
  start_etcd
  start_apiserver
  # The controller manager ends if it comes too early.
  wait_for "the API server" apiserver_is_ready
  start_controllers
}

start_etcd() {
  start cp etcd "$PARTS/etcd" --data-dir "$STATE/etcd" --unsafe-no-fsync \
    --listen-client-urls "http://$LOOPBACK:2379" --advertise-client-urls "http://$LOOPBACK:2379" \
    --listen-peer-urls "http://$LOOPBACK:2380"
}

start_controllers() {
  local pki=$STATE/pki
  # A node counts as lost after three Leases of its kubelet that do not come, not after five: a suite waits for it.
  start cp kube-controller-manager "$PARTS/kube-controller-manager" --kubeconfig="$STATE/controller-manager.conf" \
    --authentication-kubeconfig="$STATE/controller-manager.conf" \
    --authorization-kubeconfig="$STATE/controller-manager.conf" \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
    --use-service-account-credentials=true --leader-elect=false --bind-address="$LOOPBACK" --node-monitor-grace-period=30s \
    --resource-quota-sync-period=5s
  start cp kube-scheduler "$PARTS/kube-scheduler" --kubeconfig="$STATE/scheduler.conf" \
    --authentication-kubeconfig="$STATE/scheduler.conf" --authorization-kubeconfig="$STATE/scheduler.conf" \
    --leader-elect=false --bind-address="$LOOPBACK"
}

start_apiserver() {
  local pki=$STATE/pki
  start cp kube-apiserver "$PARTS/kube-apiserver" --etcd-servers="http://$LOOPBACK:2379" \
    --secure-port=6443 --bind-address="$CONTROL_PLANE" --advertise-address="$CONTROL_PLANE" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" \
    --service-account-signing-key-file="$pki/sa.key" --service-cluster-ip-range=10.96.0.0/16 \
    --authorization-mode=Node,RBAC --allow-privileged=true --enable-admission-plugins=NodeRestriction \
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    ${APISERVER_ARGUMENTS[@]+"${APISERVER_ARGUMENTS[@]}"}
}

apiserver_kill() { kill -9 "$(cat "$STATE/log/kube-apiserver.pid")"; }

apiserver_restart() {
  start_apiserver
  wait_for "the API server" apiserver_is_ready
}

apiserver_is_ready() { [[ $(kubectl get --raw /readyz 2>/dev/null) == ok ]]; }

# Everything that is not a node's, the API server and what it needs last.
control_plane_down() {
  local pids=() file part
  for file in "$STATE"/log/*.pid; do
    case $(basename "$file" .pid) in
    *-node[0-9]* | kube-apiserver | etcd) ;;
    *) [[ ! -e $file ]] || pids+=("$(cat "$file")") ;;
    esac
  done
  stop "${pids[@]}"
  for part in kube-apiserver etcd; do
    [[ ! -e $STATE/log/$part.pid ]] || stop "$(cat "$STATE/log/$part.pid")"
  done
}
