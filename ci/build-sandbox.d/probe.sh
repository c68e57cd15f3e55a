# Prints all that a builder can see of its world, a line for each thing. Run by busybox's shell; $probe is the static program.
section() { echo "== $1"; }
section environment
env | sort
printf '<%s>' "$0" "$@"; echo
pwd
section process
grep -vE '^(Vm|Rss|Hugetlb|Threads|voluntary|nonvoluntary|Cpus_|Mems_|FDSize|State|Name|Pid|PPid|Ngid|NSp|Tgid|x86_|SigQ)' /proc/1/status
grep -E '^(NSpid|NSpgid|NSsid|NStgid|PPid)' /proc/1/status
cat /proc/1/comm /proc/1/personality
tr '\0' ' ' </proc/1/cmdline | cut -c 1-20; echo
cat /proc/1/limits /proc/1/oom_score_adj /proc/1/coredump_filter /proc/1/setgroups
cut -d ' ' -f 4-8,18,19 /proc/1/stat
for map in uid_map gid_map projid_map; do cat /proc/1/$map; done
ls /proc/1/fd
# The number is that of a terminal outside.
for fd in 0 1 2; do readlink /proc/1/fd/$fd | sed 's|pts/[0-9]*|pts/N|'; done
cat /proc/self/cgroup
section mounts
while read -r _ _ _ root target options rest; do echo "$target $options ${rest% - *} | ${rest#* - }"; done </proc/1/mountinfo | sed -E "s/(shared|master):[0-9]+/\1/g" | sort
section files
find / -path /proc -prune -o -path /nix/store/\*/\* -prune -o -print | sort | while read -r file; do
  stat -c '%n %A %u:%g %t:%T links %h' "$file"
  [ -L "$file" ] && readlink "$file"
  [ -d "$file" ] || stat -c '%n size %s' "$file"
done
for file in /etc/*; do [ -f $file ] && { echo "$file:"; cat $file; }; done
section proc
ls /proc | grep -vE '^[0-9]+$'
ls /proc | grep -E '^[0-9]+$' | head -n 1
for file in sys/kernel/hostname sys/kernel/domainname sys/kernel/osrelease keys key-users sysvipc/shm sysvipc/msg sysvipc/sem; do
  echo "$file: $(cat /proc/$file 2>&1)"
done
# Those of the machine's programs come and go.
cat /proc/locks >/dev/null && echo "locks can be read"
# With the machine's network these change all the time.
[ -n "$outputHash" ] || for file in unix route arp tcp fib_trie; do echo "$file: $(cat /proc/net/$file 2>&1)"; done
ls /proc/sys /proc/sys/net /proc/self/ns
section network
ip address; ip route; ip rule
(echo | nc -w 2 127.0.0.1 9) 2>&1
(echo | nc -w 2 192.0.2.1 9) 2>&1
hostname; uname -a
section writes
for folder in / /bin /dev /dev/shm /dev/pts /etc /proc /proc/sys/kernel /tmp /nix /nix/store $probe $(dirname $probe) /build; do
  mkdir $folder/new 2>&1 && echo "$folder: made"
done
for node in null zero full random urandom tty; do
  (head -c 1 /dev/$node >/dev/null) 2>&1 && echo "$node: read"
  (echo x >/dev/$node) 2>&1 && echo "$node: written"
done
df -k /dev/shm | tail -n 1 | cut -d ' ' -f 1
tty
section kernel
$probe
section end
