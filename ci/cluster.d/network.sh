# The hosts: network namespaces on one bridge, which lies in a namespace of its own.
# shellcheck shell=bash

network_up() {
  sysctl --quiet --write fs.inotify.max_user_instances=8192
  ip netns add niphas-switch
  ip -n niphas-switch link add br0 type bridge
  ip -n niphas-switch link set br0 up
  host_up cp "$CONTROL_PLANE"
  local number other
  for number in $(node_numbers); do
    host_up "node$number" "$(node_address "$number")"
    ip -n niphas-cp route add "10.244.$number.0/24" via "$(node_address "$number")"
  done
  for number in $(node_numbers); do
    for other in $(node_numbers); do
      [[ $other == "$number" ]] ||
        ip -n "niphas-node$number" route add "10.244.$other.0/24" via "$(node_address "$other")"
    done
  done
}

host_up() {
  local host=$1 address=$2
  ip netns add "niphas-$host"
  ip -n "niphas-$host" link set lo up
  ip link add "n-$host" netns niphas-switch type veth peer name eth0 netns "niphas-$host"
  ip -n niphas-switch link set "n-$host" master br0 up
  ip -n "niphas-$host" addr add "$address/24" dev eth0
  ip -n "niphas-$host" link set eth0 up
  # Leads nowhere; but without a default route kubelet finds no address.
  ip -n "niphas-$host" route add default via "$CONTROL_PLANE" 2>/dev/null || true
  nsenter --net="/run/netns/niphas-$host" sysctl --quiet --write net.ipv4.ip_forward=1
}

network_down() {
  local host
  for host in /run/netns/niphas-*; do [[ ! -e $host ]] || ip netns del "$(basename "$host")"; done
}
