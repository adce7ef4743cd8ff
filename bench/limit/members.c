/* Limit of "who is in this group": members HERD MEMBERS COUNT READY_FIFO
 *
 * Starts a group of MEMBERS processes, then lists /proc and asks getpgid for every pid; no file of a process is
 * opened. wallUs: one pass.
 */
#include "limit.h"
#include <sys/stat.h>

struct entry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

static int count_members(int proc, pid_t group) {
  static char buffer[1 << 18] __attribute__((aligned(8)));
  int members = 0;
  lseek(proc, 0, SEEK_SET);
  for (long length; (length = syscall(SYS_getdents64, proc, buffer, sizeof buffer)) > 0;) {
    for (char *at = buffer; at < buffer + length; at += ((struct entry *)at)->length) {
      const char *name = ((struct entry *)at)->name;
      if (*name < '1' || *name > '9') continue;
      pid_t pid = 0;
      for (; *name; name++) pid = pid * 10 + (*name - '0');
      if (getpgid(pid) == group) members++;
    }
  }
  return members;
}

int main(int argc, char **argv) {
  if (argc != 5) return 64;
  int expected = atoi(argv[2]), count = atoi(argv[3]);
  int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) die("/proc");
  if (mkfifo(argv[4], 0600) < 0) die("mkfifo");
  static char stack[LAUNCH_STACK] __attribute__((aligned(16)));
  char *herd[] = {argv[1], "flat", argv[2], argv[4], "-", NULL};
  int pidfd;
  pid_t group = launch(herd, open_null(), stack, &pidfd);
  char text[8];
  int ready = open(argv[4], O_RDONLY | O_CLOEXEC);
  if (ready < 0 || read(ready, text, sizeof text) != 6) die("the herd is not ready");
  close(ready);
  double *wall = allocate(sizeof(double) * (size_t)count);
  for (int i = -2; i < count; i++) { /* the first two are not counted */
    usleep(20000);                   /* as cold as the others find it */
    int64_t start = now_ns();
    int members = count_members(proc, group);
    double took = us_since(start);
    if (members != expected) {
      fprintf(stderr, "%d members, expected %d\n", members, expected);
      kill(-group, SIGKILL);
      return 1;
    }
    if (i >= 0) wall[i] = took;
  }
  kill(-group, SIGKILL);
  printf("{");
  print_samples("wallUs", wall, (size_t)count, "}\n");
  return 0;
}
