/* The keeper: holds one process tree, ends it when it is time, and proves that nothing is left.
 *
 * It is the subreaper of everything its leader starts: whatever loses its parent becomes the keeper's child, so
 * "waitid says ECHILD" means that the tree is empty. With containment `cgroup` the tree is also in a leaf of its own,
 * and has to be gone from there as well. It serves one owner over one socket (protocol.h) and outlives it. No libc, no
 * allocation, one thread; all signals are blocked, SIGCHLD arrives through a descriptor. So nothing that is typed on a
 * terminal reaches it either, where it shares one with its leader (CORRAL_SET_GROUP).
 *
 * The flow, top to bottom: start the leader, then wait for something to happen (a death, a packet, a deadline) and
 * let the phase decide:   RUNNING -> ASKING (kill signal, grace) -> FORCING (SIGKILL until ECHILD).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "../sys/cgroup_leaf.h"
#include "../sys/identity_checks.h"
#include "members.h"
#include "packets.h"
#include "runtime.h"

#define SIGNAL_PROCESS_GROUP (1u << 2) /* PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9 */
#define KEEPER_NAME "corral-keeper"

/* After the kill signal most trees die at once. Looking for members outside the leader's group waits while the dead
 * keep coming or the leader is busy, this long at a time or that long in all, and mostly has nobody left to look for.
 */
#define QUIET_US 1000
#define LATEST_LOOK_US 100000
/* Kill signals go out until a look finds nobody new; a tree that forks faster than that is left to SIGKILL. */
#define MOST_LOOKS 8
/* Pauses between rounds of SIGKILL while nobody dies: doubling from the first to the longest, and once survivors were
 * reported from there to the last. */
#define FIRST_PAUSE_US 1000
#define LONGEST_PAUSE_US 64000
#define SURVIVOR_PAUSE_US 60000000
/* Rounds in a row that found someone new, after which everything is stopped before it is killed; and how many looks
 * that may take. */
#define MOST_ROUNDS 8
#define MOST_STOP_LOOKS 64
/* What is alive this long after SIGKILL is a survivor (less when all of them refuse the signal). A process that gives
 * back much memory needs seconds to die. */
#define SETTLE_MS 5000
/* So many children are reaped before it is looked what else is due; and so long the leader's end waits for the others
 * that have ended as well, since if all have, nothing is left to be done. */
#define MOST_REAPED 256
#define BACKLOG_US 100000
/* So many members are named in the report of one ladder. */
#define MOST_DESCRIBED 32
/* While only strangers are left in the leaf, its state is read again so often, should no news of it come. */
#define LEAF_LOOK_US 1000000
/* So long the keeper of an empty tree waits for the owner to close the socket. */
#define LAST_WAIT_NS 100000000
/* Without SIGKILL (grace -1): what is alive this long after the kill signal is reported as not forced. */
#define NOT_FORCED_MS 2000

enum phase { RUNNING, ASKING, FORCING };

static struct {
  struct corral_start start;
  enum phase phase;
  int32_t pid;
  int signal_fd;
  int terminal_fd; /* the leader's terminal, to see it hang up; -1 = it has none, or none any more */
  uint32_t flags;  /* enum corral_end */
  int64_t timeout_at;

  int32_t leader;
  int leader_pidfd;
  bool leader_ended, leader_reaped;
  int64_t leader_ended_at;
  bool leader_ended_first; /* before the ladder began, so it is not among what the ladder ended */
  /* How it ended, until that is sent. */
  struct corral_exited exited;
  bool exited_waits;
  /* Its group can be signalled through the pidfd, even after it was reaped. Otherwise the leader stays a zombie to the
   * end, so that the number of the group can not be given to another one. */
  bool group_by_pidfd;

  /* The leaf and its cgroup.events; 0 = none. */
  int leaf, leaf_events;
  bool awaits_leaf; /* nobody is left to be reaped, but somebody is in the leaf */

  /* The ladder. */
  int64_t ladder_at, force_at, report_at;
  int ask_signal;
  int64_t look_at, latest_look_at;
  uint32_t looks;
  int64_t round_at, pause_us;
  uint32_t rounds, rounds_with_new, children_at_round, denied_at_round, reaped_since_round, found, described;
  bool has_progress, is_quiet, reported;
} keeper;

/* ---- Signals to the leader's group ---- */

static long signal_group_by_pidfd(int signal) {
  return raw_syscall(SYS_pidfd_send_signal, keeper.leader_pidfd, signal, NULL, SIGNAL_PROCESS_GROUP);
}

static void signal_group(int signal) {
  if (!CORRAL_CHECKS_IDENTITY) {
    (void)raw_syscall(SYS_kill, -keeper.leader, signal);
  } else if (keeper.group_by_pidfd) {
    (void)signal_group_by_pidfd(signal);
  } else if (!keeper.leader_reaped) {
    (void)raw_syscall(SYS_kill, -keeper.leader, signal);
  }
}

/* ---- The leaf ---- */

/* Takes the directory that came with START. */
static int open_leaf(int leaf) {
  if (keeper.start.leaf[0] == '\0' || leaf == 0) return keeper.start.leaf[0] == '\0' ? 0 : -EBADF;
  keeper.leaf = leaf;
  const long events = raw_syscall(SYS_openat, leaf, "cgroup.events", O_RDONLY | O_CLOEXEC, 0);
  if (events < 0) return (int)events;
  keeper.leaf_events = (int)events;
  members_use_leaf(leaf, keeper.start.leaf);
  return 0;
}

/* Removes it if nobody is in it, and does without it from here on. False: there was none, or somebody is in it. */
static bool drop_leaf(void) {
  if (keeper.leaf == 0) return false;
  const long error = leaf_remove(keeper.leaf, keeper.start.leaf);
  (void)raw_syscall(SYS_close, keeper.leaf);
  if (keeper.leaf_events != 0) (void)raw_syscall(SYS_close, keeper.leaf_events);
  keeper.leaf = keeper.leaf_events = 0;
  members_use_leaf(-1, NULL);
  return error == 0 || error == -ENOENT;
}

/* ENODEV: it has been removed, which takes an empty one. Any other error says nothing. */
static bool is_leaf_empty(void) {
  if (keeper.leaf == 0) return true;
  const long populated = leaf_is_populated(keeper.leaf_events);
  return populated == 0 || populated == -ENODEV;
}

static uint32_t describe_leaf(bool is_cloned) {
  if (keeper.leaf == 0) return 0;
  uint32_t flags = CORRAL_LEAF_ENTERED | (is_cloned ? CORRAL_LEAF_CLONED : 0);
  if (raw_syscall(SYS_faccessat, keeper.leaf, "cgroup.kill", 2 /* W_OK */) == 0) flags |= CORRAL_LEAF_KILL;
  if (raw_syscall(SYS_faccessat, keeper.leaf, "cgroup.freeze", 2) == 0) flags |= CORRAL_LEAF_FREEZE;
  return flags;
}

/* ---- Reaping ---- */

static int wait_status(const siginfo_t *info) {
  switch (info->si_code) {
  case CLD_EXITED:
    return (info->si_status & 0xff) << 8;
  case CLD_DUMPED:
    return info->si_status | 0x80;
  default:
    return info->si_status;
  }
}

static uint64_t microseconds(const struct timeval *time) {
  return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

static void leader_has_ended(const siginfo_t *info, const struct rusage *usage) {
  if (keeper.leader_ended) return;
  keeper.leader_ended = true;
  keeper.leader_ended_at = monotonic_us();
  keeper.exited_waits = true;
  keeper.exited = (struct corral_exited){
      .wait_status = wait_status(info),
      .flags = keeper.flags,
      .user_us = microseconds(&usage->ru_utime),
      .system_us = microseconds(&usage->ru_stime),
      .max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024,
  };
}

/* In a ladder mostly the others end with the leader: then one wake-up of the owner tells it all, and does not compete
 * with the dying for a processor. */
static void send_exited(void) {
  if (!keeper.exited_waits) return;
  keeper.exited_waits = false;
  packets_send(CORRAL_EXITED, &keeper.exited, sizeof keeper.exited, -1);
}

/* Looks for a child that has ended: 1 found, 0 none has, -ECHILD there is none at all. With WNOWAIT it stays a zombie,
 * which can still be described and whose number is its own. */
static long find_ended(int kind, int32_t pid, int flags, siginfo_t *ret_info, struct rusage *ret_usage) {
  ret_info->si_pid = 0;
  const long error = raw_syscall(SYS_waitid, kind, pid, ret_info, WEXITED | WNOHANG | __WALL | flags, ret_usage);
  return error < 0 ? error : ret_info->si_pid != 0;
}

/* For the report. Reading /proc/PID/stat costs nearly half as much as the death itself, so of a large tree only the
 * first are named, unless a walk has seen them before; but always the leader, however many end before it. */
static void describe(const siginfo_t *info) {
  if (info->si_pid == keeper.leader && keeper.leader_ended_first) return;
  struct process_stat stat;
  struct corral_member report = {.pid = info->si_pid, .detail = info->si_code == CLD_EXITED ? 0 : info->si_status};
  const struct member *member = member_find(info->si_pid);
  if (member != NULL && member->is_child && member->start_ticks != 0) {
    report.start_ticks = member->start_ticks;
    memcpy(report.name, member->name, sizeof report.name);
  } else if ((keeper.described < MOST_DESCRIBED || info->si_pid == keeper.leader) && stat_read(info->si_pid, &stat)) {
    keeper.described++;
    report.start_ticks = stat.start_ticks;
    memcpy(report.name, stat.name, sizeof report.name);
  }
  packets_add_member(CORRAL_TERMINATED, &report);
}

/* Books a child that has ended, and reaps it unless that was done on finding it. */
static void reap(const siginfo_t *info, bool is_reaped) {
  if (keeper.phase != RUNNING) describe(info);
  if (!is_reaped) (void)raw_syscall(SYS_waitid, P_PID, info->si_pid, NULL, WEXITED | WNOHANG | __WALL, NULL);
  if (info->si_pid == keeper.leader) keeper.leader_reaped = true;
  member_gone(info->si_pid);
  keeper.reaped_since_round++;
  keeper.has_progress = true;
}

static void take_packets(void);

/* Before a death is booked: an owner that wants the tree dead says so, and then kills the group without waiting for us
 * to begin. It is the ladder that ended them. */
static void take_orders(void) {
  if (keeper.phase == RUNNING) take_packets();
}

static void reap_unless_leader(int32_t pid) {
  siginfo_t info;
  struct rusage usage;
  if (pid == keeper.leader) return;
  keeper.found++;
  if (find_ended(P_PID, pid, WNOWAIT, &info, &usage) <= 0) return;
  take_orders();
  reap(&info, false);
}

enum reaped { REAPED_ALL_THERE_IS, MORE_TO_REAP, NO_CHILD_LEFT };

/* Reaps the children that have ended, though not for ever: in a storm of forks others die as quickly. */
static enum reaped reap_ended(void) {
  siginfo_t info;
  struct rusage usage;
  for (int count = 0;; count++) {
    if (count == MOST_REAPED) return MORE_TO_REAP;
    const bool is_pinned = !keeper.group_by_pidfd && !keeper.leader_reaped;
    /* At once only who will surely not be described. */
    const bool at_once = keeper.phase != RUNNING && keeper.leader_ended && keeper.described >= MOST_DESCRIBED;
    const int flags = is_pinned || !at_once ? WNOWAIT : 0;
    const long found = find_ended(P_ALL, 0, flags, &info, &usage);
    if (found == -ECHILD) return NO_CHILD_LEFT;
    if (found <= 0) return REAPED_ALL_THERE_IS;
    take_orders();
    if (info.si_pid == keeper.leader && !keeper.leader_reaped) {
      leader_has_ended(&info, &usage);
      if (is_pinned) break;
    }
    reap(&info, flags == 0);
  }
  /* The leader has to stay, and any-child would show it for ever: ask for the others by number. */
  const uint32_t reaped = keeper.reaped_since_round;
  keeper.found = 0;
  each_own_child(reap_unless_leader);
  /* The list may have missed some while it grew shorter: again, until nobody on it has ended. */
  if (keeper.reaped_since_round != reaped) return MORE_TO_REAP;
  if (keeper.found > 0) return REAPED_ALL_THERE_IS;
  reap(&info, false);
  return reap_ended(); /* waitid on any child has the last word */
}

/* ---- The ladder ---- */

static void report_left(const struct member *member) {
  if ((member->flags & (MEMBER_ASKED | MEMBER_KILLED)) == 0) return;
  struct corral_member report = {.pid = member->pid, .detail = -1, .start_ticks = member->start_ticks};
  memcpy(report.name, member->name, sizeof report.name);
  packets_add_member(CORRAL_TERMINATED, &report);
}

/* Says the last word and waits until it has been taken (or nobody is there to take it). To exit takes a processor as
 * long as to tell the owner's program, which should not have to wait for that. */
__attribute__((noreturn)) static void finish(uint32_t flags) {
  send_exited();
  /* Members whose own parent reaped them: signalled, never seen to end. */
  if ((flags & CORRAL_END_LEFT) == 0) members_each_left(report_left);
  packets_flush_members();
  /* That it could be removed is the proof. */
  if ((flags & CORRAL_END_LEFT) == 0 && drop_leaf()) flags |= CORRAL_END_CGROUP;
  struct corral_empty empty = {.flags = keeper.flags | flags};
  if (keeper.phase != RUNNING) empty.duration_us = (uint64_t)(monotonic_us() - keeper.ladder_at);
  packets_send(CORRAL_EMPTY, &empty, sizeof empty, -1);
  if (keeper.leader_ended && !keeper.leader_reaped)
    (void)raw_syscall(SYS_waitid, P_PID, keeper.leader, NULL, WEXITED | WNOHANG | __WALL, NULL);
  while (packets_waiting()) {
    struct pollfd entry = {packets_fd(), POLLOUT, 0};
    (void)raw_syscall(SYS_ppoll, &entry, 1, NULL, NULL, 0);
    if (entry.revents & (POLLHUP | POLLERR)) packets_close();
    packets_continue();
  }
  if (packets_fd() >= 0) {
    const struct timespec longest = {0, LAST_WAIT_NS};
    struct pollfd entry = {packets_fd(), 0, 0};
    (void)raw_syscall(SYS_ppoll, &entry, 1, &longest, NULL, 0);
  }
  for (;;) (void)raw_syscall(SYS_exit_group, 0);
}

static void begin_force(int64_t now);

static void begin_ladder(int signal, int64_t grace_ms) {
  const int64_t now = monotonic_us();
  keeper.ladder_at = now;
  keeper.leader_ended_first = keeper.leader_ended;
  if (signal == SIGKILL) {
    begin_force(now);
    return;
  }
  keeper.phase = ASKING;
  keeper.has_progress = false;
  keeper.ask_signal = signal;
  keeper.force_at = grace_ms < 0 ? NEVER_US : after_ms(now, grace_ms);
  keeper.look_at = now + QUIET_US;
  keeper.latest_look_at = now + LATEST_LOOK_US;
  keeper.reported = false;
  keeper.report_at = after_ms(now, NOT_FORCED_MS);
  signal_group(signal);
  signal_group(SIGCONT);                                   /* a stopped process does not act on any other signal, */
  if (keeper.leaf != 0) (void)leaf_freeze(keeper.leaf, 0); /* and a frozen one only on those that end it */
}

/* The kill signal to those the group signal did not reach: job control, setsid, daemons. When there was somebody new it
 * looks again, once the dead have been reaped. */
static void ask_outsiders(int64_t now) {
  keeper.look_at = NEVER_US;
  for (struct member *member = members_walk(); member != NULL; member = member->next) {
    if ((member->flags & MEMBER_ASKED) != 0) continue;
    member->flags |= MEMBER_ASKED;
    if ((member->pgid == keeper.leader && !member->is_guest) || member->state == 'Z') continue;
    if (keeper.looks < MOST_LOOKS) keeper.look_at = now;
    if (member_signal(member, keeper.ask_signal) == -EPERM) member->flags |= MEMBER_DENIED;
    (void)member_signal(member, SIGCONT);
  }
  keeper.looks++;
}

/* Remembers who was sent SIGKILL, so that everyone gets it once; who refused it is asked again when it is quiet, for
 * ids can change. */
static bool must_kill(struct member *member) {
  const uint16_t flags = member->flags;
  if ((flags & MEMBER_KILLED) != 0 && !(keeper.is_quiet && (flags & MEMBER_DENIED) != 0)) return false;
  if ((flags & MEMBER_KILLED) == 0) keeper.found++;
  member->flags = (uint16_t)((flags | MEMBER_KILLED) & ~MEMBER_DENIED);
  return true;
}

static void book_kill(struct member *member, long error) {
  if (error == -EPERM) member->flags |= MEMBER_DENIED;
}

static void kill_child(int32_t pid) {
  if (keeper.rounds == 0 && raw_syscall(SYS_getpgid, pid) == keeper.leader) { /* the group has just been killed */
    keeper.children_at_round++;
    return;
  }
  struct member *member = member_of(pid);
  /* Ours and not reaped, so the number is certainly this child's. */
  if (must_kill(member)) book_kill(member, raw_syscall(SYS_kill, pid, SIGKILL));
  keeper.children_at_round++;
  if ((member->flags & MEMBER_DENIED) != 0) keeper.denied_at_round++;
}

/* SIGKILL to everyone a walk finds: those too whose parent would not die, and who so did not become our children. */
static void kill_walk(void) {
  for (struct member *member = members_walk(); member != NULL; member = member->next) {
    if (member->state == 'Z') continue;
    if (must_kill(member)) book_kill(member, member_signal(member, SIGKILL));
    if (!member->is_guest) continue;
    keeper.children_at_round++; /* of the children it is each_living_child that counts them */
    if ((member->flags & MEMBER_DENIED) != 0) keeper.denied_at_round++;
  }
}

static void expect_death(int32_t pid) {
  member_of(pid)->flags |= MEMBER_ASKED;
}

/* Everyone in the leaf at once, those too whom no signal of ours may reach. Where the kernel has no cgroup.kill: what
 * is frozen does not fork, so freeze, and kill until a look finds nobody new. */
static void kill_leaf(void) {
  if (keeper.leaf == 0) return;
  leaf_each_process(keeper.leaf, expect_death);
  if (leaf_kill(keeper.leaf) == 0 || leaf_freeze(keeper.leaf, 1) != 0) return;
  uint32_t found = 0;
  for (int look = 0; look < MOST_STOP_LOOKS; look++) {
    keeper.found = 0;
    kill_walk();
    if (keeper.found == 0) break;
    found += keeper.found;
  }
  keeper.found = found;
  (void)leaf_freeze(keeper.leaf, 0);
}

static void begin_force(int64_t now) {
  signal_group(SIGKILL);
  kill_leaf();
  keeper.phase = FORCING;
  keeper.flags |= CORRAL_END_FORCED;
  keeper.has_progress = false;
  /* Mostly the group was all there is: nobody is looked for while it dies. */
  keeper.round_at = keeper.leader_ended ? now : now + FIRST_PAUSE_US;
  keeper.rounds = keeper.children_at_round = keeper.reaped_since_round = 0;
  keeper.pause_us = FIRST_PAUSE_US;
  keeper.reported = false;
  keeper.report_at = after_ms(now, SETTLE_MS);
}

static void stop_child(int32_t pid) {
  struct member *member = member_of(pid);
  if ((member->flags & MEMBER_STOPPED) != 0) return;
  member->flags |= MEMBER_STOPPED;
  keeper.found++;
  (void)raw_syscall(SYS_kill, pid, SIGSTOP);
}

/* For a tree that forks faster than it is killed: a stopped process forks no more, so stop until nobody new appears,
 * then kill those that stand still. */
static void stop_then_kill(void) {
  for (int look = 0; look < MOST_STOP_LOOKS && reap_ended() != NO_CHILD_LEFT; look++) {
    keeper.found = 0;
    signal_group(SIGSTOP);
    each_living_child(stop_child);
    for (struct member *member = members_walk(); member != NULL; member = member->next) {
      if ((member->flags & MEMBER_STOPPED) != 0 || member->state == 'Z') continue;
      member->flags |= MEMBER_STOPPED;
      keeper.found++;
      (void)member_signal(member, SIGSTOP);
    }
    if (keeper.found == 0) break;
  }
  signal_group(SIGKILL);
  kill_walk();
}

/* One round: our own children first, since that is safe, quick, and hands us the next ones. When it is quiet and nobody
 * new has come, those who are held by a parent that does not die. */
static void force_round(int64_t now) {
  keeper.found = 0;
  keeper.children_at_round = keeper.denied_at_round = 0;
  each_living_child(kill_child);
  if (keeper.found == 0 && keeper.is_quiet) {
    signal_group(SIGKILL);
    kill_leaf();
    kill_walk();
  }
  if (keeper.found > 0) {
    keeper.pause_us = FIRST_PAUSE_US;
    if (++keeper.rounds_with_new > MOST_ROUNDS) {
      keeper.rounds_with_new = 0;
      stop_then_kill();
    }
  } else if (keeper.is_quiet) {
    keeper.rounds_with_new = 0;
    keeper.pause_us *= 2;
    const int64_t longest = keeper.reported ? SURVIVOR_PAUSE_US : LONGEST_PAUSE_US;
    if (keeper.pause_us > longest) {
      keeper.pause_us = longest;
      /* There is nobody left whose death would be worth waiting for. */
      if (keeper.denied_at_round == keeper.children_at_round) keeper.report_at = now;
    }
  }
  keeper.round_at = now + keeper.pause_us;
  keeper.reaped_since_round = 0;
  keeper.rounds++;
}

/* Lists who is alive. Nobody: they are dead but not reaped yet, and there is nothing to report. */
static void report_survivors(int64_t now) {
  uint32_t count = 0;
  packets_flush_members();
  for (const struct member *member = members_walk(); member != NULL; member = member->next) {
    if (member->state == 'Z' || member->state == 'X') continue;
    struct corral_member survivor = {.pid = member->pid, .start_ticks = member->start_ticks};
    memcpy(survivor.name, member->name, sizeof survivor.name);
    if (keeper.phase == ASKING) {
      survivor.detail = CORRAL_SURVIVOR_NOT_FORCED;
    } else if ((member->flags & MEMBER_DENIED) != 0) {
      survivor.detail = CORRAL_SURVIVOR_EPERM;
    } else if (member->state == 'D') {
      survivor.detail = CORRAL_SURVIVOR_UNINTERRUPTIBLE;
    }
    packets_add_member(CORRAL_SURVIVORS, &survivor);
    count++;
  }
  if (count == 0) {
    keeper.report_at = now + LONGEST_PAUSE_US;
    return;
  }
  packets_flush_members();
  struct corral_members end = {.count = 0};
  packets_send(CORRAL_SURVIVORS, &end, offsetof(struct corral_members, members), -1);
  keeper.reported = true;
}

/* ---- A leader on a terminal ---- */

static bool is_on_terminal(void) {
  return (keeper.start.settings.flags & CORRAL_SET_GROUP) != 0;
}

/* A stop is a message to whoever shares the terminal, and that is the owner: only our parent can be the shell's job.
 * From SIGKILL on nobody has to know. */
static void report_stop(void) {
  siginfo_t info = {.si_pid = 0};
  if (!is_on_terminal() || keeper.leader_ended) return;
  if (raw_syscall(SYS_waitid, P_PID, keeper.leader, &info, WSTOPPED | WNOHANG | __WALL, NULL) < 0) return;
  if (info.si_pid == 0 || info.si_code != CLD_STOPPED || keeper.phase == FORCING) return;
  struct corral_stopped stopped = {.signal = info.si_status};
  packets_send(CORRAL_STOPPED, &stopped, sizeof stopped, -1);
}

/* The kernel tells the session's leader and the foreground group, and the owner is neither. */
static void on_hang_up(void) {
  struct corral_header hung_up;
  (void)raw_syscall(SYS_close, keeper.terminal_fd);
  keeper.terminal_fd = -1;
  packets_send(CORRAL_HUNG_UP, &hung_up, sizeof hung_up, -1);
}

/* ---- What happens ---- */

static void on_leader_end(void) {
  switch (packets_fd() < 0 ? (uint32_t)CORRAL_POLICY_LEAVE : keeper.start.on_leader_exit) {
  case CORRAL_POLICY_STOP:
    begin_ladder(keeper.start.kill_signal, keeper.start.grace_ms);
    break;
  case CORRAL_POLICY_LEAVE:
    finish(CORRAL_END_LEFT);
  }
}

/* A ladder that has begun goes on to its end. A tree that may outlive its owner is let go, unless it has a timeout
 * that somebody must enforce; then it is let go when its leader ends. */
static void on_owner_end(void) {
  packets_close();
  if (keeper.phase != RUNNING) return;
  if (keeper.start.on_owner_exit == CORRAL_POLICY_STOP) {
    begin_ladder(keeper.start.kill_signal, keeper.start.grace_ms);
  } else if (keeper.timeout_at == NEVER_US || keeper.leader_ended) {
    finish(CORRAL_END_LEFT);
  }
}

static void on_packet(const union owner_packet *packet) {
  const int64_t now = monotonic_us();
  const bool is_kill = packet->header.type == CORRAL_KILL || packet->stop.signal == SIGKILL;
  if (keeper.phase == RUNNING) {
    begin_ladder(is_kill ? SIGKILL : packet->stop.signal, is_kill ? 0 : packet->stop.grace_ms);
    return;
  }
  /* Asking again never lengthens anything, but it deserves another answer. */
  if (keeper.phase == FORCING || !is_kill) {
    if (keeper.reported) keeper.report_at = after_ms(now, NOT_FORCED_MS);
    keeper.reported = false;
    keeper.round_at = now;
    keeper.pause_us = FIRST_PAUSE_US;
  }
  if (keeper.phase == ASKING && is_kill) {
    begin_force(now);
  } else if (keeper.phase == ASKING && packet->stop.grace_ms >= 0) {
    const int64_t force_at = after_ms(now, packet->stop.grace_ms);
    if (force_at < keeper.force_at) keeper.force_at = force_at;
  }
}

static void take_packets(void) {
  union owner_packet packet;
  while (packets_receive(&packet)) on_packet(&packet);
}

/* On its way to the end, or in its handler: until it has ended its children are not ours. */
static bool is_leader_running(void) {
  struct process_stat stat;
  return !keeper.leader_ended && stat_read(keeper.leader, &stat) && stat.state == 'R';
}

/* Does what is due and returns when the next thing will be. */
static int64_t advance(int64_t now) {
  if (keeper.phase == RUNNING && now >= keeper.timeout_at) {
    keeper.flags |= CORRAL_END_TIMED_OUT;
    begin_ladder(keeper.start.kill_signal, keeper.start.grace_ms);
  }
  if (keeper.phase == ASKING && now >= keeper.force_at) begin_force(now);
  switch (keeper.phase) {
  case RUNNING:
    return keeper.timeout_at;
  case ASKING: {
    if (keeper.looks == 0 && (keeper.has_progress || (now >= keeper.look_at && is_leader_running()))) {
      keeper.has_progress = false;
      keeper.look_at = now + QUIET_US < keeper.latest_look_at ? now + QUIET_US : keeper.latest_look_at;
    }
    if (now >= keeper.look_at) ask_outsiders(now);
    const bool is_reporting = keeper.force_at == NEVER_US && !keeper.reported;
    if (is_reporting && now >= keeper.report_at) report_survivors(now);
    int64_t next = keeper.look_at < keeper.force_at ? keeper.look_at : keeper.force_at;
    if (keeper.force_at == NEVER_US && !keeper.reported && keeper.report_at < next) next = keeper.report_at;
    return next;
  }
  case FORCING:
    if (keeper.has_progress) {
      keeper.has_progress = false;
      keeper.pause_us = FIRST_PAUSE_US;
      keeper.round_at = now + keeper.pause_us;
    }
    /* A list of children costs as much as it is long: while they die, read it again when half of them have. */
    keeper.is_quiet = now >= keeper.round_at;
    if (keeper.is_quiet || keeper.reaped_since_round * 2 > keeper.children_at_round) force_round(now);
    if (!keeper.reported && now >= keeper.report_at) report_survivors(now);
    return keeper.reported || keeper.round_at < keeper.report_at ? keeper.round_at : keeper.report_at;
  }
  return NEVER_US;
}

static void wait_until(int64_t deadline) {
  if (keeper.exited_waits) {
    const int64_t send_at = keeper.phase == RUNNING ? 0 : keeper.leader_ended_at + QUIET_US;
    if (monotonic_us() >= send_at)
      send_exited();
    else if (send_at < deadline)
      deadline = send_at;
  }
  struct timespec span = {0, 0};
  if (deadline != NEVER_US) {
    const int64_t left = deadline - monotonic_us();
    if (left > 0) span = (struct timespec){left / 1000000, left % 1000000 * 1000};
  }
  /* A negative descriptor is skipped by poll. */
  struct pollfd entries[4] = {
      {keeper.signal_fd, POLLIN, 0},
      {packets_fd(), (short)(POLLIN | POLLRDHUP | (packets_waiting() ? POLLOUT : 0)), 0},
      /* Only when the file has just been read: a change before that would be reported until it is. */
      {keeper.awaits_leaf ? keeper.leaf_events : -1, POLLPRI, 0},
      {keeper.terminal_fd, 0, 0},
  };
  if (raw_syscall(SYS_ppoll, entries, 4, deadline == NEVER_US ? NULL : &span, NULL, 0) <= 0) return;
  if (entries[0].revents != 0) {
    /* Emptied before the children are looked at, so that none that ends from here on goes unnoticed. */
    char ignored[256];
    (void)raw_syscall(SYS_read, keeper.signal_fd, ignored, sizeof ignored);
  }
  if (entries[1].revents & POLLOUT) packets_continue();
  if (entries[1].revents & POLLIN) take_packets();
  if (entries[1].revents & (POLLHUP | POLLRDHUP | POLLERR)) on_owner_end();
  if (entries[3].revents & (POLLHUP | POLLERR | POLLNVAL)) on_hang_up();
}

__attribute__((noreturn)) static void keep(void) {
  for (;;) {
    const enum reaped reaped = reap_ended();
    if (reaped == NO_CHILD_LEFT && is_leaf_empty()) finish(0);
    keeper.awaits_leaf = reaped == NO_CHILD_LEFT;
    report_stop();
    const int64_t now = monotonic_us();
    if (keeper.phase == RUNNING && keeper.leader_ended &&
        (reaped != MORE_TO_REAP || now - keeper.leader_ended_at > BACKLOG_US))
      on_leader_end();
    int64_t next = advance(now);
    if (keeper.awaits_leaf && next > now + LEAF_LOOK_US) next = now + LEAF_LOOK_US;
    wait_until(reaped == MORE_TO_REAP ? 0 : next);
  }
}

/* ---- Start ---- */

static void fail(int stage, int error) {
  struct corral_failed failed = {.stage = stage, .error = error};
  packets_send(CORRAL_FAILED, &failed, sizeof failed, -1);
}

/* The NUL that ends the last string of arguments and environment; the kernel puts them one behind the other. To be
 * asked before the start, which may change elements of argv (child_setup.h). */
static char *end_of_strings(char **argv, char **envp) {
  char *last = argv[0];
  for (char **text = argv; *text != NULL; text++) last = *text;
  for (char **text = envp; *text != NULL; text++) last = *text;
  while (*last != '\0') last++;
  return last;
}

/* The arguments and the environment were the leader's and may hold secrets; it has its own copy now. What ps(1) shows
 * instead names the tree, so that a keeper can be recognised. A title that runs beyond the arguments is shown as long
 * as their last byte is not NUL (proc(5)). */
static void hide_arguments(char *first, char *last, char **envp, int32_t leader) {
  char title[160];
  const char *end = title + sizeof title;
  char *at = append(title, end, KEEPER_NAME);
  const char *tree = environment_value(envp, "CORRAL_TREE");
  if (tree != NULL) at = append(append(at, end, " --tree "), end, tree);
  (void)append_number(append(at, end, " --leader "), end, (uint64_t)leader);

  memset(first, 0, (size_t)(last - first));
  (void)append(first, last + 1, title);

  const uintptr_t page = 4096, from = ((uintptr_t)first + sizeof title + page) & ~(page - 1),
                  to = (uintptr_t)last & ~(page - 1);
  if (from < to) (void)raw_syscall(SYS_madvise, from, to - from, MADV_DONTNEED);
}

static void lower_oom_score(void) {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return;
  (void)raw_syscall(SYS_write, fd, "-1000", 5);
  (void)raw_syscall(SYS_close, fd);
}

/* Starts the leader, in the leaf if that is possible; false when it failed, and then nothing is left of it. */
static bool start_leader(char **argv, char **envp, int leaf_error) {
  static char stack[CORRAL_CHILD_STACK] __attribute__((aligned(16)));
  struct corral_settings *settings = &keeper.start.settings;
  /* A group of its own at least: signals go to it, and must never come back to us. */
  if (!is_on_terminal()) settings->flags |= CORRAL_SET_SESSION;
  if (keeper.start.on_owner_exit != CORRAL_POLICY_LEAVE) {
    /* Nobody else would end the leader if the keeper was killed. */
    settings->flags |= CORRAL_SET_DEATHSIG;
    settings->death_signal = SIGKILL;
  }
  struct corral_child_plan plan = {
      .file = argv[1],
      .exec_fd = -1,
      .argv = argv + 3,
      .envp = envp,
      .cwd = argv[2],
      .stdio = {0, 1, 2},
      .control_fd = -1,
      .parent_pid = keeper.pid,
      .cgroup_fd = leaf_error == 0 ? keeper.leaf : 0,
      .settings = settings,
  };
  const long pid = corral_start_child(&plan, stack, sizeof stack, &keeper.leader_pidfd);
  if (pid < 0) {
    (void)drop_leaf();
    fail(CORRAL_STAGE_CLONE, (int)-pid);
    return false;
  }
  if (plan.failed_stage != CORRAL_STAGE_NONE) {
    (void)raw_syscall(SYS_waitid, P_PID, pid, NULL, WEXITED | __WALL, NULL);
    (void)drop_leaf();
    fail(plan.failed_stage, plan.failed_errno);
    return false;
  }
  keeper.leader = (int32_t)pid;
  if (leaf_error == 0) leaf_error = -plan.cgroup_error;
  if (leaf_error != 0) (void)drop_leaf();

  struct process_stat stat;
  struct corral_started started = {.pid = keeper.leader,
                                   .leaf_error = -leaf_error,
                                   .start_ticks = stat_read(keeper.leader, &stat) ? stat.start_ticks : 0,
                                   .leaf = describe_leaf(plan.cgroup_cloned)};
  packets_send(CORRAL_STARTED, &started, sizeof started, keeper.leader_pidfd);

  (void)raw_syscall(SYS_madvise, stack, sizeof stack, MADV_DONTNEED);
  return true;
}

int keeper_main(int argc, char **argv, char **envp) {
  const uint64_t all = ~0ull, child = 1ull << (SIGCHLD - 1);
  (void)raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
  (void)raw_syscall(SYS_prctl, PR_SET_NAME, KEEPER_NAME, 0, 0, 0);
  (void)raw_syscall(SYS_fcntl, CORRAL_CONTROL_FD, F_SETFD, FD_CLOEXEC);

  int leaf = 0;
  long error = packets_receive_start(&keeper.start, &leaf);
  if (error == 0 && argc < 4) error = -EPROTO;
  if (error == 0) error = raw_syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (error == 0) error = raw_syscall(SYS_signalfd4, -1, &child, sizeof child, O_CLOEXEC | O_NONBLOCK);
  if (error < 0) {
    fail(CORRAL_STAGE_KEEPER, (int)-error);
    return 1;
  }
  keeper.signal_fd = (int)error;
  keeper.pid = (int32_t)raw_syscall(SYS_getpid);
  members_init(keeper.pid);
  char *const first = argv[0], *const last = end_of_strings(argv, envp);
  if (!start_leader(argv, envp, open_leaf(leaf))) return 1;

  /* From here on the keeper holds nothing of the leader's: no end of a pipe whose closing somebody waits for (a
   * terminal is none), no directory that could be unmounted, no secret. */
  keeper.terminal_fd = is_on_terminal() ? 0 : -1;
  if (!is_on_terminal()) (void)raw_syscall(SYS_close, 0);
  (void)raw_syscall(SYS_close, 1);
  (void)raw_syscall(SYS_close, 2);
  (void)raw_syscall(SYS_chdir, "/");
  hide_arguments(first, last, envp, keeper.leader);
  lower_oom_score();
  keeper.group_by_pidfd = keeper.leader_pidfd >= 0 && signal_group_by_pidfd(0) == 0;
  keeper.timeout_at = keeper.start.timeout_ms == 0 ? NEVER_US : after_ms(monotonic_us(), keeper.start.timeout_ms);
  keep();
}
