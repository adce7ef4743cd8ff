/* Limit of seeing an exit: reap LIVE COUNT CHILD STAMP_FILE
 *
 * A child stamps CLOCK_MONOTONIC into shared memory as its last act; this program waits for its pidfd in epoll,
 * as an event loop would, and reaps it. latencyUs: last act to status in hand, with LIVE other children alive.
 */
#include "limit.h"
#include <sys/epoll.h>

enum { CHILD_LIFE_MS = 3 };

int main(int argc, char **argv) {
  if (argc != 5) return 64;
  int live = atoi(argv[1]), count = atoi(argv[2]);
  static char stack[LAUNCH_STACK] __attribute__((aligned(16)));
  int null_fd = open_null(), loop = epoll_create1(EPOLL_CLOEXEC);
  int file = open(argv[4], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, 8) < 0) die(argv[4]);
  volatile int64_t *cell = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (cell == MAP_FAILED) die("mmap");

  char *idle[] = {argv[3], "pause", NULL};
  pid_t *held = allocate(sizeof(pid_t) * (size_t)live);
  for (int i = 0; i < live; i++) {
    int pidfd;
    held[i] = launch(idle, null_fd, stack, &pidfd);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = pidfd};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, pidfd, &event) < 0) die("epoll_ctl");
  }

  char life[16];
  snprintf(life, sizeof life, "%d", CHILD_LIFE_MS);
  char *stamping[] = {argv[3], "stamp", argv[4], life, NULL};
  double *latency = allocate(sizeof(double) * (size_t)count);
  for (int i = -5; i < count; i++) { /* the first five are not counted */
    int pidfd;
    launch(stamping, null_fd, stack, &pidfd);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = pidfd};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, pidfd, &event) < 0) die("epoll_ctl");
    if (epoll_wait(loop, &event, 1, -1) != 1 || event.data.fd != pidfd) die("epoll_wait");
    reap(pidfd);
    int64_t seen = now_ns();
    if (*cell == 0) die("no stamp");
    if (i >= 0) latency[i] = (double)(seen - *cell) / 1e3;
    *cell = 0;
  }
  for (int i = 0; i < live; i++) kill(held[i], SIGKILL);
  printf("{");
  print_samples("latencyUs", latency, (size_t)count, "}\n");
  return 0;
}
