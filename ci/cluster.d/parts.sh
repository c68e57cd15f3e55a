# What a cluster is made of: Kubernetes, etcd and containerd are built from Go modules, the rest is Debian's.
# shellcheck shell=bash

# Changes with what is built.
parts_version() {
  cat "$HERE"/cluster.d/{parts.sh,*/{go.mod,go.sum,main.go}} 2>/dev/null | sha256sum | cut -c 1-12
}

build() {
  install_packages
  [[ -e $PARTS/pause.tar ]] && return
  say "building Kubernetes and containerd (about ten minutes on two cores, once)"
  local new=$PARTS.new name
  rm -rf "$new"
  mkdir -p "$new"
  export CGO_ENABLED=0
  local flags=(-trimpath -ldflags '-s -w')
  (
    cd "$HERE/cluster.d/kubernetes" || exit
    version=$(sed -n 's/^\tk8s.io\/kubernetes //p' go.mod)
    go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$new/kubernetes" .
  )
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    ln -s kubernetes "$new/$name"
  done
  (
    cd "$HERE/cluster.d/containerd" || exit
    for name in containerd containerd-shim-runc-v2 ctr; do
      go build "${flags[@]}" -tags 'no_btrfs no_devmapper no_zfs' -o "$new/" "github.com/containerd/containerd/v2/cmd/$name"
    done
  )
  (cd "$HERE/cluster.d/pause" && go build "${flags[@]}" -o "$new/pause" .)
  "$HERE/image" "$new/pause.tar" localhost/pause:1 "$new/pause:/pause"
  rm -rf "$PARTS"
  mv "$new" "$PARTS"
}

install_packages() {
  local -A packages=([runc]=runc [nft]=nftables [ip]=iproute2 [openssl]=openssl [curl]=curl [iptables]=iptables [conntrack]=conntrack)
  local missing=() program
  for program in "${!packages[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || missing+=("${packages[$program]}")
  done
  [[ -e /usr/lib/cni/bridge ]] || missing+=(containernetworking-plugins)
  ((${#missing[@]} == 0)) || apt-get install --yes --no-install-recommends "${missing[@]}" >&2 ||
    { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >&2
}
