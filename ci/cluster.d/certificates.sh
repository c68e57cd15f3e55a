# A certificate authority, a certificate for each part, and the kubeconfig files that name them.
# shellcheck shell=bash

certificates() {
  local pki=$STATE/pki number
  mkdir -p "$pki"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/ca.key" -out "$pki/ca.crt" \
    -subj /CN=niphas-test -days 30 2>/dev/null
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$pki/sa.key" 2>/dev/null
  openssl pkey -in "$pki/sa.key" -pubout -out "$pki/sa.pub"
  certificate apiserver /CN=kube-apiserver \
    "IP:$CONTROL_PLANE,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  certificate kubelet-client /O=system:masters/CN=apiserver-kubelet-client
  client admin /O=system:masters/CN=admin
  client controller-manager /CN=system:kube-controller-manager
  client scheduler /CN=system:kube-scheduler
  client proxy /CN=system:kube-proxy
  for number in $(node_numbers); do
    client "node$number" "/O=system:nodes/CN=system:node:node$number" "IP:$(node_address "$number"),DNS:node$number"
  done
}

certificate() {
  local name=$STATE/pki/$1 subject=$2 names=${3-}
  # With an extension it is of version 3, which rustls asks for.
  {
    echo "basicConstraints=CA:FALSE"
    [[ -z $names ]] || echo "subjectAltName=$names"
  } >"$name.ext"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -out "$name.csr" \
    -subj "$subject" 2>/dev/null
  openssl x509 -req -in "$name.csr" -CA "$STATE/pki/ca.crt" -CAkey "$STATE/pki/ca.key" -CAcreateserial \
    -out "$name.crt" -days 30 -extfile "$name.ext" 2>/dev/null
}

# A certificate, and the kubeconfig of its owner.
client() {
  certificate "$@"
  cat >"$STATE/$1.conf" <<TEXT
apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: https://$CONTROL_PLANE:6443
    certificate-authority: $STATE/pki/ca.crt
users:
- name: $1
  user:
    client-certificate: $STATE/pki/$1.crt
    client-key: $STATE/pki/$1.key
contexts:
- name: test
  context: {cluster: test, user: $1}
current-context: test
TEXT
}
