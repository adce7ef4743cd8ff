/* What a new process does between clone and exec, in an order that is right.
 *
 * One implementation serves both starters: the watch thread (leaders of containment `group`, and the
 * keeper itself) and the keeper (leaders of containment `tree`). It runs in a child that shares its
 * parent's memory (CLONE_VM | CLONE_VFORK), so it allocates nothing, touches no libc state, makes raw
 * system calls only and reports failure by writing into `plan`, which the parent reads once the child
 * has exec'ed or exited. Plain C, freestanding, no errno.
 */
#ifndef CORRAL_CHILD_SETUP_H
#define CORRAL_CHILD_SETUP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The step that failed. Order is the order of execution; names for people are in src/errors.ts. */
enum corral_stage {
  CORRAL_STAGE_NONE = 0,
  CORRAL_STAGE_CLONE,
  CORRAL_STAGE_SESSION,
  CORRAL_STAGE_RLIMIT,
  CORRAL_STAGE_OOM,
  CORRAL_STAGE_NICE,
  CORRAL_STAGE_GROUPS,
  CORRAL_STAGE_GID,
  CORRAL_STAGE_UID,
  CORRAL_STAGE_CWD,
  CORRAL_STAGE_NO_NEW_PRIVS,
  CORRAL_STAGE_OWNER, /* the parent died before the parent-death signal was armed */
  CORRAL_STAGE_STDIO,
  CORRAL_STAGE_EXEC,
  CORRAL_STAGE_KEEPER, /* the keeper could not be started or did not answer */
};

enum corral_setting {
  CORRAL_SET_SESSION = 1u << 0, /* setsid(): own session and process group */
  CORRAL_SET_UID = 1u << 1,
  CORRAL_SET_GID = 1u << 2,
  CORRAL_SET_GROUPS = 1u << 3, /* supplementary groups become exactly `groups` */
  CORRAL_SET_UMASK = 1u << 4,
  CORRAL_SET_NO_NEW_PRIVS = 1u << 5,
  CORRAL_SET_NICE = 1u << 6,
  CORRAL_SET_OOM = 1u << 7,             /* /proc/self/oom_score_adj */
  CORRAL_SET_DEATHSIG = 1u << 8,        /* PR_SET_PDEATHSIG, armed after the id changes, then the parent is compared */
  CORRAL_SET_OOM_BEST_EFFORT = 1u << 9, /* EACCES/EPERM of the oom write is not a failure */
};

#define CORRAL_MAX_LIMITS 16
#define CORRAL_MAX_GROUPS 256

/* The settings of a child; fixed size and without pointers, so that it can travel to the keeper. */
struct corral_settings {
  uint32_t flags;
  uint32_t uid, gid;
  uint32_t umask;
  int32_t nice;
  int32_t oom_score_adj;
  int32_t death_signal;
  uint32_t limit_count;
  struct {
    uint32_t resource, reserved;
    uint64_t soft, hard; /* UINT64_MAX = unlimited */
  } limits[CORRAL_MAX_LIMITS];
  uint32_t group_count;
  uint32_t groups[CORRAL_MAX_GROUPS];
};

struct corral_child_plan {
  const char *file; /* with a slash: as is, relative to cwd; without: searched in PATH of envp (execvp rules) */
  int exec_fd;      /* >= 0: execveat(exec_fd, "", AT_EMPTY_PATH), `file` is ignored */
  char **argv;      /* argv[-1] must be a writable slot: a script without #! is run by /bin/sh as execvp does */
  char **envp;
  const char *cwd;    /* null or "" = unchanged */
  int stdio[3];       /* become 0, 1, 2 (any may be the same descriptor, any may be 0..2 already) */
  int control_fd;     /* >= 0: becomes 3 and stays open; every other descriptor from 3 (4) on is closed */
  int64_t parent_pid; /* pid of the cloning process as the child's getppid() must show it */
  int cgroup_fd;      /* > 0: a directory of cgroup v2 in which the child is to be from its first instruction on */
  const struct corral_settings *settings;
  /* results, written by the child */
  volatile int cgroup_error;  /* positive errno: it is not in that cgroup but in its parent's, and goes on */
  volatile int cgroup_cloned; /* it was born there (CLONE_INTO_CGROUP), and not moved */
  volatile int failed_stage;  /* enum corral_stage */
  volatile int failed_errno;  /* positive errno */
};

/* Clones with CLONE_VM|CLONE_VFORK|CLONE_PIDFD (exit signal SIGCHLD), runs the set-up on `stack`, and
 * returns once the child has exec'ed or given up. All signals must be blocked by the caller; the child
 * resets every disposition that is not default and clears the mask before exec.
 * Returns the pid and sets *ret_pidfd (CLOEXEC; -1 where the kernel has no CLONE_PIDFD, < 5.2), or
 * -errno when clone itself failed. When plan->failed_stage is not NONE the child has exited (127) and the
 * caller must still reap the pid.
 * clone(2), vfork(2), execve(2). */
long corral_start_child(struct corral_child_plan *plan, void *stack, unsigned long stack_size, int *ret_pidfd);

#define CORRAL_CHILD_STACK (64 * 1024)

#ifdef __cplusplus
}
#endif
#endif
