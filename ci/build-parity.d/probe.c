/* Prints what the kernel answers: limits, ids, and to many calls with arguments that do no harm. One line each, in order. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

static void say(const char *name, long result) {
  printf("%-28s %s\n", name, result < 0 ? strerrorname_np(errno) : "done");
}

#define CALL(name, ...) (errno = 0, say(#name, syscall(SYS_##name, ##__VA_ARGS__)))

static void limit(const char *name, int which) {
  struct rlimit l;
  getrlimit(which, &l);
  printf("limit %-22s %lld %lld\n", name, (long long)l.rlim_cur, (long long)l.rlim_max);
}

static void modes(void) {
  static const int kinds[] = {0644, 0755, 0777, 01777, 02755, 04755, 06755, 04000, 02000};
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char name[40];
    snprintf(name, sizeof name, "chmod %o", kinds[i]);
    say(name, chmod("f", kinds[i]));
    snprintf(name, sizeof name, "fchmod %o", kinds[i]);
    say(name, fchmod(fd, kinds[i]));
    snprintf(name, sizeof name, "fchmodat %o", kinds[i]);
    say(name, syscall(SYS_fchmodat, AT_FDCWD, "f", kinds[i]));
    snprintf(name, sizeof name, "fchmodat2 %o", kinds[i]);
    say(name, syscall(452, AT_FDCWD, "f", kinds[i], 0));
    snprintf(name, sizeof name, "open with mode %o", kinds[i]);
    say(name, open("g", O_CREAT | O_EXCL | O_WRONLY, kinds[i]));
    struct stat st;
    stat("g", &st);
    printf("  is %o\n", st.st_mode);
    unlink("g");
    snprintf(name, sizeof name, "mkdir with mode %o", kinds[i]);
    say(name, mkdir("d", kinds[i]));
    stat("d", &st);
    printf("  is %o\n", st.st_mode);
    rmdir("d");
  }
  close(fd);
}

static void attributes(void) {
  char buffer[100];
  int fd = open("f", O_RDWR);
  say("setxattr", setxattr("f", "user.a", "b", 1, 0));
  say("lsetxattr", lsetxattr("f", "user.a", "b", 1, 0));
  say("fsetxattr", fsetxattr(fd, "user.a", "b", 1, 0));
  say("getxattr", getxattr("f", "user.a", buffer, sizeof buffer));
  say("lgetxattr", lgetxattr("f", "user.a", buffer, sizeof buffer));
  say("fgetxattr", fgetxattr(fd, "user.a", buffer, sizeof buffer));
  say("listxattr", listxattr("f", buffer, sizeof buffer));
  say("llistxattr", llistxattr("f", buffer, sizeof buffer));
  say("flistxattr", flistxattr(fd, buffer, sizeof buffer));
  say("removexattr", removexattr("f", "user.a"));
  say("lremovexattr", lremovexattr("f", "user.a"));
  say("fremovexattr", fremovexattr(fd, "user.a"));
  say("setxattrat", syscall(463, AT_FDCWD, "f", 0, "user.a", NULL, 0));
  say("getxattrat", syscall(464, AT_FDCWD, "f", 0, "user.a", NULL, 0));
  close(fd);
}

static void sockets(void) {
  static const struct { const char *name; int family, type, protocol; } kinds[] = {
    {"socket unix", AF_UNIX, SOCK_STREAM, 0}, {"socket inet", AF_INET, SOCK_STREAM, 0},
    {"socket inet6", AF_INET6, SOCK_STREAM, 0}, {"socket udp", AF_INET, SOCK_DGRAM, 0},
    {"socket raw", AF_INET, SOCK_RAW, 1}, {"socket ping", AF_INET, SOCK_DGRAM, 1},
    {"socket packet", AF_PACKET, SOCK_RAW, 0}, {"socket netlink", AF_NETLINK, SOCK_RAW, 0},
    {"socket vsock", 40, SOCK_STREAM, 0}, {"socket alg", 38, SOCK_SEQPACKET, 0},
    {"socket bluetooth", 31, SOCK_STREAM, 0}, {"socket can", 29, SOCK_RAW, 1},
  };
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    int fd = socket(kinds[i].family, kinds[i].type, kinds[i].protocol);
    say(kinds[i].name, fd);
    close(fd);
  }
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0niphas-parity"};
  say("bind abstract", bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t) + 14));
  close(fd);
}

static void calls(void) {
  char buffer[256];
  CALL(mount, "none", "/tmp", "tmpfs", 0, NULL);
  CALL(umount2, "/proc", 0);
  CALL(pivot_root, ".", ".");
  CALL(chroot, "/");
  CALL(unshare, CLONE_NEWNS);
  CALL(setns, 0, 0);
  CALL(sethostname, "x", 1);
  CALL(setdomainname, "x", 1);
  CALL(swapon, "/none", 0);
  CALL(reboot, 0, 0, 0, NULL);
  CALL(init_module, NULL, 0, "");
  CALL(finit_module, -1, "", 0);
  CALL(delete_module, "none", 0);
  CALL(kexec_load, 0, 0, NULL, 0);
  CALL(bpf, 0, NULL, 0);
  CALL(perf_event_open, NULL, 0, -1, -1, 0);
  CALL(userfaultfd, 0);
  CALL(io_uring_setup, 0, NULL);
  CALL(keyctl, KEYCTL_GET_KEYRING_ID, -3, 0);
  CALL(add_key, "user", "k", "v", 1, -2);
  CALL(request_key, "user", "none", NULL, 0);
  CALL(ptrace, 0x4206, 1, NULL, NULL);
  CALL(process_vm_readv, 1, NULL, 0, NULL, 0, 0);
  CALL(kcmp, 1, getpid(), 1, 0, 0);
  CALL(pidfd_open, 1, 0);
  CALL(acct, NULL);
  CALL(syslog, 3, buffer, sizeof buffer);
  CALL(iopl, 0);
  CALL(ioperm, 0, 1, 0);
  CALL(settimeofday, NULL, NULL);
  CALL(clock_settime, 0, NULL);
  CALL(quotactl, 0, NULL, 0, NULL);
  CALL(open_by_handle_at, -1, NULL, 0);
  CALL(name_to_handle_at, AT_FDCWD, "/", NULL, NULL, 0);
  CALL(fanotify_init, 0, 0);
  CALL(inotify_init1, 0);
  CALL(memfd_create, "m", 0);
  CALL(mlock, buffer, 1);
  CALL(setuid, 0);
  CALL(setuid, 1000);
  CALL(setgid, 0);
  CALL(setgid, 100);
  CALL(setgroups, 0, NULL);
  CALL(capset, NULL, NULL);
  CALL(personality, 0xffffffff);
  CALL(personality, ADDR_NO_RANDOMIZE);
  CALL(modify_ldt, 0, buffer, 16);
  CALL(vhangup);
  CALL(mknod, "n", S_IFCHR | 0600, 0x103);
  CALL(mknod, "p", S_IFIFO | 0600, 0);
  CALL(mknod, "s", S_IFSOCK | 0600, 0);
  CALL(fsopen, "tmpfs", 0);
  CALL(fsmount, -1, 0, 0);
  CALL(move_mount, -1, "", -1, "", 0);
  CALL(open_tree, AT_FDCWD, "/", 1);
  CALL(mount_setattr, AT_FDCWD, "/", 0, NULL, 0);
  CALL(landlock_create_ruleset, NULL, 0, 1);
  CALL(seccomp, 2, 0, NULL);
  CALL(mbind, NULL, 0, 0, NULL, 0, 0);
  CALL(migrate_pages, 0, 0, NULL, NULL);
  CALL(setpriority, 0, 0, -5);
  CALL(sched_setscheduler, 0, 1, NULL);
  CALL(ioprio_set, 1, 0, 1 << 13);
  CALL(setrlimit, RLIMIT_NOFILE, NULL);
  CALL(clone3, NULL, 0);
  CALL(lookup_dcookie, 0, NULL, 0);
}

int main(void) {
  limit("cpu", RLIMIT_CPU);
  limit("file size", RLIMIT_FSIZE);
  limit("data", RLIMIT_DATA);
  limit("stack", RLIMIT_STACK);
  limit("core", RLIMIT_CORE);
  limit("memory", RLIMIT_RSS);
  limit("processes", RLIMIT_NPROC);
  limit("files", RLIMIT_NOFILE);
  limit("locked memory", RLIMIT_MEMLOCK);
  limit("address space", RLIMIT_AS);
  limit("locks", RLIMIT_LOCKS);
  limit("nice", RLIMIT_NICE);
  limit("real time", RLIMIT_RTPRIO);
  printf("ids %d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
  printf("groups %d\n", getgroups(0, NULL));
  printf("session %d, group %d, parent is one %d\n", getsid(0) != 0, getpgid(0) != 0, getppid() == 1);
  printf("secure %lu\n", getauxval(AT_SECURE));
  printf("personality %x\n", personality(0xffffffff));
  printf("no new privileges %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  printf("dumpable %d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
  printf("seccomp %d\n", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  printf("timer slack %d\n", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
  printf("securebits %d\n", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
  printf("subreaper of one %s\n", getppid() ? "yes" : "no");
  struct termios t;
  printf("terminal %d\n", tcgetattr(1, &t));
  if (tcgetattr(2, &t) == 0)
    printf("modes %x %x %x %x\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
  struct winsize w = {0};
  ioctl(2, TIOCGWINSZ, &w);
  printf("window %d %d\n", w.ws_row, w.ws_col);
  struct statfs fs;
  statfs("/proc", &fs);
  printf("proc %lx %lx\n", (long)fs.f_type, (long)fs.f_flags);
  statfs("/dev/shm", &fs);
  printf("shm %lx %lx\n", (long)fs.f_type, (long)fs.f_flags);
  statfs("/dev/null", &fs);
  printf("null %lx %lx\n", (long)fs.f_type, (long)fs.f_flags);
  printf("environment address fixed %d\n", (unsigned long)&t > 0x7fffff000000);
  modes();
  attributes();
  sockets();
  calls();
  char x = '\n';
  say("TIOCSTI", ioctl(2, TIOCSTI, &x));
  return 0;
}
