/* Tries to get out of a build's sandbox, in many ways, and prints a line for each: "NAME: refused (ERROR)", "NAME: SUCCEEDED", or
   "NAME: absent" where the kernel lacks what it needs.

   Each way is tried in a process of its own, for ten seconds at most. None of them does harm where it succeeds: values that are
   written are those that were read. What to look for outside comes from the environment: MARKER (a file of the machine that
   everybody may read, with SECRET in it), SECRET (also in the environment of the program that builds), PORT (of 127.0.0.1, where
   the machine listens), ABSTRACT (an abstract socket of the machine), SHM (a key of its System V shared memory), INPUT (an input
   of the build), OTHER (a store path that is no input), STORE (the folder of the store, with its key), NEIGHBOUR (a word in the
   build folder of another build that runs). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REFUSED, SUCCEEDED, ABSENT };

static const char *value(const char *name) {
  const char *found = getenv(name);
  return found && *found ? found : "/nonexistent";
}

/* Whether a call was let through. A call that fails for another reason than rights was let through, too. */
static int let(long result) {
  if (result >= 0)
    return SUCCEEDED;
  if (errno == ENOSYS || errno == EOPNOTSUPP || errno == EAFNOSUPPORT || errno == ENODEV)
    return ABSENT;
  return errno == EPERM || errno == EACCES || errno == EROFS || errno == EXDEV ? REFUSED : SUCCEEDED;
}

/* Whether a call did what it is for. */
static int done(long result) { return result >= 0 ? SUCCEEDED : REFUSED; }

static int contains(const char *file, const char *text) {
  static char buffer[1 << 16];
  int fd = open(file, O_RDONLY | O_NONBLOCK);
  if (fd < 0)
    return 0;
  ssize_t size = read(fd, buffer, sizeof buffer);
  close(fd);
  return size > 0 && memmem(buffer, size, text, strlen(text)) != NULL;
}

static int readable(const char *file) {
  char byte;
  int fd = open(file, O_RDONLY | O_NONBLOCK);
  return done(fd < 0 ? -1 : read(fd, &byte, 1) == 1 ? 0 : -1);
}

static int write_file(const char *file, const char *text) {
  int fd = open(file, O_WRONLY);
  return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Writes what it reads. */
static int rewrite(const char *file) {
  char buffer[4096];
  int fd = open(file, O_RDONLY);
  if (fd < 0)
    return errno == ENOENT ? ABSENT : REFUSED;
  ssize_t size = read(fd, buffer, sizeof buffer);
  close(fd);
  fd = open(file, O_WRONLY);
  return done(fd < 0 ? -1 : write(fd, buffer, size > 0 ? size : 0));
}

/* A user namespace of its own, where this process has all capabilities. */
static int new_user_namespace(int flags) {
  char line[64];
  uid_t uid = getuid();
  gid_t gid = getgid();
  if (unshare(CLONE_NEWUSER | flags) != 0)
    return 0;
  write_file("/proc/self/setgroups", "deny");
  snprintf(line, sizeof line, "0 %d 1", uid);
  write_file("/proc/self/uid_map", line);
  snprintf(line, sizeof line, "0 %d 1", gid);
  write_file("/proc/self/gid_map", line);
  return 1;
}

/* Mounts. */
static int mount_over_store(void) { return let(mount("none", "/nix/store", "tmpfs", 0, NULL)); }
static int mount_proc(void) { return let(mount("none", "/tmp", "proc", 0, NULL)); }
static int mount_root_again(void) { return let(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL)); }
static int mount_root_elsewhere(void) { return let(mount("/", "/tmp", NULL, MS_BIND | MS_REC, NULL)); }
static int mount_input_writable(void) { return let(mount(NULL, value("INPUT"), NULL, MS_REMOUNT | MS_BIND, NULL)); }
static int unmount_proc(void) { return let(umount2("/proc", MNT_DETACH)); }
static int unmount_input(void) { return let(umount2(value("INPUT"), MNT_DETACH)); }
static int unmount_build(void) { return let(umount2("/build", MNT_DETACH)); }
static int open_a_file_system(void) { return let(syscall(SYS_fsopen, "tmpfs", 0)); }
static int clone_a_tree(void) { return let(syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */)); }
static int clear_read_only(void) {
  uint64_t attributes[4] = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
  return let(syscall(SYS_mount_setattr, AT_FDCWD, value("INPUT"), 0, attributes, sizeof attributes));
}
static int pivot(void) { return let(syscall(SYS_pivot_root, "/tmp", "/tmp")); }
static int mount_namespace(void) { return let(unshare(CLONE_NEWNS)); }
static int change_root(void) { return let(chroot("/tmp")); }

/* The same with all capabilities of a namespace of its own: what it shows must still be what the sandbox shows. */
static int nested_reveal(const char *over) {
  if (!new_user_namespace(CLONE_NEWNS))
    return REFUSED;
  return done(umount2(over, MNT_DETACH) == 0 || umount2(over, 0) == 0 ? 0 : -1);
}
static int nested_unmount_proc(void) { return nested_reveal("/proc"); }
static int nested_unmount_build(void) { return nested_reveal("/build"); }
static int nested_unmount_input(void) { return nested_reveal(value("INPUT")); }
static int nested_input_writable(void) {
  if (!new_user_namespace(CLONE_NEWNS))
    return REFUSED;
  char file[4096];
  mount(NULL, value("INPUT"), NULL, MS_REMOUNT | MS_BIND, NULL);
  snprintf(file, sizeof file, "%s/new", value("INPUT"));
  return done(open(file, O_CREAT | O_WRONLY, 0600));
}
static int nested_proc_of_the_machine(void) {
  if (!new_user_namespace(CLONE_NEWNS))
    return REFUSED;
  if (mount("none", "/tmp", "proc", 0, NULL) != 0)
    return REFUSED;
  return readable("/tmp/1/root/etc/shadow") || contains("/tmp/1/comm", "systemd") || contains("/tmp/1/comm", "init");
}
static int nested_sys(void) {
  if (!new_user_namespace(CLONE_NEWNS | CLONE_NEWNET))
    return REFUSED;
  return done(mount("none", "/tmp", "sysfs", 0, NULL));
}
static int nested_cgroups(void) {
  if (!new_user_namespace(CLONE_NEWNS | 0x02000000 /* CLONE_NEWCGROUP */))
    return REFUSED;
  if (mount("none", "/tmp", "cgroup2", 0, NULL) != 0 && mount("none", "/tmp", "cgroup", 0, "memory") != 0)
    return REFUSED;
  return done(open("/tmp/cgroup.procs", O_WRONLY));
}
static int nested_device(void) {
  if (!new_user_namespace(CLONE_NEWNS))
    return REFUSED;
  if (mount("none", "/tmp", "tmpfs", 0, NULL) != 0 || mknod("/tmp/d", S_IFCHR | 0666, makedev(1, 1)) != 0)
    return REFUSED;
  return readable("/tmp/d");
}
static int nested_block_file_system(void) {
  if (!new_user_namespace(CLONE_NEWNS))
    return REFUSED;
  return done(mount("/dev/vda", "/tmp", "ext4", MS_RDONLY, NULL));
}
static int nested_escape_of_chroot(void) {
  if (!new_user_namespace(CLONE_NEWNS))
    return REFUSED;
  int fd = open("/", O_RDONLY | O_DIRECTORY);
  mkdir("/build/jail", 0700);
  if (chroot("/build/jail") != 0 || fchdir(fd) != 0)
    return REFUSED;
  for (int i = 0; i < 100; i++)
    if (chdir("..") != 0)
      break;
  if (chroot(".") != 0)
    return REFUSED;
  return contains(value("MARKER"), value("SECRET"));
}

/* Files of the machine. */
static int marker(void) { return contains(value("MARKER"), value("SECRET")); }
static int marker_below(const char *root) {
  char file[4096];
  snprintf(file, sizeof file, "%s/%s", root, value("MARKER"));
  return contains(file, value("SECRET"));
}
static int marker_by_root_of_one(void) { return marker_below("/proc/1/root"); }
static int marker_by_working_folder(void) { return marker_below("/proc/1/cwd/../../../../.."); }
static int marker_by_dots(void) { return marker_below("/../../../../../.."); }
static int marker_by_any_process(void) {
  DIR *proc = opendir("/proc");
  struct dirent *entry;
  while (proc && (entry = readdir(proc))) {
    char root[300];
    snprintf(root, sizeof root, "/proc/%s/root", entry->d_name);
    if (marker_below(root))
      return SUCCEEDED;
  }
  return REFUSED;
}
static int marker_by_any_number(void) {
  for (int pid = 2; pid < 70000; pid++) {
    char root[64];
    snprintf(root, sizeof root, "/proc/%d/root", pid);
    if (marker_below(root))
      return SUCCEEDED;
  }
  return REFUSED;
}
static int open_descriptors(void) {
  DIR *fds = opendir("/proc/1/fd");
  struct dirent *entry;
  while (fds && (entry = readdir(fds))) {
    char link[300], target[4096];
    snprintf(link, sizeof link, "/proc/1/fd/%s", entry->d_name);
    ssize_t size = readlink(link, target, sizeof target - 1);
    if (size < 0)
      continue;
    target[size] = 0;
    /* A folder, a socket or a descriptor of the kernel that the builder inherited leads outside. */
    struct stat st;
    if (stat(link, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISSOCK(st.st_mode) || strncmp(target, "anon_inode", 10) == 0))
      return SUCCEEDED;
  }
  return REFUSED;
}
static int open_by_handle(void) {
  struct { struct file_handle handle; char bytes[128]; } h = {.handle = {.handle_bytes = 8, .handle_type = 1}};
  uint32_t root[2] = {2, 0};
  memcpy(h.handle.f_handle, root, sizeof root);
  int at = open("/build", O_RDONLY);
  return done(open_by_handle_at(at, &h.handle, O_RDONLY));
}
static int other_store_path(void) { return done(access(value("OTHER"), F_OK)); }
static int store_itself(void) { return done(access(value("STORE"), F_OK)); }
static int key_of_the_store(void) {
  char file[4096];
  snprintf(file, sizeof file, "%s/key", value("STORE"));
  return readable(file);
}
static int machine_passwords(void) { return readable("/etc/shadow"); }
static int machine_home(void) { return done(access("/root/.cache", F_OK)); }
static int machine_run(void) { return done(access("/run", F_OK)); }
static int machine_sys(void) { return done(access("/sys/kernel", F_OK)); }
static int machine_var(void) { return done(access("/var", F_OK)); }
static int machine_shared_memory_file(void) { return readable("/dev/shm/niphas-attack"); }

/* Inputs. */
static int input_written(const char *name, int flags) {
  char file[4096];
  snprintf(file, sizeof file, "%s%s", value("INPUT"), name);
  return done(open(file, flags, 0600));
}
static int input_new_file(void) { return input_written("/new", O_CREAT | O_WRONLY); }
static int input_file(void) { return input_written("/file", O_WRONLY | O_APPEND); }
static int input_truncated(void) { return input_written("/file", O_WRONLY | O_TRUNC); }
static int input_mode(void) { return done(chmod(value("INPUT"), 0777)); }
static int input_owner(void) { return done(chown(value("INPUT"), getuid(), getgid())); }
static int input_times(void) { return done(utimes(value("INPUT"), NULL)); }
static int input_renamed(void) { return done(rename(value("INPUT"), "/nix/store/stolen")); }
static int input_removed(void) {
  char file[4096];
  snprintf(file, sizeof file, "%s/file", value("INPUT"));
  return done(unlink(file));
}
static int input_linked(void) {
  char file[4096];
  snprintf(file, sizeof file, "%s/file", value("INPUT"));
  return done(link(file, "/nix/store/linked"));
}
static int input_mapped_writable(void) {
  char file[4096];
  snprintf(file, sizeof file, "%s/file", value("INPUT"));
  int fd = open(file, O_RDONLY);
  return fd < 0 ? REFUSED : mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED;
}
static int input_flags(void) {
  int flags = FS_IMMUTABLE_FL, fd = open(value("INPUT"), O_RDONLY);
  return fd < 0 ? REFUSED : done(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}
static int output_immutable(void) {
  int flags = FS_IMMUTABLE_FL | FS_APPEND_FL, fd = open("/build/immutable", O_CREAT | O_RDWR, 0600);
  return done(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}
static int lease_on_input(void) {
  char file[4096];
  snprintf(file, sizeof file, "%s/file", value("INPUT"));
  int fd = open(file, O_RDONLY);
  return fd < 0 ? REFUSED : done(fcntl(fd, F_SETLEASE, F_RDLCK));
}
static int freeze(void) { return let(ioctl(open("/nix/store", O_RDONLY), FIFREEZE, 0)); }
static int trim(void) {
  struct fstrim_range range = {0, 0, UINT64_MAX};
  return let(ioctl(open("/nix/store", O_RDONLY), FITRIM, &range));
}

/* Devices. */
static int make_device(const char *name, int kind, int major, int minor) {
  if (mknod(name, kind | 0666, makedev(major, minor)) != 0)
    return REFUSED;
  return SUCCEEDED;
}
static int make_memory_device(void) { return make_device("/build/mem", S_IFCHR, 1, 1); }
static int make_disk_device(void) { return make_device("/build/disk", S_IFBLK, 254, 0); }
static int make_device_in_dev(void) { return make_device("/dev/disk", S_IFBLK, 254, 0); }
static int make_device_in_store(void) { return make_device("/nix/store/disk", S_IFBLK, 254, 0); }
static int memory_device(void) { return readable("/dev/mem"); }
static int port_device(void) { return readable("/dev/port"); }
static int disk_device(void) { return readable("/dev/vda") || readable("/dev/sda") || readable("/dev/nvme0n1"); }
static int loop_devices(void) { return done(open("/dev/loop-control", O_RDWR)); }
static int fuse_device(void) { return done(open("/dev/fuse", O_RDWR)); }
static int tunnel_device(void) { return done(open("/dev/net/tun", O_RDWR)); }
static int kernel_log_device(void) { return done(open("/dev/kmsg", O_WRONLY)); }
static int mapper_device(void) { return done(open("/dev/mapper/control", O_RDWR)); }
static int vsock_device(void) { return done(open("/dev/vsock", O_RDWR)); }
static int userfault_device(void) { return done(open("/dev/userfaultfd", O_RDWR)); }
static int console_device(void) { return done(open("/dev/console", O_RDWR)) || done(open("/dev/tty0", O_RDWR)); }
static int other_terminals(void) {
  int found = 0;
  DIR *pts = opendir("/dev/pts");
  struct dirent *entry;
  while (pts && (entry = readdir(pts)))
    found += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
  return found > 0;
}

/* Settings of the kernel. */
static int core_pattern(void) { return rewrite("/proc/sys/kernel/core_pattern"); }
static int module_program(void) { return rewrite("/proc/sys/kernel/modprobe"); }
static int caches(void) { return done(open("/proc/sys/vm/drop_caches", O_WRONLY)); }
static int overcommit(void) { return rewrite("/proc/sys/vm/overcommit_memory"); }
static int randomize(void) { return rewrite("/proc/sys/kernel/randomize_va_space"); }
static int forwarding(void) { return rewrite("/proc/sys/net/ipv4/ip_forward"); }
static int binary_formats(void) { return done(open("/proc/sys/fs/binfmt_misc/register", O_WRONLY)); }
static int system_request(void) { return done(open("/proc/sysrq-trigger", O_WRONLY)); }
static int kernel_core(void) { return readable("/proc/kcore"); }
static int kernel_messages(void) { return readable("/proc/kmsg"); }
static int kernel_page_maps(void) { return readable("/proc/kpageflags"); }
static int kernel_addresses(void) {
  char line[256] = "";
  FILE *file = fopen("/proc/kallsyms", "r");
  return file && fgets(line, sizeof line, file) && strncmp(line, "0000000000000000", 16) != 0;
}
static int messages_of_kernel(void) {
  char buffer[256];
  return let(syscall(SYS_syslog, 3, buffer, sizeof buffer));
}
static int interrupts(void) { return rewrite("/proc/irq/default_smp_affinity"); }
static int never_killed(void) { return done(write_file("/proc/self/oom_score_adj", "-1000") ? 0 : -1); }
static int host_name(void) { return let(sethostname("localhost", 9)); }
static int domain_name(void) { return let(setdomainname("(none)", 6)); }
static int clock_of_the_machine(void) {
  struct timeval now;
  gettimeofday(&now, NULL);
  return let(settimeofday(&now, NULL));
}
static int clock_adjusted(void) {
  struct timex t = {.modes = ADJ_TICK, .tick = 10000};
  return let(adjtimex(&t));
}
static int restart(void) { return let(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL)); }
static int swap(void) { return let(syscall(SYS_swapon, "/build/none", 0)); }
static int accounting(void) { return let(acct("/nonexistent/file")); }
static int quota(void) { return done(syscall(SYS_quotactl, 0x800007 << 8, "/dev/vda", 0, NULL)); }
static int load_module(void) { return let(syscall(SYS_init_module, "x", 1, "")); }
static int load_module_file(void) { return let(syscall(SYS_finit_module, open("/proc/self/exe", O_RDONLY), "", 0)); }
static int unload_module(void) { return let(syscall(SYS_delete_module, "none", 0)); }
static int load_kernel(void) { return let(syscall(SYS_kexec_load, 0, 0, NULL, 0)); }
static int load_kernel_file(void) { return let(syscall(SYS_kexec_file_load, -1, -1, 0UL, NULL, 0UL)); }
static int input_output_ports(void) { return let(syscall(SYS_iopl, 3)); }
static int input_output_permission(void) { return let(syscall(SYS_ioperm, 0x80, 1, 1)); }
static int hang_up(void) { return let(syscall(SYS_vhangup)); }

/* Programs in the kernel. */
static int bpf_program(void) {
  struct bpf_insn code[] = {{.code = 0xb7}, {.code = 0x95}};
  union bpf_attr a = {0};
  a.prog_type = BPF_PROG_TYPE_KPROBE;
  a.insns = (uintptr_t)code;
  a.insn_cnt = 2;
  a.license = (uintptr_t) "GPL";
  return done(syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof a));
}
static int bpf_objects(void) {
  union bpf_attr a = {0};
  if (syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &a, sizeof a) == 0)
    return SUCCEEDED;
  return errno == ENOENT ? SUCCEEDED : REFUSED;
}
static int performance_of_machine(void) {
  struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof a, .config = PERF_COUNT_SW_CPU_CLOCK};
  return done(syscall(SYS_perf_event_open, &a, -1, 0, -1, 0));
}
static int performance_of_kernel(void) {
  struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof a, .config = PERF_COUNT_SW_CPU_CLOCK, .sample_period = 1000, .sample_type = PERF_SAMPLE_IP};
  return done(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}
static int faults_of_kernel(void) { return done(syscall(SYS_userfaultfd, 0)); }

/* Processes and their rights. */
static int foreign_process(void) {
  struct stat own, other;
  stat("/proc/self", &own);
  DIR *proc = opendir("/proc");
  struct dirent *entry;
  while (proc && (entry = readdir(proc))) {
    char file[300];
    snprintf(file, sizeof file, "/proc/%s/status", entry->d_name);
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && stat(file, &other) == 0 && other.st_uid != own.st_uid)
      return SUCCEEDED;
  }
  return REFUSED;
}
static int secret_of_any_environment(void) {
  DIR *proc = opendir("/proc");
  struct dirent *entry;
  char other[256];
  /* The builder has the secret's text too: the one of the program has a word before it. */
  snprintf(other, sizeof other, "NIPHAS_ATTACK_OUTSIDE=");
  while (proc && (entry = readdir(proc))) {
    char file[300];
    snprintf(file, sizeof file, "/proc/%s/environ", entry->d_name);
    if (contains(file, other))
      return SUCCEEDED;
  }
  return REFUSED;
}
static int parent_of_one(void) { return contains("/proc/1/status", "PPid:\t0\n") ? REFUSED : SUCCEEDED; }
static int trace_any(void) {
  for (int pid = 2; pid < 70000; pid++) {
    char file[64], text[64];
    snprintf(file, sizeof file, "/proc/%d/status", pid);
    snprintf(text, sizeof text, "Uid:\t%d\t", getuid());
    if (access(file, F_OK) == 0 && !contains(file, text) && ptrace(PTRACE_SEIZE, pid, 0, 0) == 0)
      return SUCCEEDED;
  }
  return REFUSED;
}
static int set_namespace(const char *kind, int flag) {
  char file[64];
  snprintf(file, sizeof file, "/proc/1/ns/%s", kind);
  int fd = open(file, O_RDONLY);
  return fd < 0 ? REFUSED : done(setns(fd, flag));
}
static int enter_mounts(void) { return set_namespace("mnt", CLONE_NEWNS); }
static int enter_network(void) { return set_namespace("net", CLONE_NEWNET); }
static int enter_users(void) { return set_namespace("user", CLONE_NEWUSER); }
static int enter_processes(void) { return set_namespace("pid", CLONE_NEWPID); }
static int enter_by_process(void) { return done(setns(syscall(SYS_pidfd_open, 1, 0), CLONE_NEWNS | CLONE_NEWNET)); }
static int parent_user_namespace(void) { return done(ioctl(open("/proc/self/ns/user", O_RDONLY), 0xb702 /* NS_GET_PARENT */)); }
static int parent_process_namespace(void) { return done(ioctl(open("/proc/self/ns/pid", O_RDONLY), 0xb702)); }
static int become_root(void) { return done(setuid(0)); }
static int become_group_root(void) { return done(setgid(0)); }
static int add_groups(void) {
  gid_t groups[] = {0, 27};
  return done(syscall(SYS_setgroups, 2, groups));
}
static int raise_capabilities(void) {
  struct { uint32_t version; int pid; } header = {0x20080522, 0};
  uint32_t data[6] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
  return done(syscall(SYS_capset, &header, data));
}
static int ambient_capability(void) { return done(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0)); }
static int new_privileges(void) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? REFUSED : SUCCEEDED; }
static int signal_outside(void) { return done(kill(-(1 << 20), SIGCONT)); }
static int raise_limit(void) {
  struct rlimit l;
  getrlimit(RLIMIT_NPROC, &l);
  if (l.rlim_max == RLIM_INFINITY)
    return REFUSED;
  l.rlim_max = RLIM_INFINITY;
  return done(setrlimit(RLIMIT_NPROC, &l));
}
static int priority(void) { return done(setpriority(PRIO_PROCESS, 0, -10)); }
static int real_time(void) {
  struct sched_param p = {.sched_priority = 1};
  return done(sched_setscheduler(0, SCHED_FIFO, &p));
}
static int real_time_disk(void) { return done(syscall(SYS_ioprio_set, 1, 0, 1 << 13)); }
static int cgroup_files(void) { return done(access("/sys/fs/cgroup", F_OK)); }

/* Setuid files, in every way. */
static int has_setuid(const char *file) {
  struct stat st;
  return stat(file, &st) == 0 && (st.st_mode & 06000);
}
static int made(const char *name) {
  close(open(name, O_CREAT | O_WRONLY, 0755));
  return 1;
}
static int setuid_chmod(void) { return made("a") && done(chmod("a", 04755)); }
static int setuid_fchmod(void) { return done(fchmod(open("b", O_CREAT | O_WRONLY, 0755), 04755)); }
static int setuid_fchmodat(void) { return made("c") && done(syscall(SYS_fchmodat, AT_FDCWD, "c", 02755)); }
static int setuid_fchmodat2(void) { return made("d") && done(syscall(452, AT_FDCWD, "d", 04755, 0)); }
#ifdef __x86_64__
static int setuid_32_bit(void) {
  static char *low;
  long result;
  made("e");
  low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  strcpy(low, "e");
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(15L), "b"(low), "c"(04755L) : "memory", "r8", "r9", "r10", "r11");
  return has_setuid("e");
}
static int setuid_x32(void) {
  made("f");
  syscall(0x40000000 | SYS_chmod, "f", 04755);
  return has_setuid("f");
}
#else
static int setuid_32_bit(void) { return ABSENT; }
static int setuid_x32(void) { return ABSENT; }
#endif
static int attributes_of_files(void) { made("g"); return done(syscall(SYS_setxattr, "g", "user.x", "y", 1, 0)); }
static int capabilities_of_files(void) { made("h"); return done(syscall(SYS_setxattr, "h", "security.capability", "y", 1, 0)); }

/* What is shared by all processes of a kernel. */
static int shared_memory(void) { return done(shmget(atoi(value("SHM")), 0, 0)); }
static int session_keys(void) {
  long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "niphas-attack", 0);
  char text[256];
  return key >= 0 && syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text) >= 0;
}
static int user_keys(void) {
  long key = syscall(SYS_request_key, "user", "niphas-attack", NULL, 0);
  char text[256];
  return key >= 0 && syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text) >= 0;
}
static int any_key(void) {
  FILE *file = fopen("/proc/keys", "r");
  char line[512];
  while (file && fgets(line, sizeof line, file))
    if (strstr(line, "niphas-attack"))
      return SUCCEEDED;
  return REFUSED;
}
static int neighbour(void) {
  DIR *proc = opendir("/proc");
  struct dirent *entry;
  while (proc && (entry = readdir(proc))) {
    char file[300];
    snprintf(file, sizeof file, "/proc/%s/cwd/%s", entry->d_name, value("NEIGHBOUR"));
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && access(file, F_OK) == 0)
      return SUCCEEDED;
  }
  return REFUSED;
}

/* The network. */
static int abstract_socket(void) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path + 1, value("ABSTRACT"), sizeof address.sun_path - 2);
  return done(connect(fd, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(value("ABSTRACT"))));
}
static int connect_to(uint32_t address, int port, int type) {
  int fd = socket(AF_INET, type, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
    return REFUSED;
  if (type == SOCK_STREAM)
    return SUCCEEDED;
  char byte;
  struct timeval two = {2, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &two, sizeof two);
  return send(fd, "x", 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1;
}
static int machine_by_tcp(void) { return connect_to(INADDR_LOOPBACK, atoi(value("PORT")), SOCK_STREAM); }
static int machine_by_udp(void) { return connect_to(INADDR_LOOPBACK, atoi(value("PORT")), SOCK_DGRAM); }
static int metadata_of_cloud(void) { return connect_to(0xa9fea9fe, 80, SOCK_STREAM); }
static int name_server(void) { return connect_to(0x08080808, 53, SOCK_STREAM); }
static int raw_socket(void) { return done(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
static int packet_socket(void) { return done(socket(AF_PACKET, SOCK_RAW, 0)); }
static int network_device(void) {
  struct { struct nlmsghdr h; struct ifinfomsg i; } request = {
    .h = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
    .i = {.ifi_family = AF_UNSPEC, .ifi_index = 1, .ifi_change = 1}};
  struct { struct nlmsghdr h; struct nlmsgerr e; char more[256]; } answer;
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  send(fd, &request, sizeof request, 0);
  if (recv(fd, &answer, sizeof answer, 0) < 0)
    return REFUSED;
  errno = -answer.e.error;
  return answer.e.error == 0;
}
static int machine_by_vsock(void) {
  int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (fd < 0)
    return REFUSED;
  struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 1};
  struct timeval two = {2, 0};
  setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &two, sizeof two);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
    return SUCCEEDED;
  /* The host answered, or was asked. */
  return errno == ECONNRESET || errno == ECONNREFUSED || errno == ETIMEDOUT ? SUCCEEDED : REFUSED;
}

/* The terminal. */
static int typed_into_terminal(void) {
  char c = 'x';
  return done(ioctl(2, TIOCSTI, &c));
}
static int stolen_terminal(void) { return done(ioctl(open("/dev/tty", O_RDWR), TIOCSCTTY, 1)); }
static int console_taken(void) { return done(ioctl(2, TIOCCONS)); }

#define WAY(name) {#name, name}
static const struct { const char *name; int (*try)(void); } ways[] = {
  WAY(mount_over_store), WAY(mount_proc), WAY(mount_root_again), WAY(mount_root_elsewhere), WAY(mount_input_writable), WAY(unmount_proc),
  WAY(unmount_input), WAY(unmount_build), WAY(open_a_file_system), WAY(clone_a_tree), WAY(clear_read_only), WAY(pivot), WAY(mount_namespace),
  WAY(change_root), WAY(nested_unmount_proc), WAY(nested_unmount_build), WAY(nested_unmount_input), WAY(nested_input_writable),
  WAY(nested_proc_of_the_machine), WAY(nested_sys), WAY(nested_cgroups), WAY(nested_device), WAY(nested_block_file_system),
  WAY(nested_escape_of_chroot), WAY(marker), WAY(marker_by_root_of_one), WAY(marker_by_working_folder), WAY(marker_by_dots),
  WAY(marker_by_any_process), WAY(marker_by_any_number), WAY(open_descriptors), WAY(open_by_handle), WAY(other_store_path), WAY(store_itself),
  WAY(key_of_the_store), WAY(machine_passwords), WAY(machine_home), WAY(machine_run), WAY(machine_sys), WAY(machine_var),
  WAY(machine_shared_memory_file), WAY(input_new_file), WAY(input_file), WAY(input_truncated), WAY(input_mode), WAY(input_owner), WAY(input_times),
  WAY(input_renamed), WAY(input_removed), WAY(input_linked), WAY(input_mapped_writable), WAY(input_flags), WAY(output_immutable),
  WAY(lease_on_input), WAY(freeze), WAY(trim), WAY(make_memory_device), WAY(make_disk_device), WAY(make_device_in_dev), WAY(make_device_in_store),
  WAY(memory_device), WAY(port_device), WAY(disk_device), WAY(loop_devices), WAY(fuse_device), WAY(tunnel_device), WAY(kernel_log_device),
  WAY(mapper_device), WAY(vsock_device), WAY(userfault_device), WAY(console_device), WAY(other_terminals), WAY(core_pattern), WAY(module_program),
  WAY(caches), WAY(overcommit), WAY(randomize), WAY(forwarding), WAY(binary_formats), WAY(system_request), WAY(kernel_core), WAY(kernel_messages),
  WAY(kernel_page_maps), WAY(kernel_addresses), WAY(messages_of_kernel), WAY(interrupts), WAY(never_killed), WAY(host_name), WAY(domain_name),
  WAY(clock_of_the_machine), WAY(clock_adjusted), WAY(restart), WAY(swap), WAY(accounting), WAY(quota), WAY(load_module), WAY(load_module_file),
  WAY(unload_module), WAY(load_kernel), WAY(load_kernel_file), WAY(input_output_ports), WAY(input_output_permission), WAY(hang_up),
  WAY(bpf_program), WAY(bpf_objects), WAY(performance_of_machine), WAY(performance_of_kernel), WAY(faults_of_kernel), WAY(foreign_process),
  WAY(secret_of_any_environment), WAY(parent_of_one), WAY(trace_any), WAY(enter_mounts), WAY(enter_network), WAY(enter_users),
  WAY(enter_processes), WAY(enter_by_process), WAY(parent_user_namespace), WAY(parent_process_namespace), WAY(become_root), WAY(become_group_root),
  WAY(add_groups), WAY(raise_capabilities), WAY(ambient_capability), WAY(new_privileges), WAY(signal_outside), WAY(raise_limit), WAY(priority),
  WAY(real_time), WAY(real_time_disk), WAY(cgroup_files), WAY(setuid_chmod), WAY(setuid_fchmod), WAY(setuid_fchmodat), WAY(setuid_fchmodat2),
  WAY(setuid_32_bit), WAY(setuid_x32), WAY(attributes_of_files), WAY(capabilities_of_files), WAY(shared_memory), WAY(session_keys),
  WAY(user_keys), WAY(any_key), WAY(neighbour), WAY(abstract_socket), WAY(machine_by_tcp), WAY(machine_by_udp), WAY(metadata_of_cloud),
  WAY(name_server), WAY(raw_socket), WAY(packet_socket), WAY(network_device), WAY(machine_by_vsock), WAY(typed_into_terminal),
  WAY(stolen_terminal), WAY(console_taken),
};

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    if (argc > 1 && strcmp(argv[1], ways[i].name) != 0)
      continue;
    pid_t child = fork();
    if (child == 0) {
      alarm(10);
      errno = 0;
      int result = ways[i].try();
      if (result == SUCCEEDED)
        printf("%s: SUCCEEDED\n", ways[i].name);
      else if (result == ABSENT)
        printf("%s: absent (%s)\n", ways[i].name, strerrorname_np(errno));
      else
        printf("%s: refused (%s)\n", ways[i].name, errno ? strerrorname_np(errno) : "it is not there");
      _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (status != 0)
      printf("%s: refused (ended by %s)\n", ways[i].name, WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "itself");
  }
  return 0;
}
