/* What builders do to a machine: `bombs KIND`. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* So that a build which gets as far as this succeeds. */
static int made(const char *out) { return open(out, O_CREAT | O_WRONLY, 0644) < 0; }

int main(int argc, char **argv) {
  const char *kind = argc > 1 ? argv[1] : "", *out = getenv("out");
  char name[4096];
  if (strcmp(kind, "forks") == 0) {
    /* All go on forking, and none ends. */
    for (;;)
      if (fork() < 0)
        usleep(1000);
  } else if (strcmp(kind, "memory") == 0) {
    for (size_t total = 0; total < 4096; total++) {
      char *piece = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (piece == MAP_FAILED)
        return 3;
      memset(piece, 1, 1 << 20);
    }
    return made(out);
  } else if (strcmp(kind, "shared-memory") == 0) {
    static char piece[1 << 20];
    int fd = open("/dev/shm/full", O_CREAT | O_WRONLY, 0600);
    memset(piece, 1, sizeof piece);
    for (size_t total = 0; total < 4096; total++)
      if (write(fd, piece, sizeof piece) < 0)
        return 3;
    return made(out);
  } else if (strcmp(kind, "deaf") == 0) {
    for (int number = 1; number < 65; number++)
      signal(number, SIG_IGN);
    for (;;)
      pause();
  } else if (strcmp(kind, "daemon") == 0) {
    if (fork() == 0) {
      setsid();
      if (fork() == 0) {
        for (int number = 1; number < 65; number++)
          signal(number, SIG_IGN);
        /* It keeps the log open, and goes on writing into the output. */
        int fd = open(out, O_CREAT | O_WRONLY | O_APPEND, 0644);
        for (;;) {
          if (write(fd, "late", 4) < 0)
            _exit(1);
          usleep(1000);
        }
      }
      _exit(0);
    }
    usleep(200000);
    unlink(out);
    close(open(out, O_CREAT | O_WRONLY, 0644));
    return 0;
  } else if (strcmp(kind, "kills") == 0) {
    kill(-1, SIGKILL);
    kill(getppid(), SIGKILL);
    kill(0, SIGKILL);
    return 0;
  } else if (strcmp(kind, "socket") == 0) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mkdir(out, 0755);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", out);
    return bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address) == 0 ? 0 : 3;
  } else if (strcmp(kind, "setuid") == 0) {
    /* The filter does not see the mode of a new file. */
    umask(0);
    mkdir(out, 0755);
    snprintf(name, sizeof name, "%s/program", out);
    int fd = open(name, O_CREAT | O_WRONLY, 06755);
    return write(fd, "x", 1) == 1 ? 0 : 3;
  } else if (strcmp(kind, "deep") == 0) {
    mkdir(out, 0755);
    if (chdir(out) != 0)
      return 3;
    for (int depth = 0; depth < 6000; depth++)
      if (mkdir("d", 0755) != 0 || chdir("d") != 0)
        return 0;
    return 0;
  } else if (strcmp(kind, "swap") == 0) {
    /* While the build ends, its output is now a folder and now a link to the machine's. */
    pid_t child = fork();
    snprintf(name, sizeof name, "%s.new", out);
    if (child == 0)
      for (;;) {
        mkdir(out, 0755);
        rename(out, name);
        if (symlink("/etc", out) != 0 && errno == EROFS)
          _exit(0);
        unlink(out);
        rmdir(name);
      }
    usleep(300000);
    return 0;
  }
  fprintf(stderr, "unknown kind\n");
  return 2;
}
