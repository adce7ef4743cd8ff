/* Processes to be scanned, for proc-scan.test.ts. Prints "READY" and pids (or other numbers) when what it promises is
 * true, lives until its standard input ends, and takes its children with it.
 *
 *   plain                just that
 *   name HEX             named by prctl(PR_SET_NAME); its child has the same name
 *   zombie               READY pid of a child that has exited with 7 and is not reaped
 *   headless             the main thread has ended, another one lives on: state Z, and yet no zombie
 *   family               own session; READY same group, own group, own session
 *   user ID              setuid without exec, so not dumpable; READY pid of a zombie child of the same user
 *   args COUNT SIZE      exec'ed with so many arguments of so many bytes
 *   noargs               its arguments end where they begin; READY empty, or why not (kernel without
 * CHECKPOINT_RESTORE) thread               READY id of a second thread churn                forks children that exit at
 * once, as fast as it can
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int arrivals[2];

__attribute__((noreturn)) static void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

__attribute__((noreturn)) static void live_until_end_of_input(void) {
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  while (wait(NULL) > 0) {
  }
  _exit(0);
}

/* A child that dies with us, in the group and session that `arrange` makes; returns when it has been made. */
static pid_t child(void (*arrange)(void)) {
  const pid_t parent = getpid(), pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    if (arrange) arrange();
    if (write(arrivals[1], "+", 1) != 1) _exit(1);
    live_until_end_of_input(); /* standard input is shared */
  }
  char byte;
  if (read(arrivals[0], &byte, 1) != 1) die("read");
  return pid;
}

static pid_t zombie(void) {
  siginfo_t info;
  const pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) _exit(7);
  if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0) die("waitid");
  return pid;
}

static void own_group(void) {
  setpgid(0, 0);
}
static void own_session(void) {
  setsid();
}

static void set_name(const char *hex) {
  char name[16] = {0};
  for (size_t i = 0; i < sizeof name - 1 && hex[2 * i]; i++) {
    unsigned byte;
    sscanf(hex + 2 * i, "%2x", &byte);
    name[i] = (char)byte;
  }
  prctl(PR_SET_NAME, name);
}

/* The state of a thread in /proc changes after it has told pthread that it ends: look until it has. */
static void *announce_headless(void *unused) {
  char path[64], line[512];
  (void)unused;
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", getpid());
  for (;;) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (size <= 0) die(path);
    close(fd);
    line[size] = 0;
    if (strstr(line, ") Z ")) break;
    sched_yield();
  }
  printf("READY\n");
  fflush(stdout);
  live_until_end_of_input();
}

static void *announce_thread(void *unused) {
  (void)unused;
  printf("READY %ld\n", syscall(SYS_gettid));
  fflush(stdout);
  live_until_end_of_input();
}

__attribute__((noreturn)) static void churn(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, 0) == 0) {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    if (pid > 0) waitpid(pid, NULL, 0);
  }
  _exit(0);
}

static void exec_with_args(char *self, size_t count, size_t size) {
  char **argv = calloc(count + 3, sizeof *argv), *long_one = malloc(size + 1);
  memset(long_one, 'x', size);
  long_one[size] = 0;
  argv[0] = self;
  argv[1] = (char *)"plain";
  for (size_t i = 0; i < count; i++) argv[i + 2] = long_one;
  execv("/proc/self/exe", argv);
  die("exec");
}

/* Leaves the memory as it is, but lets the arguments end where they begin (prctl(2), PR_SET_MM_MAP). The bounds come
 * from proc_pid_stat(5). */
static int empty_args(void) {
  char line[2048];
  int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  ssize_t size = read(fd, line, sizeof line - 1);
  if (size <= 0) die("stat");
  close(fd);
  line[size] = 0;
  uint64_t fields[53] = {0};
  char *at = strrchr(line, ')') + 4;
  for (int i = 4; i <= 52; i++) fields[i] = strtoull(at, &at, 10);
  struct prctl_mm_map map = {
      .start_code = fields[26],
      .end_code = fields[27],
      .start_stack = fields[28],
      .start_data = fields[45],
      .end_data = fields[46],
      .start_brk = fields[47],
      .brk = (uint64_t)(uintptr_t)sbrk(0),
      .arg_start = fields[48],
      .arg_end = fields[48],
      .env_start = fields[50],
      .env_end = fields[51],
      .exe_fd = (uint32_t)-1,
  };
  return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "plain";
  if (pipe(arrivals) < 0) die("pipe");
  pthread_t thread;
  if (!strcmp(mode, "headless")) {
    if (pthread_create(&thread, NULL, announce_headless, NULL)) die("pthread_create");
    pthread_exit(NULL);
  }
  if (!strcmp(mode, "thread")) {
    if (pthread_create(&thread, NULL, announce_thread, NULL)) die("pthread_create");
    for (;;) pause();
  }
  if (!strcmp(mode, "args")) exec_with_args(argv[0], (size_t)atol(argv[2]), (size_t)atol(argv[3]));

  if (!strcmp(mode, "name")) {
    set_name(argv[2]);
    printf("READY %d\n", child(NULL));
  } else if (!strcmp(mode, "zombie")) {
    printf("READY %d\n", zombie());
  } else if (!strcmp(mode, "family")) {
    if (setsid() < 0) die("setsid");
    const pid_t same = child(NULL), group = child(own_group), session = child(own_session);
    printf("READY %d %d %d\n", same, group, session);
  } else if (!strcmp(mode, "user")) {
    if (setuid((uid_t)atol(argv[2])) < 0) die("setuid");
    printf("READY %d\n", zombie());
  } else if (!strcmp(mode, "noargs")) {
    printf("READY %s\n", empty_args() == 0 ? "empty" : strerror(errno));
  } else {
    printf("READY\n");
  }
  fflush(stdout);
  if (!strcmp(mode, "churn")) churn();
  live_until_end_of_input();
}
