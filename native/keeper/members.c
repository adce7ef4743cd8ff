/* See members.h. */
#define _GNU_SOURCE
#include "members.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../sys/cgroup_leaf.h"
#include "../sys/identity_checks.h"
#include "runtime.h"

#define HIGHEST_PID (4 * 1024 * 1024) /* PID_MAX_LIMIT */
#define MOST_MEMBERS (256 * 1024)

/* Where lists of processes come from; each is the fallback of the one before. */
enum source {
  SOURCE_CHILDREN, /* /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN) */
  SOURCE_SCAN,     /* parents, from every /proc/PID/stat */
  SOURCE_PROBE,    /* /proc is missing or another namespace's: waitid(2) on each number finds our own children */
};

static int32_t self;
static enum source source;
static int leaf = -1;
static const char *leaf_name;

/* Records lie densely in `pool`; `slot[pid]` is the place of a record plus one. Address space until they are used. */
static struct member *pool;
static uint32_t *slot;
static uint32_t pool_used;
static struct member *free_members;
static struct member forgetful;

static char *proc_path(char *path, const char *end, int32_t pid, const char *rest) {
  char *at = append_number(append(path, end, "/proc/"), end, (uint64_t)pid);
  return append(at, end, rest);
}

static const char *parse_number(const char *at, uint64_t *ret_number) {
  uint64_t number = 0;
  while (*at == ' ') at++;
  if (*at == '-') at++; /* fields we use are never negative */
  for (; *at >= '0' && *at <= '9'; at++) number = number * 10 + (uint64_t)(*at - '0');
  *ret_number = number;
  return at;
}

bool stat_parse(const char *text, size_t length, struct process_stat *ret_stat) {
  /* The name may contain anything, ')' and newlines too: it ends at the last one. */
  const char *open = text, *close = text + length;
  while (*open != '\0' && *open != '(') open++;
  while (close > open && *close != ')') close--;
  if (close == open || close + 2 >= text + length) return false;
  uint64_t number;
  (void)parse_number(text, &number);
  ret_stat->pid = (int32_t)number;
  size_t copied = 0;
  for (const char *at = open + 1; at < close && copied < sizeof ret_stat->name - 1; at++)
    ret_stat->name[copied++] = *at;
  while (copied < sizeof ret_stat->name) ret_stat->name[copied++] = '\0';
  ret_stat->state = close[2];

  const char *at = close + 3;
  for (int field = 4; field <= 22; field++) {
    if (*at != ' ') return false; /* cut short, or no number where one belongs */
    at = parse_number(at, &number);
    if (field == 4) ret_stat->ppid = (int32_t)number;
    if (field == 5) ret_stat->pgid = (int32_t)number;
    if (field == 20) ret_stat->threads = (int32_t)number;
  }
  ret_stat->start_ticks = number;
  return *at == ' ';
}

bool stat_read(int32_t pid, struct process_stat *ret_stat) {
  if (source == SOURCE_PROBE) return false;
  char path[40];
  (void)proc_path(path, path + sizeof path, pid, "/stat");
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return false;
  char text[1024];
  const long length = raw_syscall(SYS_read, fd, text, sizeof text - 1);
  (void)raw_syscall(SYS_close, fd);
  if (length <= 0) return false;
  text[length] = '\0';
  return stat_parse(text, (size_t)length, ret_stat);
}

void members_init(int32_t own_pid) {
  self = own_pid;
  /* A /proc of another pid namespace (or none) speaks of other processes under our numbers. */
  char target[16];
  const long length = raw_syscall(SYS_readlinkat, AT_FDCWD, "/proc/self", target, sizeof target - 1);
  uint64_t number = 0;
  if (length > 0) {
    target[length] = '\0';
    (void)parse_number(target, &number);
  }
  if (number != (uint64_t)self) {
    source = SOURCE_PROBE;
    return;
  }
  char path[64];
  char *at = proc_path(path, path + sizeof path, self, "/task/");
  (void)append(append_number(at, path + sizeof path, (uint64_t)self), path + sizeof path, "/children");
  source = raw_syscall(SYS_faccessat, AT_FDCWD, path, 4 /* R_OK */) == 0 ? SOURCE_CHILDREN : SOURCE_SCAN;
}

void members_use_leaf(int directory, const char *name) {
  leaf = directory;
  leaf_name = name;
}

static bool take_memory(void) {
  if (pool != NULL) return true;
  const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const size_t pool_size = MOST_MEMBERS * sizeof *pool, slot_size = (HIGHEST_PID + 1) * sizeof *slot;
  const long memory = raw_syscall(SYS_mmap, NULL, pool_size + slot_size, protection, flags, -1, 0);
  if (memory < 0 && memory > -4096) return false;
  pool = (struct member *)memory;
  slot = (uint32_t *)(memory + (long)pool_size);
  return true;
}

static struct member *find(int32_t pid) {
  return pool != NULL && pid > 0 && pid <= HIGHEST_PID && slot[pid] != 0 ? &pool[slot[pid] - 1] : NULL;
}

const struct member *member_find(int32_t pid) {
  return find(pid);
}

struct member *member_of(int32_t pid) {
  struct member *member = find(pid);
  if (member != NULL) return member;
  if (!take_memory() || pid <= 0 || pid > HIGHEST_PID || (free_members == NULL && pool_used == MOST_MEMBERS)) {
    forgetful = (struct member){.pid = pid};
    return &forgetful;
  }
  if (free_members != NULL) {
    member = free_members;
    free_members = member->next;
  } else {
    member = &pool[pool_used++];
  }
  *member = (struct member){.pid = pid};
  slot[pid] = (uint32_t)(member - pool) + 1;
  return member;
}

void member_gone(int32_t pid) {
  struct member *member = find(pid);
  if (member == NULL) return;
  slot[pid] = 0;
  member->pid = 0;
  member->next = free_members;
  free_members = member;
}

void members_each_left(void (*visit)(const struct member *member)) {
  for (uint32_t i = 0; i < pool_used; i++) {
    const int32_t pid = pool[i].pid;
    if (pid == 0) continue;
    visit(&pool[i]);
    member_gone(pid);
  }
}

enum child { NOT_OURS, LIVING, ENDED };

/* Asks for one child by number, without reaping it: exact, and true until the keeper reaps it. */
static enum child child_of_number(int32_t pid) {
  siginfo_t info;
  info.si_pid = 0;
  const long error = raw_syscall(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL);
  return error < 0 ? NOT_OURS : info.si_pid == 0 ? LIVING : ENDED;
}

/* Calls visit(pid) for each number in a directory of /proc. */
static void each_number_in(const char *directory, void (*visit)(int32_t number)) {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return;
  char buffer[2048] __attribute__((aligned(8)));
  long length;
  while ((length = raw_syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < length;) {
      const struct raw_dirent *entry = (const struct raw_dirent *)(buffer + at);
      at += entry->size;
      uint64_t number;
      if (*parse_number(entry->name, &number) == '\0' && number > 0) visit((int32_t)number);
    }
  }
  (void)raw_syscall(SYS_close, fd);
}

uint64_t children_parse(const char *text, size_t length, uint64_t number, void (*visit)(int32_t pid)) {
  for (size_t i = 0; i < length; i++) {
    if (text[i] >= '0' && text[i] <= '9') {
      number = number * 10 + (uint64_t)(text[i] - '0');
    } else {
      if (number > 0 && number <= HIGHEST_PID) visit((int32_t)number);
      number = 0;
    }
  }
  return number;
}

/* Calls visit(pid) for each child of one thread. False: the list can not be read. */
static bool each_child_of_thread(int32_t pid, int32_t tid, void (*visit)(int32_t pid)) {
  char path[64];
  const char *end = path + sizeof path;
  char *at = proc_path(path, end, pid, "/task/");
  (void)append(append_number(at, end, (uint64_t)tid), end, "/children");
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return false;
  char buffer[2048];
  long length;
  uint64_t number = 0;
  while ((length = raw_syscall(SYS_read, fd, buffer, sizeof buffer)) > 0)
    number = children_parse(buffer, (size_t)length, number, visit);
  (void)raw_syscall(SYS_close, fd);
  return true;
}

/* The enumeration of own children under way. */
static void (*visit_child)(int32_t pid);
static bool visits_ended, found_child;

static void visit_if_child(int32_t pid) {
  const enum child child = pid == self ? NOT_OURS : child_of_number(pid);
  if (child == NOT_OURS) return;
  found_child = true;
  if (child == LIVING || visits_ended) visit_child(pid);
}

static int exit_at_once(void *ignored) {
  (void)ignored;
  return 0;
}

/* Numbers are given out in ascending order: until they wrap around, nobody has a higher one than the newest process. */
static int32_t newest_pid(void) {
  char stack[1024] __attribute__((aligned(16)));
  const long pid = raw_clone(RAW_CLONE_VM | RAW_CLONE_VFORK | SIGCHLD, stack + sizeof stack, NULL, exit_at_once, NULL);
  if (pid < 0) return HIGHEST_PID;
  (void)raw_syscall(SYS_waitid, P_PID, pid, NULL, WEXITED | __WALL, NULL);
  return (int32_t)pid;
}

static void probe(void) {
  const int32_t newest = newest_pid();
  found_child = false;
  for (int32_t pid = 2; pid < newest; pid++) visit_if_child(pid);
  if (found_child) return;
  for (int32_t pid = newest; pid <= HIGHEST_PID; pid++) visit_if_child(pid);
}

static void enumerate_children(void (*visit)(int32_t pid), bool with_ended) {
  visit_child = visit;
  visits_ended = with_ended;
  switch (source) {
  case SOURCE_CHILDREN:
    if (!each_child_of_thread(self, self, visit_if_child)) probe(); /* somebody has unmounted /proc */
    break;
  case SOURCE_SCAN:
    each_number_in("/proc", visit_if_child);
    break;
  case SOURCE_PROBE:
    probe();
    break;
  }
}

void each_own_child(void (*visit)(int32_t pid)) {
  enumerate_children(visit, true);
}
void each_living_child(void (*visit)(int32_t pid)) {
  enumerate_children(visit, false);
}

/* The walk under way. */
static uint32_t walk;
static struct member *walk_last;
static struct member walk_head;
static const struct member *walk_parent;
static int walk_parent_pidfd;
static bool walk_grew;

/* Enters what was read; the flags stay unless the number belongs to another process than before. */
static void remember(struct member *member, const struct process_stat *stat) {
  if (member->start_ticks != 0 && member->start_ticks != stat->start_ticks) member->flags = 0;
  member->start_ticks = stat->start_ticks;
  member->pgid = stat->pgid;
  /* A process whose first thread has ended while others run looks like a zombie. */
  member->state = stat->state == 'Z' && stat->threads > 1 ? 'S' : stat->state;
  memcpy(member->name, stat->name, sizeof member->name);
}

static void walk_add(int32_t pid, const struct process_stat *stat, bool is_child) {
  struct member *member = member_of(pid);
  if (member->walk == walk) return;
  if (stat != NULL) remember(member, stat);
  member->is_child = is_child;
  member->is_guest = false;
  if (member == &forgetful) return;
  member->walk = walk;
  member->next = NULL;
  walk_last->next = member;
  walk_last = member;
  walk_grew = true;
}

static void walk_add_own(int32_t pid) {
  struct process_stat stat;
  walk_add(pid, stat_read(pid, &stat) ? &stat : NULL, true);
}

/* Is the process still the one we recorded? With a pidfd this needs no look at /proc. */
static bool is_still(const struct member *member, int pidfd) {
  if (member->is_child) return true;
  if (pidfd >= 0) return raw_syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) != -ESRCH;
  struct process_stat stat;
  return stat_read(member->pid, &stat) && stat.start_ticks == member->start_ticks;
}

static int open_member(const struct member *member) {
  return (int)raw_syscall(SYS_pidfd_open, member->pid, 0);
}

/* A number read from a list of children may have died and been given to a stranger meanwhile. It is a member when
 * its parent is, as of now: the parent's number is in its stat, and the parent is proven to hold that number still. */
static void walk_add_below(int32_t pid) {
  struct process_stat stat;
  if (!stat_read(pid, &stat)) return;
  if (stat.ppid == self) {
    walk_add(pid, &stat, true);
  } else if (stat.ppid == walk_parent->pid && is_still(walk_parent, walk_parent_pidfd)) {
    walk_add(pid, &stat, false);
  }
}

static void walk_thread(int32_t tid) {
  (void)each_child_of_thread(walk_parent->pid, tid, walk_add_below);
}

static void walk_below(const struct member *parent) {
  struct process_stat stat;
  walk_parent = parent;
  walk_parent_pidfd = parent->is_child ? -1 : open_member(parent);
  if (stat_read(parent->pid, &stat) && stat.start_ticks == parent->start_ticks &&
      (stat.state != 'Z' || stat.threads > 1)) {
    if (stat.threads <= 1) {
      walk_thread(parent->pid);
    } else {
      char path[40];
      (void)proc_path(path, path + sizeof path, parent->pid, "/task");
      each_number_in(path, walk_thread);
    }
  }
  if (walk_parent_pidfd >= 0) (void)raw_syscall(SYS_close, walk_parent_pidfd);
}

static void walk_add_scanned(int32_t pid) {
  struct process_stat stat;
  if (pid == self || !stat_read(pid, &stat)) return;
  if (stat.ppid == self) {
    if (child_of_number(pid) == LIVING) walk_add(pid, &stat, true);
    return;
  }
  const struct member *parent = find(stat.ppid);
  if (parent != NULL && parent->walk == walk && is_still(parent, -1)) walk_add(pid, &stat, false);
}

/* Somebody who was put into the cgroup from outside, or whom the walk has missed. Both reads have to be about the same
 * process: a stranger who gets the number in between is not in the cgroup. */
static void walk_add_guest(int32_t pid) {
  struct process_stat stat;
  const struct member *member = find(pid);
  if (pid == self || (member != NULL && member->walk == walk)) return;
  if (!stat_read(pid, &stat) || !leaf_has(leaf_name, pid)) return;
  const bool is_child = stat.ppid == self && child_of_number(pid) == LIVING;
  walk_add(pid, &stat, is_child);
  member_of(pid)->is_guest = !is_child;
}

static void walk_leaf(void) {
  if (leaf >= 0) leaf_each_process(leaf, walk_add_guest);
}

struct member *members_walk(void) {
  walk++;
  walk_head.next = NULL;
  walk_last = &walk_head;
  if (source == SOURCE_SCAN) {
    do {
      walk_grew = false;
      each_number_in("/proc", walk_add_scanned);
    } while (walk_grew);
    walk_leaf();
    return walk_head.next;
  }
  each_living_child(walk_add_own);
  if (source == SOURCE_CHILDREN)
    for (const struct member *member = walk_head.next; member != NULL; member = member->next) walk_below(member);
  walk_leaf();
  return walk_head.next;
}

long member_signal(const struct member *member, int signal) {
  if (!CORRAL_CHECKS_IDENTITY || member->is_child || child_of_number(member->pid) != NOT_OURS)
    return raw_syscall(SYS_kill, member->pid, signal);
  const int pidfd = open_member(member);
  if (pidfd == -ESRCH || pidfd == -EINVAL) return -ESRCH; /* EINVAL: in the last moments of its exit */
  struct process_stat stat;
  long result = -ESRCH;
  if (stat_read(member->pid, &stat) && stat.start_ticks == member->start_ticks &&
      (member->is_guest ? leaf_has(leaf_name, member->pid) != 0 : stat.ppid == self || find(stat.ppid) != NULL)) {
    /* Without a pidfd (before 5.3, or none to be had) the moment since that look is all that is uncertain. */
    result = pidfd >= 0 ? raw_syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0)
                        : raw_syscall(SYS_kill, member->pid, signal);
  }
  if (pidfd >= 0) (void)raw_syscall(SYS_close, pidfd);
  return result;
}
