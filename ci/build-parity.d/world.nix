# What a builder sees of the machine. What cannot be the same is left out where it is printed, with the reason there.
with import ./lib.nix;
let
  probe = name: try "world-${name}";
  networked = name: sh "world-${name}" (fixed (sha256 "x"));
in
{
  root = probe "root" "stat -c '%n %a %u %g %F' / /* | sort; ls -A / /tmp /etc /bin; stat -c '%n %a %u %g %F' /etc/* /bin/sh /nix /nix/store /build; echo > $out";
  etc = probe "etc" "for f in /etc/*; do echo \"$f:\"; cat $f; done; echo > $out";
  etc-of-fixed = networked "etc-fixed" "for f in $(ls /etc | grep -vxE 'hosts|resolv.conf|services|ssl'); do echo \"$f:\"; cat /etc/$f; done; stat -c '%n %a %u %g %F' /etc/* | sort; find /etc -type f | sort; printf x > $out";
  devices = probe "devices" "stat -c '%n %a %u %g %F %t:%T %N' $(ls -d /dev/* | sort); stat -c '%a %u %g %F' /dev /dev/pts /dev/shm; ls -A /dev/shm; echo > $out";
  devices-work = probe "devices-work" "head -c 3 /dev/zero | od -c; echo x > /dev/null; (echo x > /dev/full) 2>&1 || true; head -c 8 /dev/urandom | wc -c; head -c 8 /dev/random | wc -c; echo > $out";
  # The source of a mount, and a device's number, say which disk it is.
  mounts = probe "mounts" "awk '{ print $5, $4 == \"/\" ? \"/\" : \"-\", $6 }' /proc/self/mountinfo | sed 's/,discard//' | sort; awk '{ print $2, $3 }' /proc/mounts | sort; echo > $out";
  ids = probe "ids" "id; id -un; id -gn; cat /proc/self/uid_map /proc/self/gid_map | awk '{ print $1, $3 }'; cat /proc/self/setgroups; grep -E '^(Uid|Gid|Groups):' /proc/self/status; echo > $out";
  capabilities = probe "capabilities" "grep -E '^(Cap|NoNewPrivs|Seccomp|Umask|SigBlk|SigIgn|SigCgt|Threads|Speculation|THP|CoreDumping)' /proc/1/status | grep -v Seccomp_filters; echo > $out";
  limits = probe "limits" "cat /proc/1/limits; ulimit -a; echo > $out";
  names = probe "names" "hostname; uname -snm; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname; echo > $out";
  processes = probe "processes" "ls /proc | grep -E '^[0-9]+$' | head -n 1; cat /proc/1/comm; cat /proc/1/stat | cut -d ' ' -f 2,4,5,6,8; cut -d ' ' -f 4-6 /proc/self/stat; cat /proc/1/personality; readlink /proc/1/cwd /proc/1/exe /proc/1/root; echo > $out";
  file-descriptors = probe "fds" "ls /proc/1/fd; readlink /proc/1/fd/0; readlink /proc/1/fd/1 | sed 's/[0-9]*$//'; readlink /proc/1/fd/2 | sed 's/[0-9]*$//'; echo > $out";
  umask = probe "umask" "umask; touch /build/f; mkdir /build/d; stat -c %a /build/f /build/d; echo > $out";
  network = probe "network" "ip -o addr 2>&1 | sed 's/qdisc.*//'; ip -o link | sed 's/qdisc.*//'; ip route; cat /proc/net/dev | wc -l; ping -c 1 -W 1 127.0.0.1 > /dev/null 2>&1 && echo lo; (nc -w 1 10.213.99.99 80 < /dev/null) 2>&1; (nc -w 1 1.1.1.1 53 < /dev/null) 2>&1; echo > $out";
  network-loopback = probe "loopback" "(echo hello | nc -l -p 8080 -w 3) & sleep 0.3; nc -w 2 127.0.0.1 8080 < /dev/null; wait; echo > $out";
  unix-sockets = probe "unix-sockets" "cat /proc/net/unix | wc -l; echo > $out";
  proc = probe "proc" "ls /proc | grep -vE '^[0-9]+$' | sort; stat -c '%n %a' /proc/sys /proc/kcore /proc/sysrq-trigger 2>&1; (echo 1 > /proc/sys/kernel/hostname) 2>&1; (echo x > /proc/sysrq-trigger) 2>&1; (cat /proc/kmsg) 2>&1; head -c 1 /proc/kcore 2>&1; echo > $out";
  sys = probe "sys" "ls /sys 2>&1; ls /run /var /usr /home /root 2>&1; echo > $out";
  namespaces = probe "namespaces" "ls /proc/self/ns; cat /proc/self/cgroup | cut -d : -f 2,3 | sed 's/:.*nix.*/:-/' | wc -l; echo > $out";
  home = probe "home" "cd 2>&1 || true; echo ~; ls -d $HOME 2>&1; ls $PATH 2>&1; echo > $out";
  writes = probe "writes" "for d in / /bin /etc /dev /dev/shm /dev/pts /proc /tmp /nix /nix/store /build; do (mkdir $d/new && echo \"$d: made\") 2>&1; done; echo > $out";
  mounting = probe "mounting" "(mount -t tmpfs none /tmp; mount -t proc none /build; mount --bind /etc /tmp; umount /proc; umount /dev/shm; hostname other; mknod /build/n c 1 3; chroot / /bin/sh -c true; losetup /dev/loop0 /bin/sh; swapoff -a; ip link add x type dummy; date -s 2020-01-01) 2>&1; echo > $out";
  chown = probe "chown" "touch f; (chown 0 f; chown 1000 f; chgrp 0 f; chgrp 100 f; chown 65534 f) 2>&1; ls -ln f | cut -c 1-30; echo > $out";
  setuid = probe "setuid" "touch f; (chmod u+s f; chmod g+s f; chmod 1777 f) 2>&1; ls -ln f | cut -c 1-10; echo > $out";
  ids-change = probe "ids-change" "(setuidgid 0 true; su -c true) 2>&1; echo > $out";
  shared-memory = probe "shm" "df -k /dev/shm | awk 'NR == 2 { print $1, $3, $5 }'; echo x > /dev/shm/f; cat /dev/shm/f; stat -f -c %T /dev/shm; echo > $out";
  build-folder = probe "build-folder" "pwd; stat -c '%n %a %u %g' /build .; ls -A /build; df -k . > /dev/null; rm -rf /build 2>&1; ls -d /build; echo > $out";
  terminal = probe "terminal" "tty; stty -a < /dev/pts/0 2>&1 | sed 's/rows.*columns [0-9]*//'; ls /dev/pts; echo > $out";
  clock = probe "clock" "date +%Z; date -d @0 +%Y; cat /proc/self/timens_offsets 2>&1; echo > $out";
  # The kernel tells nothing else of the machine here, and both must tell the same.
  machine = probe "machine" "uname -a | sed 's/#.*//'; nproc; cat /proc/cpuinfo | grep -c processor; cat /proc/sys/kernel/osrelease; echo > $out";
  ipc = probe "ipc" "ipcs 2>&1; cat /proc/sysvipc/shm | wc -l; ls /dev/mqueue 2>&1; echo > $out";
  oom = probe "oom" "cat /proc/1/oom_score_adj; cat /proc/1/coredump_filter; cat /proc/1/autogroup 2>/dev/null | cut -d ' ' -f 2-; echo > $out";
  scheduling = probe "scheduling" "cut -d ' ' -f 18,19,40,41 /proc/1/stat; echo > $out";
}
