/* Limit of spawning: spawn MODE HEAP_MB COUNT BATCH CHILD
 *
 *   clone        clone(CLONE_VM|CLONE_VFORK|CLONE_PIDFD) and waitid, in the calling thread
 *   thread       the same on a thread of its own: the caller is blocked for the hand-over only
 *   two          clone of a child that starts the real one by vfork: what a supervisor in between costs at least
 *   posix_spawn  glibc's
 *   fork         fork + exec, for comparison: this is what libuv does
 *
 * blockUs: time in the call. totalUs: call to exit seen. batchBlockUs, batchPerChildUs: BATCH spawns at once.
 */
#include "limit.h"
#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>

extern char **environ;

enum mode { MODE_CLONE, MODE_THREAD, MODE_TWO, MODE_POSIX_SPAWN, MODE_FORK };
static const char *const mode_names[] = {"clone", "thread", "two", "posix_spawn", "fork"};

static enum mode mode;
static char *child_argv[3];
static char stack[LAUNCH_STACK] __attribute__((aligned(16)));
static int null_fd;

static int open_pidfd(pid_t pid) {
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) die("pidfd_open");
  return fd;
}

static int spawn_posix(void) {
  static posix_spawn_file_actions_t actions;
  static posix_spawnattr_t attributes;
  static int prepared;
  if (!prepared) {
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; fd < 3; fd++) posix_spawn_file_actions_adddup2(&actions, null_fd, fd);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    prepared = 1;
  }
  pid_t pid;
  errno = posix_spawn(&pid, child_argv[0], &actions, &attributes, child_argv, environ);
  if (errno) die("posix_spawn");
  return open_pidfd(pid);
}

static int spawn_fork(void) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    setsid();
    for (int fd = 0; fd < 3; fd++) dup2(null_fd, fd);
    execv(child_argv[0], child_argv);
    _exit(127);
  }
  return open_pidfd(pid);
}

static int spawn_here(void) {
  int pidfd = -1;
  switch (mode) {
  case MODE_POSIX_SPAWN:
    return spawn_posix();
  case MODE_FORK:
    return spawn_fork();
  default:
    launch(child_argv, null_fd, stack, &pidfd);
    return pidfd;
  }
}

/* The thread: one counter of requests, one of exits. It starts everything that was asked for before it reaps. */
static sem_t requested, exited;

static void *serve(void *unused) {
  (void)unused;
  int pending[1024];
  for (;;) {
    int count = 0;
    sem_wait(&requested);
    do pending[count++] = spawn_here();
    while (count < 1024 && sem_trywait(&requested) == 0);
    for (int i = 0; i < count; i++) {
      reap(pending[i]);
      sem_post(&exited);
    }
  }
  return NULL;
}

/* Lets the thread fall asleep again: handing over to one that still runs costs nothing, and no caller is that quick. */
static void settle(void) {
  if (mode == MODE_THREAD) usleep(300);
}

static void one(double *block, double *total) {
  settle();
  int64_t start = now_ns();
  if (mode == MODE_THREAD) {
    sem_post(&requested);
    *block = us_since(start);
    sem_wait(&exited);
  } else {
    int pidfd = spawn_here();
    *block = us_since(start);
    reap(pidfd);
  }
  *total = us_since(start);
}

static void batch(int size, double *block, double *per_child) {
  int *pending = allocate(sizeof(int) * (size_t)size);
  settle();
  int64_t start = now_ns();
  for (int i = 0; i < size; i++) {
    if (mode == MODE_THREAD)
      sem_post(&requested);
    else
      pending[i] = spawn_here();
  }
  *block = us_since(start);
  for (int i = 0; i < size; i++) {
    if (mode == MODE_THREAD)
      sem_wait(&exited);
    else
      reap(pending[i]);
  }
  *per_child = us_since(start) / size;
  free(pending);
}

int main(int argc, char **argv) {
  if (argc != 6) return 64;
  for (mode = MODE_CLONE; strcmp(mode_names[mode], argv[1]) != 0; mode++)
    if (mode == MODE_FORK) return 64;
  size_t heap = strtoul(argv[2], NULL, 10), count = strtoul(argv[3], NULL, 10);
  int batch_size = atoi(argv[4]);
  child_argv[0] = argv[5];
  child_argv[1] = mode == MODE_TWO ? "relay" : "exit";
  null_fd = open_null();
  touch_heap(heap);
  if (mode == MODE_THREAD) {
    pthread_t thread;
    sem_init(&requested, 0, 0);
    sem_init(&exited, 0, 0);
    if (pthread_create(&thread, NULL, serve, NULL) != 0) die("pthread_create");
  }

  enum { BATCHES = 5 };
  double *block = allocate(sizeof(double) * count), *total = allocate(sizeof(double) * count);
  double batch_block[BATCHES], batch_child[BATCHES], ignored;
  for (int i = 0; i < 5; i++) one(&ignored, &ignored);
  for (size_t i = 0; i < count; i++) one(&block[i], &total[i]);
  for (int i = 0; batch_size > 0 && i < BATCHES; i++) batch(batch_size, &batch_block[i], &batch_child[i]);

  printf("{");
  print_samples("blockUs", block, count, ",");
  print_samples("totalUs", total, count, ",");
  print_samples("batchBlockUs", batch_block, batch_size > 0 ? BATCHES : 0, ",");
  print_samples("batchPerChildUs", batch_child, batch_size > 0 ? BATCHES : 0, "}\n");
  return 0;
}
