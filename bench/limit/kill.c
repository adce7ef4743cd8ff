/* Limit of ending a tree: kill MODE SHAPE COUNT TRIALS HERD DIRECTORY
 *
 *   group  kill(-pgid, SIGKILL), then waitid as a child subreaper until ECHILD: the proof that nobody is left
 *   sweep  SIGKILL to whatever /proc/self/task/PID/children lists, and waitid, until ECHILD: also ends what has
 *          left the group and the session
 *
 * doneUs: call to ECHILD. deadUs: call to the death of the last member, seen from outside. DIRECTORY is for FIFOs.
 */
#include "limit.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static char ready_fifo[4096], alive_fifo[4096];
static char stack[LAUNCH_STACK] __attribute__((aligned(16)));

static void *observe(void *moment) {
  int fd = open(alive_fifo, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die(alive_fifo);
  char byte;
  while (read(fd, &byte, 1) != 0) {
  }
  *(int64_t *)moment = now_ns();
  close(fd);
  return NULL;
}

static void reap_all(void) {
  siginfo_t info;
  while (waitid(P_ALL, 0, &info, WEXITED) == 0) {
  }
  if (errno != ECHILD) die("waitid");
}

/* Kills every child there is now; grandchildren become children when their parent dies. */
static void kill_children(int list) {
  static char text[1 << 16];
  ssize_t length;
  for (off_t at = 0; (length = pread(list, text, sizeof text - 1, at)) > 0; at += length) {
    text[length] = 0;
    for (char *next = text; *next;) {
      char *end;
      long pid = strtol(next, &end, 10);
      if (end == next) break;
      if (*end == 0) { /* cut in the middle of a number: read it again whole */
        length = next - text;
        break;
      }
      kill((pid_t)pid, SIGKILL);
      next = end + 1;
    }
    if (length <= 0) break;
  }
}

static void sweep(int list) {
  siginfo_t info;
  for (;;) {
    kill_children(list);
    if (waitid(P_ALL, 0, &info, WEXITED) < 0) break;
    do info.si_pid = 0;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0);
  }
  if (errno != ECHILD) die("waitid");
}

int main(int argc, char **argv) {
  if (argc != 7) return 64;
  int by_group = strcmp(argv[1], "group") == 0;
  if (!by_group && strcmp(argv[1], "sweep") != 0) return 64;
  int trials = atoi(argv[4]);
  snprintf(ready_fifo, sizeof ready_fifo, "%s/ready", argv[6]);
  snprintf(alive_fifo, sizeof alive_fifo, "%s/alive", argv[6]);
  if (mkfifo(ready_fifo, 0600) < 0 || mkfifo(alive_fifo, 0600) < 0) die("mkfifo");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) die("prctl");
  char list_path[64];
  snprintf(list_path, sizeof list_path, "/proc/self/task/%d/children", (int)getpid());
  int list = open(list_path, O_RDONLY | O_CLOEXEC), null_fd = open_null();
  if (list < 0) die(list_path);

  char *herd[] = {argv[5], argv[2], argv[3], ready_fifo, alive_fifo, NULL};
  double *done = allocate(sizeof(double) * (size_t)trials), *dead = allocate(sizeof(double) * (size_t)trials);
  for (int trial = -1; trial < trials; trial++) { /* -1: not counted */
    int64_t moment = 0;
    pthread_t observer;
    if (pthread_create(&observer, NULL, observe, &moment) != 0) die("pthread_create");
    int pidfd;
    pid_t leader = launch(herd, null_fd, stack, &pidfd);
    int ready = open(ready_fifo, O_RDONLY | O_CLOEXEC);
    char text[8];
    if (ready < 0 || read(ready, text, sizeof text) != 6) die("the herd is not ready");
    close(ready);

    int64_t start = now_ns();
    if (by_group) {
      kill(-leader, SIGKILL);
      reap_all();
    } else {
      sweep(list);
    }
    double proven = us_since(start);
    close(pidfd);
    pthread_join(observer, NULL);
    if (trial < 0) continue;
    done[trial] = proven;
    dead[trial] = (double)(moment - start) / 1e3;
  }
  unlink(ready_fifo);
  unlink(alive_fifo);
  printf("{");
  print_samples("doneUs", done, (size_t)trials, ",");
  print_samples("deadUs", dead, (size_t)trials, ",");
  printf("\"survivors\":[0]}\n"); /* ECHILD */
  return 0;
}
