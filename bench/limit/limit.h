/* Shared by the limit programs: what the machine can do, written with raw system calls and nothing in between.
 *
 * A limit program takes positional arguments, measures itself with CLOCK_MONOTONIC and prints one line of JSON:
 * arrays of samples, microseconds. It fails loudly; a wrong limit is worse than none.
 */
#ifndef CORRAL_BENCH_LIMIT_H
#define CORRAL_BENCH_LIMIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline double us_since(int64_t from) {
  return (double)(now_ns() - from) / 1e3;
}

__attribute__((noreturn)) static inline void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline void *allocate(size_t bytes) {
  void *p = calloc(1, bytes ? bytes : 1);
  if (!p) die("calloc");
  return p;
}

/* Anonymous memory, every 4 KiB page written: what a fork has to copy page tables for. */
static inline void touch_heap(size_t megabytes) {
  if (megabytes == 0) return;
  size_t size = megabytes << 20;
  char *heap = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (heap == MAP_FAILED) die("mmap");
  madvise(heap, size, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < size; i += 4096) heap[i] = 1;
}

static inline void print_samples(const char *name, const double *values, size_t count, const char *end) {
  printf("\"%s\":[", name);
  for (size_t i = 0; i < count; i++) printf(i ? ",%.3f" : "%.3f", values[i]);
  printf("]%s", end);
}

/* One spawn as cheap as this kernel allows: memory shared until exec, the caller suspended, a pidfd in return. */
struct launch {
  char *const *argv;
  int null_fd;
  sigset_t old_mask;
};

static int launch_child(void *argument) {
  struct launch *l = argument;
  setsid();
  for (int fd = 0; fd < 3; fd++) dup2(l->null_fd, fd);
  sigprocmask(SIG_SETMASK, &l->old_mask, NULL);
  execv(l->argv[0], l->argv);
  _exit(127);
}

/* Returns the pid; *pidfd receives the pidfd. `stack` is of LAUNCH_STACK bytes and may be reused at once. */
#define LAUNCH_STACK 65536
static inline pid_t launch(char *const argv[], int null_fd, char *stack, int *pidfd) {
  struct launch l = {argv, null_fd, {{0}}};
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &l.old_mask);
  pid_t pid =
      clone(launch_child, stack + LAUNCH_STACK, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &l, pidfd, NULL, NULL);
  if (pid < 0) die("clone");
  sigprocmask(SIG_SETMASK, &l.old_mask, NULL);
  return pid;
}

static inline void reap(int pidfd) {
  siginfo_t info;
  if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0) die("waitid");
  close(pidfd);
}

static inline int open_null(void) {
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd < 0) die("/dev/null");
  return fd;
}

#endif
