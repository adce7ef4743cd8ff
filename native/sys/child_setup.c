/* The child between clone and exec; the contract is child_setup.h. The child shares its parent's memory while this
 * runs: nothing here allocates, locks, or touches a variable of libc, and the only memory it writes is its own stack,
 * the results in the plan and the argv slots the contract gives it.
 */
#define _GNU_SOURCE
#include "child_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "raw_syscall.h"

#define RAW_AT_EMPTY_PATH 0x1000

#define LAST_SIGNAL 64
#define LONGEST_NAME 255  /* NAME_MAX */
#define LONGEST_PATH 4096 /* PATH_MAX */
/* The last fallback of close_others asks for every number; nobody has more (fs.nr_open starts out as this). */
#define MOST_DESCRIPTORS (1 << 20)
/* confstr(_CS_PATH): what execvp(3) searches when the environment has no PATH. */
#define DEFAULT_PATH "/bin:/usr/bin"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
/* The child leaves its frames without returning; their red zones must not greet the next child. */
void __asan_unpoison_memory_region(void const volatile *address, size_t size);
#define FORGET_STACK(stack, size) __asan_unpoison_memory_region(stack, size)
#else
#define FORGET_STACK(stack, size) ((void)(stack), (void)(size))
#endif

/* A new program inherits ignored signals, and until exec a handler of the parent would run in memory that is the
 * parent's. Asking first is half the cost of setting all: nearly all are default already. */
static int reset_dispositions(void) {
  for (int number = 1; number <= LAST_SIGNAL; number++) {
    if (number == SIGKILL || number == SIGSTOP) continue;
    struct raw_sigaction action;
    long error = raw_syscall(SYS_rt_sigaction, number, NULL, &action, sizeof action.mask);
    if (error < 0) return (int)error;
    if (action.handler == SIG_DFL) continue;
    action.handler = SIG_DFL;
    action.flags = 0;
    action.restorer = NULL;
    action.mask = 0;
    error = raw_syscall(SYS_rt_sigaction, number, &action, NULL, sizeof action.mask);
    if (error < 0) return (int)error;
  }
  return 0;
}

/* Every limit except the one on descriptors, of which only the hard limit is raised here, while the child may have
 * the privilege for it; the rest of it waits until the descriptors are in place (limit_descriptors). */
static int set_limits(const struct corral_settings *settings) {
  for (uint32_t i = 0; i < settings->limit_count; i++) {
    const uint32_t resource = settings->limits[i].resource;
    struct raw_rlimit limit = {settings->limits[i].soft, settings->limits[i].hard};
    if (resource == RLIMIT_NOFILE) {
      struct raw_rlimit current;
      long error = raw_syscall(SYS_prlimit64, 0, resource, NULL, &current);
      if (error < 0) return (int)error;
      if (limit.soft > limit.hard) return -EINVAL;
      if (limit.hard <= current.hard) continue;
      limit.soft = current.soft;
    }
    long error = raw_syscall(SYS_prlimit64, 0, resource, &limit, NULL);
    if (error < 0) return (int)error;
  }
  return 0;
}

static int limit_descriptors(const struct corral_settings *settings) {
  for (uint32_t i = 0; i < settings->limit_count; i++) {
    if (settings->limits[i].resource != RLIMIT_NOFILE) continue;
    const struct raw_rlimit limit = {settings->limits[i].soft, settings->limits[i].hard};
    long error = raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
    if (error < 0) return (int)error;
  }
  return 0;
}

/* With CLONE_VFORK the kernel changes the child only, though the memory is shared (proc(5), fs/proc/base.c). */
static int set_oom_score(const struct corral_settings *settings) {
  char text[12];
  char *at = text + sizeof text;
  uint32_t rest =
      settings->oom_score_adj < 0 ? 0u - (uint32_t)settings->oom_score_adj : (uint32_t)settings->oom_score_adj;
  do *--at = (char)('0' + rest % 10);
  while ((rest /= 10) > 0);
  if (settings->oom_score_adj < 0) *--at = '-';

  long fd = raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
  long result = fd;
  if (fd >= 0) {
    result = raw_syscall(SYS_write, fd, at, text + sizeof text - at);
    (void)raw_syscall(SYS_close, fd);
  }
  if ((result == -EACCES || result == -EPERM) && (settings->flags & CORRAL_SET_OOM_BEST_EFFORT)) return 0;
  return result < 0 ? (int)result : 0;
}

/* Writing 0 means the writer. Before anything is started or given up, so that nobody is left behind. */
static int enter_cgroup(int cgroup_fd) {
  const long fd = raw_syscall(SYS_openat, cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return (int)fd;
  const long written = raw_syscall(SYS_write, fd, "0", 1);
  (void)raw_syscall(SYS_close, fd);
  return written < 0 ? (int)written : 0;
}

/* The signal is armed after the id changes because those clear it, and a parent that died before that was missed:
 * the child then has another parent. 0 means a parent outside this pid namespace, of which nothing can be said. */
static int arm_death_signal(const struct corral_child_plan *plan) {
  long error = raw_syscall(SYS_prctl, PR_SET_PDEATHSIG, plan->settings->death_signal, 0, 0, 0);
  if (error < 0) return (int)error;
  const long parent = raw_syscall(SYS_getppid);
  return parent == plan->parent_pid || parent == 0 ? 0 : -ESRCH;
}

/* Puts the sources onto 0, 1, 2 (and 3). A source that sits on a target number would be overwritten before it is
 * used, so those move above the targets first; the copies are closed with all other descriptors. */
static int place_descriptors(const struct corral_child_plan *plan, int *exec_fd) {
  int source[4] = {plan->stdio[0], plan->stdio[1], plan->stdio[2], plan->control_fd};
  const int count = plan->control_fd >= 0 ? 4 : 3;
  for (int target = 0; target < count; target++) {
    if (source[target] < 0) return -EBADF;
    if (source[target] > 3 || source[target] == target) continue;
    long copy = raw_syscall(SYS_fcntl, source[target], F_DUPFD_CLOEXEC, 4);
    if (copy < 0) return (int)copy;
    source[target] = (int)copy;
  }
  if (*exec_fd >= 0) {
    long error = *exec_fd <= 3 ? raw_syscall(SYS_fcntl, *exec_fd, F_DUPFD_CLOEXEC, 4)
                               : raw_syscall(SYS_fcntl, *exec_fd, F_SETFD, FD_CLOEXEC);
    if (error < 0) return (int)error;
    if (*exec_fd <= 3) *exec_fd = (int)error;
  }
  for (int target = 0; target < count; target++) {
    long error = source[target] == target ? raw_syscall(SYS_fcntl, target, F_SETFD, 0)
                                          : raw_syscall(SYS_dup3, source[target], target, 0);
    if (error < 0) return (int)error;
  }
  return 0;
}

/* Before close_range(2) (5.9) or where a filter refuses it: what /proc lists, or every number there can be. */
static void close_each_from(unsigned first, int except) {
  long directory = raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (directory < 0) {
    struct raw_rlimit limit;
    long error = raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
    const unsigned end = error < 0 || limit.hard > MOST_DESCRIPTORS ? MOST_DESCRIPTORS : (unsigned)limit.hard;
    for (unsigned fd = first; fd < end; fd++)
      if ((int)fd != except) (void)raw_syscall(SYS_close, fd);
    return;
  }
  /* The listing goes by ascending number, so closing what it has passed loses nothing. */
  char buffer[1024] __attribute__((aligned(8)));
  long length;
  while ((length = raw_syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < length;) {
      const struct raw_dirent *entry = (const struct raw_dirent *)(buffer + at);
      at += entry->size;
      unsigned fd = 0;
      const char *digit = entry->name;
      for (; *digit >= '0' && *digit <= '9'; digit++) fd = fd * 10 + (unsigned)(*digit - '0');
      if (*digit != '\0' || digit == entry->name) continue; /* . and .. */
      if (fd >= first && (int)fd != except && (long)fd != directory) (void)raw_syscall(SYS_close, fd);
    }
  }
  (void)raw_syscall(SYS_close, directory);
}

static void close_others(unsigned first, int except) {
  long error;
  if (except < 0) {
    error = raw_syscall(SYS_close_range, first, ~0u, 0);
  } else {
    error = (unsigned)except > first ? raw_syscall(SYS_close_range, first, except - 1, 0) : 0;
    if (error == 0) error = raw_syscall(SYS_close_range, except + 1, ~0u, 0);
  }
  if (error < 0) close_each_from(first, except);
}

static size_t length_of(const char *text) {
  size_t length = 0;
  while (text[length] != '\0') length++;
  return length;
}

/* execve, and for a file the kernel does not know how to run (a script without #!) a shell that reads it. */
static int exec_path(const struct corral_child_plan *plan, const char *path) {
  char **argv = plan->argv;
  long error = raw_syscall(SYS_execve, path, argv, plan->envp);
  if (error != -ENOEXEC || argv[0] == NULL) return (int)error;
  char *const name = argv[0];
  argv[-1] = (char *)"/bin/sh";
  argv[0] = (char *)path;
  error = raw_syscall(SYS_execve, argv[-1], argv - 1, plan->envp);
  argv[0] = name;
  return (int)error;
}

/* The rules of execvp(3) (glibc): "permission denied" is remembered while the search goes on, errors that speak of the
 * directory only are passed over, any other ends it. */
static int exec_search(const struct corral_child_plan *plan) {
  const char *file = plan->file;
  const size_t file_length = length_of(file);
  if (file_length == 0) return -ENOENT;
  for (const char *at = file; *at != '\0'; at++)
    if (*at == '/') return exec_path(plan, file);
  if (file_length > LONGEST_NAME) return -ENAMETOOLONG;

  const char *path = DEFAULT_PATH;
  for (char **entry = plan->envp; entry != NULL && *entry != NULL; entry++) {
    const char *text = *entry;
    if (text[0] == 'P' && text[1] == 'A' && text[2] == 'T' && text[3] == 'H' && text[4] == '=') {
      path = text + 5;
      break;
    }
  }

  char candidate[LONGEST_PATH + LONGEST_NAME + 2];
  int denied = 0, last = -ENOENT;
  for (const char *start = path;; start++) {
    const char *end = start;
    while (*end != '\0' && *end != ':') end++;
    size_t length = (size_t)(end - start);
    if (length <= LONGEST_PATH) {
      for (size_t i = 0; i < length; i++) candidate[i] = start[i];
      if (length > 0) candidate[length++] = '/'; /* an empty element is the current directory */
      for (size_t i = 0; i <= file_length; i++) candidate[length + i] = file[i];
      last = exec_path(plan, candidate);
      switch (last) {
      case -EACCES:
        denied = 1;
        break;
      case -ENOENT:
      case -ENOTDIR:
      case -ESTALE:
      case -ENODEV:
      case -ETIMEDOUT:
        break;
      default:
        return last;
      }
    }
    if (*end == '\0') return denied ? -EACCES : last;
    start = end;
  }
}

static int exec_plan(const struct corral_child_plan *plan, int exec_fd) {
  const uint64_t none = 0;
  long error = raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
  if (error < 0) return (int)error;
  if (exec_fd < 0) return exec_search(plan);
  return (int)raw_syscall(SYS_execveat, exec_fd, "", plan->argv, plan->envp, RAW_AT_EMPTY_PATH);
}

__attribute__((noreturn)) static void give_up(struct corral_child_plan *plan, enum corral_stage stage, int error) {
  plan->failed_errno = -error;
  plan->failed_stage = (int)stage;
  for (;;) (void)raw_syscall(SYS_exit_group, 127);
}

static void step(struct corral_child_plan *plan, enum corral_stage stage, long result) {
  if (result < 0) give_up(plan, stage, (int)result);
}

static int run_child(void *argument) {
  struct corral_child_plan *plan = argument;
  const struct corral_settings *settings = plan->settings;
  const uint32_t flags = settings->flags;

  if (plan->cgroup_fd > 0 && !plan->cgroup_cloned) plan->cgroup_error = -enter_cgroup(plan->cgroup_fd);
  step(plan, CORRAL_STAGE_CLONE, reset_dispositions());
  if (flags & CORRAL_SET_SESSION) step(plan, CORRAL_STAGE_SESSION, raw_syscall(SYS_setsid));
  step(plan, CORRAL_STAGE_RLIMIT, set_limits(settings));
  if (flags & CORRAL_SET_OOM) step(plan, CORRAL_STAGE_OOM, set_oom_score(settings));
  if (flags & CORRAL_SET_NICE)
    step(plan, CORRAL_STAGE_NICE, raw_syscall(SYS_setpriority, PRIO_PROCESS, 0, settings->nice));
  if (flags & CORRAL_SET_UMASK) (void)raw_syscall(SYS_umask, settings->umask);

  /* System calls, not libc: its versions would change every thread of the program whose memory this is. Groups go
   * first, they need the privilege that the new uid takes away. */
  if (flags & CORRAL_SET_GROUPS)
    step(plan, CORRAL_STAGE_GROUPS, raw_syscall(SYS_setgroups, settings->group_count, settings->groups));
  if (flags & CORRAL_SET_GID)
    step(plan, CORRAL_STAGE_GID, raw_syscall(SYS_setresgid, settings->gid, settings->gid, settings->gid));
  if (flags & CORRAL_SET_UID)
    step(plan, CORRAL_STAGE_UID, raw_syscall(SYS_setresuid, settings->uid, settings->uid, settings->uid));

  /* With the new ids: what root may not enter on a network file system its owner may, and the other way round. */
  if (plan->cwd != NULL && plan->cwd[0] != '\0') step(plan, CORRAL_STAGE_CWD, raw_syscall(SYS_chdir, plan->cwd));
  if (flags & CORRAL_SET_NO_NEW_PRIVS)
    step(plan, CORRAL_STAGE_NO_NEW_PRIVS, raw_syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  if (flags & CORRAL_SET_DEATHSIG) step(plan, CORRAL_STAGE_OWNER, arm_death_signal(plan));

  int exec_fd = plan->exec_fd;
  step(plan, CORRAL_STAGE_STDIO, place_descriptors(plan, &exec_fd));
  close_others(plan->control_fd >= 0 ? 4 : 3, exec_fd);
  step(plan, CORRAL_STAGE_RLIMIT, limit_descriptors(settings));
  give_up(plan, CORRAL_STAGE_EXEC, exec_plan(plan, exec_fd));
}

/* clone3(2), which alone can make a child in another cgroup. Refused by kernels before 5.7, by the seccomp filters of
 * many containers (ENOSYS), and where the caller may not move processes; then the child moves itself. */
static long clone_into_cgroup(struct corral_child_plan *plan, char *bottom, const char *top, int *pidfd) {
  const struct raw_clone_args args = {
      .flags = RAW_CLONE_VM | RAW_CLONE_VFORK | RAW_CLONE_PIDFD | RAW_CLONE_INTO_CGROUP,
      .pidfd = (uint64_t)(uintptr_t)pidfd,
      .exit_signal = SIGCHLD,
      .stack = (uint64_t)(uintptr_t)bottom,
      .stack_size = (uint64_t)(top - bottom),
      .cgroup = (uint64_t)plan->cgroup_fd,
  };
  plan->cgroup_cloned = 1; /* the child reads it before we could say so */
  const long pid = raw_clone3(&args, run_child, plan);
  if (pid < 0) {
    plan->cgroup_cloned = 0;
    *pidfd = -1; /* the kernel stores the number before the last of its checks */
  }
  return pid;
}

long corral_start_child(struct corral_child_plan *plan, void *stack, unsigned long stack_size, int *ret_pidfd) {
  plan->failed_stage = CORRAL_STAGE_NONE;
  plan->failed_errno = 0;
  plan->cgroup_error = 0;
  plan->cgroup_cloned = 0;
  char *const top = (char *)(((uintptr_t)stack + stack_size) & ~(uintptr_t)15);

  /* A change of ids makes the memory undumpable, and the memory is ours too: we would lose core dumps and the
   * ownership of our /proc files. Until the child has left it that is as it should be: nobody who is already what the
   * child becomes may attach to it. */
  const int changes_ids = (plan->settings->flags & (CORRAL_SET_UID | CORRAL_SET_GID | CORRAL_SET_GROUPS)) != 0;
  const long dumpable = changes_ids ? raw_syscall(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0) : 0;

  /* A kernel before 5.2 ignores CLONE_PIDFD or refuses it; in both cases the descriptor stays -1. */
  int pidfd = -1;
  const unsigned long flags = RAW_CLONE_VM | RAW_CLONE_VFORK | SIGCHLD;
  long pid = plan->cgroup_fd > 0 ? clone_into_cgroup(plan, stack, top, &pidfd) : -ENOSYS;
  if (pid < 0) pid = raw_clone(flags | RAW_CLONE_PIDFD, top, &pidfd, run_child, plan);
  if (pid == -EINVAL) pid = raw_clone(flags, top, NULL, run_child, plan);

  FORGET_STACK(stack, stack_size);
  if (dumpable == 1) (void)raw_syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
  *ret_pidfd = pid < 0 ? -1 : pidfd;
  return pid;
}
