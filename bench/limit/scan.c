/* Limit of a process scan: scan FILES THREADS COUNT
 *
 *   list   the pids only
 *   stat   and /proc/PID/stat of each: openat, read, close into one buffer; nothing is parsed or kept
 *   args   and /proc/PID/cmdline the same way
 *
 * THREADS 1 or 2; two share one descriptor table and take one half of the pids each. wallUs: one pass.
 * bytesPerProcess: what was read, to see that it was.
 */
#include "limit.h"
#include <pthread.h>

struct entry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

enum { MOST = 1 << 20 };

static int proc_fd;
static int with_stat, with_args;
static char (*names)[12];
static size_t processes;

struct half {
  size_t from, to, bytes;
};

static void list(void) {
  static char buffer[1 << 18] __attribute__((aligned(8)));
  processes = 0;
  lseek(proc_fd, 0, SEEK_SET);
  for (long length; (length = syscall(SYS_getdents64, proc_fd, buffer, sizeof buffer)) > 0;) {
    for (char *at = buffer; at < buffer + length; at += ((struct entry *)at)->length) {
      const char *name = ((struct entry *)at)->name;
      if (*name < '1' || *name > '9') continue;
      if (processes == MOST) die("too many processes");
      memcpy(names[processes++], name, strlen(name) + 1);
    }
  }
}

static size_t read_one(const char *path) {
  static __thread char buffer[1 << 16];
  int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t got = read(fd, buffer, sizeof buffer);
  close(fd);
  return got < 0 ? 0 : (size_t)got;
}

static void *read_half(void *argument) {
  struct half *half = argument;
  char path[32];
  half->bytes = 0;
  for (size_t i = half->from; i < half->to; i++) {
    size_t length = strlen(names[i]);
    memcpy(path, names[i], length);
    if (with_stat) {
      memcpy(path + length, "/stat", sizeof "/stat");
      half->bytes += read_one(path);
    }
    if (with_args) {
      memcpy(path + length, "/cmdline", sizeof "/cmdline");
      half->bytes += read_one(path);
    }
  }
  return NULL;
}

static size_t pass(int threads) {
  list();
  struct half whole = {0, processes, 0}, second = {processes / 2, processes, 0};
  if (threads == 1) {
    read_half(&whole);
    return whole.bytes;
  }
  pthread_t thread;
  whole.to = processes / 2;
  if ((errno = pthread_create(&thread, NULL, read_half, &second))) die("pthread_create");
  read_half(&whole);
  pthread_join(thread, NULL);
  return whole.bytes + second.bytes;
}

int main(int argc, char **argv) {
  if (argc != 4) return 64;
  with_args = !strcmp(argv[1], "args");
  with_stat = with_args || !strcmp(argv[1], "stat");
  if (!with_stat && strcmp(argv[1], "list")) return 64;
  int threads = atoi(argv[2]), count = atoi(argv[3]);
  if (threads < 1 || threads > 2) return 64;
  proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc_fd < 0) die("/proc");
  names = allocate(sizeof *names * MOST);
  double *wall = allocate(sizeof(double) * (size_t)count);
  size_t bytes = 0;
  for (int i = -2; i < count; i++) { /* the first two are not counted */
    usleep(20000);                   /* as cold as the others find it */
    int64_t start = now_ns();
    bytes = pass(threads);
    double took = us_since(start);
    if (i >= 0) wall[i] = took;
  }
  printf("{");
  print_samples("wallUs", wall, (size_t)count, ",");
  printf("\"processes\":%zu,\"bytesPerProcess\":%.1f}\n", processes, (double)bytes / (double)processes);
  return 0;
}
