# The builds of ci/build-attacks. What they look for comes from its environment.
with import ../build-parity.d/lib.nix;
let
  get = builtins.getEnv;
  programs = builtins.path { path = get "NIPHAS_ATTACK_PROGRAMS"; name = "attack-programs"; };
  input = builtins.path { path = get "NIPHAS_ATTACK_INPUT"; name = "attack-input"; };
  # It is in the store, and no input.
  other = run "attack-other" "echo other > $out";
  looked-for = {
    MARKER = get "NIPHAS_ATTACK_MARKER"; SECRET = get "NIPHAS_ATTACK_SECRET"; PORT = get "NIPHAS_ATTACK_PORT"; ABSTRACT = get "NIPHAS_ATTACK_ABSTRACT";
    SHM = get "NIPHAS_ATTACK_SHM"; INPUT = input; OTHER = builtins.unsafeDiscardStringContext other.outPath; STORE = get "NIPHAS_ATTACK_STORE"; NEIGHBOUR = "neighbour";
  };
  bomb = kind: sh "attack-${kind}" { } "exec ${programs}/bombs ${kind}";
in
{
  inherit other;
  ways-out = sh "attack-ways-out" looked-for "${programs}/ways_out; echo > $out";
  network = sh "attack-network" (looked-for // fixed (sha256 "x")) "${programs}/network fd00:ec2::254 ${get "NIPHAS_ATTACK_ALLOWED"}; printf x > $out";
  # Runs beside ways-out.
  neighbour = run "attack-neighbour" "touch /build/neighbour; sleep 4; echo > $out";
  forks = bomb "forks";
  memory = bomb "memory";
  shared-memory = bomb "shared-memory";
  deaf = bomb "deaf";
  daemon = bomb "daemon";
  kills = bomb "kills";
  socket = bomb "socket";
  setuid = bomb "setuid";
  deep = bomb "deep";
  swap = bomb "swap";
  log = run "attack-log" "yes 'a line of a log that has no end'";
  disk = run "attack-disk" "dd if=/dev/zero of=$out bs=1M count=2000";
  # After the disk was full.
  small = run "attack-small" "echo small > $out";
  escapes = run "attack-escapes" "printf '\\033]0;title\\007\\033[2J\\033[31mred\\n'; exit 1";
  links = run "attack-links" "ln -s ${get "NIPHAS_ATTACK_MARKER"} /build/link; mkdir /build/folder; ln -s /etc /build/folder/etc; ln -s ${get "NIPHAS_ATTACK_MARKER"} $out; exit 1";
  link = run "attack-link" "ln -s ${get "NIPHAS_ATTACK_MARKER"} $out";
  # What is killed, at any moment.
  graph = let node = n: below: sh "attack-node-${toString n}" { inherit below; } "mkdir $out; for b in $below; do ln -s $b $out/; done; i=0; while [ $i -lt 40 ]; do echo $i ${toString n} > $out/f$i; i=$((i+1)); done; head -c 300000 /dev/zero > $out/z; sleep 0.1";
    in node 9 (map (n: node n [ (node (n + 10) [ ]) (node (n + 20) [ ]) ]) [ 1 2 3 ]);
}
