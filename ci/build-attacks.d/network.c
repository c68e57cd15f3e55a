/* Tries to reach addresses that the policy denies, from a build that has network, in many ways; a line for each, as ways_out.c.

     network ADDRESS6 ALLOWED_PORT   the denied ones are 169.254.169.254 and ADDRESS6, port 80 of both TCP and UDP; 127.0.0.1 at
                                     ALLOWED_PORT is allowed, and is tried first */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in denied, allowed;
static struct sockaddr_in6 denied6, mapped, compatible;
static const struct timeval SOON = {2, 0};

static int tcp(int family, int flags) {
  int fd = socket(family, SOCK_STREAM | flags, 0);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &SOON, sizeof SOON);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &SOON, sizeof SOON);
  return fd;
}
static int udp(int family) {
  int fd = socket(family, SOCK_DGRAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &SOON, sizeof SOON);
  return fd;
}
#define AT(address) (struct sockaddr *)&(address), sizeof(address)

/* Whether a connection is there, at the latest soon. */
static int connected(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  int error = 0;
  socklen_t size = sizeof error;
  struct sockaddr_storage peer;
  socklen_t peer_size = sizeof peer;
  poll(&p, 1, 2000);
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0 && getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0 &&
         send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL) == 18;
}
/* Whether an answer comes. */
static int answered(int fd) {
  char byte;
  return recv(fd, &byte, 1, 0) == 1;
}

static int plain(void) { int fd = tcp(AF_INET, 0); return connect(fd, AT(denied)) == 0; }
static int without_waiting(void) { int fd = tcp(AF_INET, SOCK_NONBLOCK); connect(fd, AT(denied)); return connected(fd); }
static int ipv6(void) { int fd = tcp(AF_INET6, 0); return connect(fd, AT(denied6)) == 0; }
static int mapped_ipv6(void) { int fd = tcp(AF_INET6, 0); return connect(fd, AT(mapped)) == 0; }
static int compatible_ipv6(void) { int fd = tcp(AF_INET6, 0); return connect(fd, AT(compatible)) == 0; }
static int short_ipv6(void) { int fd = tcp(AF_INET6, 0); return connect(fd, (struct sockaddr *)&denied6, 24) == 0; }
static int long_address(void) {
  struct { struct sockaddr_in a; char more[100]; } big = {.a = denied};
  int fd = tcp(AF_INET, 0);
  return connect(fd, (struct sockaddr *)&big, sizeof big) == 0;
}
static int datagram(void) { int fd = udp(AF_INET); return sendto(fd, "x", 1, 0, AT(denied)) == 1 && answered(fd); }
static int datagram_connected(void) { int fd = udp(AF_INET); return connect(fd, AT(denied)) == 0 && send(fd, "x", 1, 0) == 1 && answered(fd); }
static int datagram_ipv6(void) { int fd = udp(AF_INET6); return sendto(fd, "x", 1, 0, AT(denied6)) == 1 && answered(fd); }
static int datagram_mapped(void) { int fd = udp(AF_INET6); return sendto(fd, "x", 1, 0, AT(mapped)) == 1 && answered(fd); }
static int datagram_after_another(void) {
  int fd = udp(AF_INET);
  connect(fd, AT(allowed));
  return sendto(fd, "x", 1, 0, AT(denied)) == 1 && answered(fd);
}
static int unspecified_family(void) {
  struct sockaddr_in a = denied;
  a.sin_family = AF_UNSPEC;
  int fd = udp(AF_INET);
  return sendto(fd, "x", 1, 0, AT(a)) == 1 && answered(fd);
}
static struct iovec byte = {.iov_base = "x", .iov_len = 1};
static int message(void) {
  struct msghdr m = {.msg_name = &denied, .msg_namelen = sizeof denied, .msg_iov = &byte, .msg_iovlen = 1};
  int fd = udp(AF_INET);
  return sendmsg(fd, &m, 0) == 1 && answered(fd);
}
static int messages(void) {
  struct mmsghdr m[2] = {
    {.msg_hdr = {.msg_name = &allowed, .msg_namelen = sizeof allowed, .msg_iov = &byte, .msg_iovlen = 1}},
    {.msg_hdr = {.msg_name = &denied, .msg_namelen = sizeof denied, .msg_iov = &byte, .msg_iovlen = 1}}};
  int fd = udp(AF_INET);
  return sendmmsg(fd, m, 2, 0) == 2 && answered(fd);
}
static int fast_open(void) {
  int fd = tcp(AF_INET, 0);
  return sendto(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_FASTOPEN | MSG_NOSIGNAL, AT(denied)) > 0 && answered(fd);
}
static int fast_open_message(void) {
  struct msghdr m = {.msg_name = &denied, .msg_namelen = sizeof denied, .msg_iov = &byte, .msg_iovlen = 1};
  int fd = tcp(AF_INET, 0);
  return sendmsg(fd, &m, MSG_FASTOPEN | MSG_NOSIGNAL) > 0 && connected(fd);
}
static int fast_open_connect(void) {
  int one = 1, fd = tcp(AF_INET, 0);
  setsockopt(fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &one, sizeof one);
  return connect(fd, AT(denied)) == 0 && connected(fd);
}
static int multipath(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
  return fd >= 0 && connect(fd, AT(denied)) == 0;
}
static int udp_lite(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 136);
  return fd >= 0 && connect(fd, AT(denied)) == 0;
}
static int sctp(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 132);
  return fd >= 0 && connect(fd, AT(denied)) == 0;
}
static int dccp(void) {
  int fd = socket(AF_INET, 6 /* SOCK_DCCP */, 33);
  return fd >= 0 && connect(fd, AT(denied)) == 0;
}
static int raw(void) {
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
  return fd >= 0 && sendto(fd, "x", 1, 0, AT(denied)) == 1;
}
static int ping(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
  char echo[8] = {8};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &SOON, sizeof SOON);
  return fd >= 0 && sendto(fd, echo, 8, 0, AT(denied)) == 8 && answered(fd);
}
static int packet(void) { return socket(AF_PACKET, SOCK_RAW, 0) >= 0; }
static int source_route(void) {
  /* Loose source routing over an allowed address. */
  unsigned char option[] = {131, 7, 4, 169, 254, 169, 254, 0};
  int fd = tcp(AF_INET, 0);
  return setsockopt(fd, IPPROTO_IP, IP_OPTIONS, option, sizeof option) == 0 && connect(fd, AT(allowed)) == 0;
}
static int again_after_another(void) {
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  int fd = tcp(AF_INET, 0);
  connect(fd, AT(allowed));
  connect(fd, &none, sizeof none);
  return connect(fd, AT(denied)) == 0;
}
static int from_a_child(void) {
  int pair[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  int fd = tcp(AF_INET, SOCK_NONBLOCK);
  if (fork() == 0) {
    setsid();
    connect(fd, AT(denied));
    _exit(0);
  }
  sleep(1);
  return connected(fd);
}
static int bound_to_loopback(void) {
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = tcp(AF_INET, 0);
  bind(fd, AT(local));
  return connect(fd, AT(denied)) == 0;
}

/* Another thread changes the address while the call is looked at. */
static struct sockaddr_in *raced;
static volatile int racing = 1;
static void *flip(void *unused) {
  while (racing) {
    raced->sin_addr = denied.sin_addr;
    raced->sin_port = denied.sin_port;
    raced->sin_addr = allowed.sin_addr;
    raced->sin_port = allowed.sin_port;
  }
  return unused;
}
static int raced_for_a_while(int datagrams) {
  pthread_t thread;
  raced = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *raced = allowed;
  pthread_create(&thread, NULL, flip, NULL);
  time_t end = time(NULL) + 4;
  int found = 0;
  while (time(NULL) < end && !found) {
    struct sockaddr_in peer = {0};
    socklen_t size = sizeof peer;
    int fd = datagrams ? udp(AF_INET) : tcp(AF_INET, 0);
    if (connect(fd, (struct sockaddr *)raced, sizeof *raced) == 0 && getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
      found = peer.sin_addr.s_addr == denied.sin_addr.s_addr;
    close(fd);
  }
  racing = 0;
  return found;
}
static int race(void) { return raced_for_a_while(0); }
static int race_of_datagrams(void) { return raced_for_a_while(1); }

/* io_uring does calls that no filter of calls sees. */
static int by_ring(int opcode) {
  struct io_uring_params p = {0};
  int ring = syscall(SYS_io_uring_setup, 4, &p);
  if (ring < 0)
    return 0;
  char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe *sqe = mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
  struct msghdr m = {.msg_name = &denied, .msg_namelen = sizeof denied, .msg_iov = &byte, .msg_iovlen = 1};
  int fd = opcode == IORING_OP_CONNECT ? tcp(AF_INET, 0) : udp(AF_INET);
  memset(sqe, 0, sizeof *sqe);
  sqe->opcode = opcode;
  sqe->fd = fd;
  sqe->addr = opcode == IORING_OP_CONNECT ? (uintptr_t)&denied : (uintptr_t)&m;
  sqe->off = opcode == IORING_OP_CONNECT ? sizeof denied : 0;
  sqe->len = opcode == IORING_OP_CONNECT ? 0 : 1;
  *(uint32_t *)(sq + p.sq_off.array) = 0;
  __atomic_store_n((uint32_t *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
  syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
  return opcode == IORING_OP_CONNECT ? connected(fd) : answered(fd);
}
static int ring_connect(void) { return by_ring(IORING_OP_CONNECT); }
static int ring_message(void) { return by_ring(IORING_OP_SENDMSG); }

#ifdef __x86_64__
static long call32(long number, long one, long two, long three) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(one), "c"(two), "d"(three) : "memory", "r8", "r9", "r10", "r11");
  return result;
}
static int by_32_bits(void) {
  struct sockaddr_in *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  *low = denied;
  return call32(362, tcp(AF_INET, 0), (long)low, sizeof denied) == 0;
}
static int by_socketcall(void) {
  char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  uint32_t *arguments = (uint32_t *)(low + 64);
  *(struct sockaddr_in *)low = denied;
  arguments[0] = tcp(AF_INET, 0);
  arguments[1] = (uint32_t)(uintptr_t)low;
  arguments[2] = sizeof denied;
  return call32(102, 3 /* SYS_CONNECT */, (long)arguments, 0) == 0;
}
static int by_x32(void) { return syscall(0x40000000 | SYS_connect, tcp(AF_INET, 0), &denied, sizeof denied) == 0; }
#else
static int by_32_bits(void) { return 0; }
static int by_socketcall(void) { return 0; }
static int by_x32(void) { return 0; }
#endif

/* A build with the machine's network must still not talk to its programs by abstract sockets. */
static int abstract_stream(void) {
  const char *name = getenv("ABSTRACT");
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  strncpy(a.sun_path + 1, name, sizeof a.sun_path - 2);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  return connect(fd, (struct sockaddr *)&a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)) == 0;
}

#define WAY(name) {#name, name}
static const struct { const char *name; int (*try)(void); } ways[] = {
  WAY(plain), WAY(without_waiting), WAY(ipv6), WAY(mapped_ipv6), WAY(compatible_ipv6), WAY(short_ipv6), WAY(long_address), WAY(datagram),
  WAY(datagram_connected), WAY(datagram_ipv6), WAY(datagram_mapped), WAY(datagram_after_another), WAY(unspecified_family), WAY(message),
  WAY(messages), WAY(fast_open), WAY(fast_open_message), WAY(fast_open_connect), WAY(multipath), WAY(udp_lite), WAY(sctp), WAY(dccp), WAY(raw),
  WAY(ping), WAY(packet), WAY(source_route), WAY(again_after_another), WAY(from_a_child), WAY(bound_to_loopback), WAY(race),
  WAY(race_of_datagrams), WAY(ring_connect), WAY(ring_message), WAY(by_32_bits), WAY(by_socketcall), WAY(by_x32), WAY(abstract_stream),
};

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  setvbuf(stdout, NULL, _IONBF, 0);
  denied = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = inet_addr("169.254.169.254")};
  allowed = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  denied6 = mapped = compatible = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(80)};
  inet_pton(AF_INET6, argv[1], &denied6.sin6_addr);
  inet_pton(AF_INET6, "::ffff:169.254.169.254", &mapped.sin6_addr);
  inet_pton(AF_INET6, "::169.254.169.254", &compatible.sin6_addr);
  int fd = tcp(AF_INET, 0);
  printf("allowed: %s\n", connect(fd, AT(allowed)) == 0 && connected(fd) && answered(fd) ? "reached" : "NOT REACHED");
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(10);
      errno = 0;
      int reached = ways[i].try();
      printf("%s: %s\n", ways[i].name, reached ? "SUCCEEDED" : "refused");
      _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (status != 0)
      printf("%s: refused (ended by %s)\n", ways[i].name, WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "itself");
  }
  return 0;
}
