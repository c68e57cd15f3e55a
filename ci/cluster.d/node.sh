# A node: containerd, kubelet and kube-proxy on a host, in cgroups of its own.
# shellcheck shell=bash

# Where a node has folders of its own; and so that nothing of pods is left, /run/netns.
NODE_MOUNTS=(/var/lib/kubelet /var/lib/niphas /run/containerd)

node_up() {
  local number=$1 name=node$1 folder=$STATE/node$1
  mkdir -p "$folder"/{containerd,net.d,kubelet,run,netns,niphas} "${NODE_MOUNTS[@]}"
  echo "nameserver 127.0.0.1" >"$folder/resolv.conf"
  node_network "$number" >"$folder/net.d/10-pods.conflist"
  containerd_configuration "$folder" "$(node_runc "$number")" >"$folder/containerd.toml"
  kubelet_configuration "$number" "$folder" >"$folder/kubelet.yaml"
  proxy_configuration "$number" >"$folder/proxy.yaml"
  node_cgroups "$name"
  # In mounts of its own, where the usual folders are the node's. What pods mount for their host reaches kubelet, and no
  # other node.
  # shellcheck disable=SC2016
  PATH=$PARTS:$PATH start "$name" "containerd-$name" unshare --mount --propagation private bash -euc '
    mount --make-rshared /
    mount --bind "$0/kubelet" /var/lib/kubelet
    mount --bind "$0/niphas" /var/lib/niphas
    mount --bind "$0/run" /run/containerd
    mount --bind "$0/netns" /run/netns
    exec "$1" --config "$0/containerd.toml"' "$folder" "$PARTS/containerd"
  wait_for "containerd of $name" test -S "$folder/run/containerd.sock"
  "$PARTS/ctr" --address "$folder/run/containerd.sock" --namespace k8s.io images import "$PARTS/pause.tar" >/dev/null
  start_kubelet "$number" "$(cat "$STATE/log/containerd-$name.pid")"
  start "$name" "proxy-$name" "$PARTS/kube-proxy" --config="$folder/proxy.yaml"
}

# kubelet, in the mounts of a process.
start_kubelet() {
  local name=node$1
  (
    enter_cgroup "$name-system"
    exec setsid nsenter --target "$2" --mount --net="/run/netns/niphas-$name" "$PARTS/kubelet" \
      --config="$STATE/$name/kubelet.yaml" --kubeconfig="$STATE/$name.conf" --hostname-override="$name" \
      --node-ip="$(node_address "$1")" --root-dir=/var/lib/kubelet
  ) >>"$STATE/log/kubelet-$name.log" 2>&1 &
  echo $! >"$STATE/log/kubelet-$name.pid"
}

# kubelet and containerd end as in a crash; containers go on.
node_kill() {
  local name=node$1 log=$STATE/log
  # Holds the node's mounts meanwhile.
  nsenter --target "$(cat "$log/containerd-$name.pid")" --mount setsid sleep infinity >/dev/null 2>&1 &
  echo $! >"$log/mounts-$name.pid"
  wait_for "the mounts of $name" is_in_mounts_of "$(cat "$log/mounts-$name.pid")" "$(cat "$log/containerd-$name.pid")"
  kill -9 "$(cat "$log/kubelet-$name.pid")" "$(cat "$log/containerd-$name.pid")"
}

is_in_mounts_of() { [[ $(readlink "/proc/$1/ns/mnt") == "$(readlink "/proc/$2/ns/mnt")" ]]; }

node_restart() {
  local name=node$1 folder=$STATE/node$1 holder
  holder=$(cat "$STATE/log/mounts-$name.pid")
  PATH=$PARTS:$PATH start "$name" "containerd-$name" nsenter --target "$holder" --mount "$PARTS/containerd" --config "$folder/containerd.toml"
  wait_for "containerd of $name" containerd_answers "$folder"
  start_kubelet "$1" "$holder"
  wait_for "the mounts of $name" is_in_mounts_of "$(cat "$STATE/log/kubelet-$name.pid")" "$holder"
  kill "$holder"
  rm "$STATE/log/mounts-$name.pid"
}

containerd_answers() { "$PARTS/ctr" --address "$1/run/containerd.sock" version >/dev/null 2>&1; }

# Every hierarchy of cgroup v1, or the one of v2.
cgroup_hierarchies() {
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    echo /sys/fs/cgroup
  else
    find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d ! -name unified
  fi
}

node_cgroups() {
  local hierarchy group file
  for hierarchy in $(cgroup_hierarchies); do
    for group in "$hierarchy/$1" "$hierarchy/$1-system"; do
      mkdir -p "$group"
      # An empty set lets nothing run.
      for file in cpuset.cpus cpuset.mems; do
        [[ ! -e $hierarchy/$file ]] || cat "$hierarchy/$file" >"$group/$file"
      done
    done
    if [[ -e $hierarchy/cgroup.subtree_control ]]; then
      sed 's/[^ ]*/+&/g' "$hierarchy/cgroup.controllers" >"$hierarchy/cgroup.subtree_control"
    fi
  done
}

enter_cgroup() {
  local hierarchy
  for hierarchy in $(cgroup_hierarchies); do echo "$BASHPID" >"$hierarchy/$1/cgroup.procs"; done
}

node_network() {
  cat <<JSON
{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipMasq": false,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "dataDir": "$STATE/node$1/ipam",
        "ranges": [[{"subnet": "10.244.$1.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
}

# The distribution's runc on one node, a newer one on the next: they treat volume mounts differently.
node_runc() {
  if (($1 % 2)); then PATH=$PATH:/usr/sbin command -v runc; else "$HERE/runc"; fi
}

# Without CAP_SYS_RESOURCE no process can lower its score for the kernel's choice of what to kill: then runc ends with "can't get
# final child's PID" for each container whose score shall be lower than containerd's, if containerd does not restrict it.
containerd_configuration() {
  cat <<TOML
version = 3
root = "$1/containerd/root"
state = "$1/containerd/state"
[grpc]
address = "/run/containerd/containerd.sock"
[ttrpc]
address = "/run/containerd/containerd.sock.ttrpc"
[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "localhost/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "$1/net.d"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = "$2"
TOML
}

kubelet_configuration() {
  cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $(node_address "$1")
authentication: {x509: {clientCAFile: $STATE/pki/ca.crt}, webhook: {enabled: true}, anonymous: {enabled: false}}
authorization: {mode: Webhook}
tlsCertFile: $STATE/pki/node$1.crt
tlsPrivateKeyFile: $STATE/pki/node$1.key
cgroupDriver: cgroupfs
cgroupRoot: /node$1
failCgroupV1: false
failSwapOn: false
podLogsDir: $2/pod-logs
protectKernelDefaults: false
oomScoreAdj: 0
maxOpenFiles: 20000
maxPods: 250
enforceNodeAllocatable: []
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
evictionHard: {memory.available: 100Mi}
localStorageCapacityIsolation: false
resolvConf: $2/resolv.conf
YAML
}

proxy_configuration() {
  cat <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: $(node_address "$1")
clientConnection: {kubeconfig: $STATE/proxy.conf}
clusterCIDR: 10.244.0.0/16
hostnameOverride: node$1
mode: nftables
conntrack: {maxPerCore: 0, min: 0}
YAML
}

nodes_down() {
  local number pids=() file hierarchy
  # Whatever was started from the cluster's folder: parts, shims, and through these the pods.
  for file in "$STATE"/log/{kubelet,proxy,mounts}-*.pid; do [[ ! -e $file ]] || pids+=("$(cat "$file")"); done
  stop "${pids[@]}"
  for number in $(node_numbers); do
    for hierarchy in $(cgroup_hierarchies); do
      pids=()
      [[ ! -d $hierarchy/node$number ]] ||
        mapfile -t pids < <(find "$hierarchy/node$number" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u)
      ((${#pids[@]} == 0)) || kill -9 "${pids[@]}" 2>/dev/null || true
    done
  done
  # A shim's command line does not tell whose it is, but where it runs does.
  mapfile -t pids < <(for pid in $(pgrep containerd-shim || true); do
    [[ $(readlink "/proc/$pid/cwd") != "$STATE"/* ]] || echo "$pid"
  done)
  stop "${pids[@]}"
  pids=()
  for file in "$STATE"/log/containerd-*.pid; do [[ ! -e $file ]] || pids+=("$(cat "$file")"); done
  stop "${pids[@]}"
  # The nodes' mounts are gone with their processes.
  rmdir "${NODE_MOUNTS[@]}" 2>/dev/null || true
  # runc makes them in the unified hierarchy too, which a hybrid system has beside those of v1.
  for number in $(node_numbers); do
    find /sys/fs/cgroup -depth -type d \
      \( -path "*/node$number/*" -o -name "node$number" -o -name "node$number-system" \) -exec rmdir {} + 2>/dev/null || true
  done
}
