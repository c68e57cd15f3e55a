/* Writes what a package of a closure might hold: `package OUT SEED FILES BYTES INPUT ...`, or one large file: `package OUT SEED 0 BYTES`.
   Contents compress about by half, and are never the same twice. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t state;
static char piece[1 << 20];

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static void contents(int fd, size_t size) {
  while (size > 0) {
    size_t now = size < sizeof piece ? size : sizeof piece;
    /* Every other word is one of few. */
    for (size_t i = 0; i + 16 <= now || i == 0; i += 16) {
      uint64_t one = next(), two = one % 64 * 0x0101010101010101ULL;
      memcpy(piece + i, &one, 8);
      memcpy(piece + i + 8, &two, 8);
    }
    if (write(fd, piece, now) != (ssize_t)now)
      exit(3);
    size -= now;
  }
}

int main(int argc, char **argv) {
  char name[4096];
  const char *out = argv[1];
  long files = atol(argv[3]), bytes = atol(argv[4]);
  state = 0x9e3779b97f4a7c15ULL * (strtoull(argv[2], NULL, 10) + 1);
  if (files == 0) {
    contents(open(out, O_CREAT | O_WRONLY, 0644), bytes);
    return 0;
  }
  mkdir(out, 0755);
  for (long i = 0; i < files; i++) {
    if (i % 50 == 0) {
      snprintf(name, sizeof name, "%s/part-%ld", out, i / 50);
      mkdir(name, 0755);
    }
    snprintf(name, sizeof name, "%s/part-%ld/file-%ld", out, i / 50, i);
    int fd = open(name, O_CREAT | O_WRONLY, i % 20 ? 0644 : 0755);
    /* Most are small, and a few are large. */
    contents(fd, bytes / files * (next() % 10 == 0 ? 6 : next() % 100 / 100.0));
    close(fd);
  }
  snprintf(name, sizeof name, "%s/inputs", out);
  FILE *inputs = fopen(name, "w");
  for (int i = 5; i < argc; i++)
    fprintf(inputs, "%s\n", argv[i]);
  return fclose(inputs);
}
