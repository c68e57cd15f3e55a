# A small graph for a builder in a pod: ordinary, fixed, floating, with inputs from each other. The builder is the sandbox's shell.
let
  shell = name: script: more: derivation ({
    inherit name script;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-ec" "eval \"$script\"" ];
    # busybox's shell has its commands in itself.
    PATH = "/bin";
  } // more);
  tree = shell "pod-tree" ''
    mkdir -p $out/bin
    echo "#!/bin/sh" >$out/bin/run
    chmod 755 $out/bin/run
    ln -s run $out/bin/link
    cat ${builtins.toFile "pod-source" "a source\n"} >$out/source
  '' { };
  # What it sees is in its output: the world of another sandbox has another hash.
  world = shell "pod-world" ''
    id -u >$out
    id -g >>$out
    cat /proc/self/setgroups /proc/sys/kernel/hostname /etc/passwd >>$out
    grep -E "^(NoNewPrivs|CapInh|CapPrm|CapEff|CapAmb|Seccomp):" /proc/self/status >>$out
    ls -A / /nix/store >>$out
    ls -A /dev | grep -vx kvm >>$out
    stat -c "%n %a" /build /tmp /nix/store /etc >>$out
    ip address | grep -w inet >>$out
    echo ${tree} >>$out
  '' { };
  floating = shell "pod-floating" ''
    mkdir $out
    cp -r ${tree}/. $out/tree
    echo "$out ${world}" >$out/self
  '' { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  # Has the pod's network, and a flow policy: the clouds' metadata services are refused, and at once.
  network = shell "pod-network" ''
    (nc 169.254.169.254 80 </dev/null) 2>&1 | grep -q "Permission denied" && echo denied >$out
  '' { outputHash = builtins.hashString "sha256" "denied\n"; outputHashAlgo = "sha256"; };
  whole = shell "pod-whole" ''
    mkdir $out
    echo ${tree} ${world} ${floating} ${network} >$out/parts
    cat ${floating}/self ${network} >$out/contents
  '' { };
in
{ inherit tree world floating network whole; }
