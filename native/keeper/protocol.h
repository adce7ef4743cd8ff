/* What the owner (the watch thread) and the keeper of one process tree say to each other.
 *
 * One SOCK_SEQPACKET socket pair per tree; the keeper's end is its descriptor 3. Every packet starts with
 * the header below; a packet of an unknown version or type, or of a wrong size, is rejected: the keeper
 * answers CORRAL_FAILED with EPROTO before the start and ignores it afterwards, the owner treats the
 * keeper as lost. Native byte order, no pointers.
 *
 * The keeper is exec'ed with argv = { "corral-keeper", file, cwd, leader argv... } and the leader's
 * environment and stdio, and waits for one START packet: the owner sends it once it watches the keeper.
 * With containment `cgroup` the directory of the leaf goes along with START as SCM_RIGHTS, locked (flock(2)): the
 * keeper holds the lock for as long as it lives, and nobody removes a leaf that somebody holds. End of file on the
 * socket means that the owner died.
 */
#ifndef CORRAL_PROTOCOL_H
#define CORRAL_PROTOCOL_H

#include <stdint.h>

#include "../sys/child_setup.h"

#define CORRAL_PROTOCOL_VERSION 2
#define CORRAL_CONTROL_FD 3

enum corral_packet {
  /* owner -> keeper */
  CORRAL_START = 1, /* struct corral_start */
  CORRAL_STOP = 2,  /* struct corral_stop: begin the ladder, or shorten the grace period of a running one */
  CORRAL_KILL = 3,  /* header only: SIGKILL to all, now */
  /* keeper -> owner */
  CORRAL_STARTED = 65,    /* struct corral_started, with the leader's pidfd as SCM_RIGHTS if there is one */
  CORRAL_FAILED = 66,     /* struct corral_failed; the keeper exits */
  CORRAL_EXITED = 67,     /* struct corral_exited: the leader's end */
  CORRAL_TERMINATED = 68, /* struct corral_members: what ended since the ladder began, in batches */
  CORRAL_SURVIVORS =
      69,            /* struct corral_members: what is left after SIGKILL (5 s, or 0.2 s when all refuse it; with grace
                        -1 2 s after the kill signal); count 0 ends the list; sent again after another STOP or KILL */
  CORRAL_EMPTY = 70, /* struct corral_empty: waitid said ECHILD, and there is nobody in the leaf (or policy `leave`);
                        the keeper exits when the owner has closed the socket, or 100 ms later */
  /* Only of a leader on the owner's terminal (CORRAL_SET_GROUP): */
  CORRAL_STOPPED = 71, /* struct corral_stopped: the leader was stopped, by Ctrl-Z or for touching the terminal */
  CORRAL_HUNG_UP = 72, /* header only: the terminal is gone */
};

#define CORRAL_LEAF_NAME 64

enum corral_policy { CORRAL_POLICY_STOP = 0, CORRAL_POLICY_WAIT = 1, CORRAL_POLICY_LEAVE = 2 };

struct corral_header {
  uint8_t version, type;
  uint16_t reserved;
  uint32_t size; /* of the whole packet, bytes */
};

struct corral_start {
  struct corral_header header;
  int32_t kill_signal;
  uint32_t on_leader_exit; /* enum corral_policy */
  uint32_t on_owner_exit;  /* STOP or LEAVE */
  uint32_t reserved;
  int64_t grace_ms;   /* between kill_signal and SIGKILL; -1 = never SIGKILL */
  int64_t timeout_ms; /* whole run; 0 = none */
  struct corral_settings settings;
  char leaf[CORRAL_LEAF_NAME]; /* name of the leaf in the directory above it, NUL-terminated; "" = none */
};

struct corral_stop {
  struct corral_header header;
  int32_t signal;
  int32_t reserved;
  int64_t grace_ms; /* -1 = never SIGKILL */
};

enum corral_leaf {
  CORRAL_LEAF_ENTERED = 1, /* the leader is in the leaf */
  CORRAL_LEAF_CLONED = 2,  /* from its birth on (CLONE_INTO_CGROUP); otherwise it moved before it was exec'ed */
  CORRAL_LEAF_KILL = 4,    /* the leaf has cgroup.kill */
  CORRAL_LEAF_FREEZE = 8,  /* and cgroup.freeze */
};

struct corral_started {
  struct corral_header header;
  int32_t pid;
  int32_t leaf_error; /* positive errno: there is a leaf, and the leader could not get in; it is removed, by the owner
                         if the keeper could not */
  uint64_t start_ticks;
  uint32_t leaf; /* enum corral_leaf; 0 = none */
  uint32_t reserved;
};

struct corral_failed {
  struct corral_header header;
  int32_t stage; /* enum corral_stage */
  int32_t error; /* positive errno */
};

enum corral_end {
  CORRAL_END_TIMED_OUT = 1, /* the run's timeout began the ladder */
  CORRAL_END_FORCED = 2,    /* SIGKILL was sent by the ladder */
  CORRAL_END_LEFT = 4,      /* members were left alone, by policy */
  CORRAL_END_ALONE = 8,     /* never in a packet: the leader of a `group` was the last of its group and session */
  CORRAL_END_CGROUP = 16,   /* EMPTY: cgroup.events said `populated 0` as well, and the leaf was removed */
};

struct corral_exited {
  struct corral_header header;
  int32_t wait_status; /* as wait(2) */
  uint32_t flags;      /* enum corral_end */
  uint64_t user_us, system_us;
  uint64_t max_rss_bytes;
};

enum corral_survivor_reason {
  CORRAL_SURVIVOR_UNKNOWN = 0,
  CORRAL_SURVIVOR_EPERM = 1,
  CORRAL_SURVIVOR_UNINTERRUPTIBLE = 2,
  CORRAL_SURVIVOR_NOT_FORCED = 3,
};

struct corral_member {
  int32_t pid;
  int32_t detail; /* TERMINATED: the signal that ended it, 0 = exited by itself, -1 = not seen; SURVIVORS: reason */
  /* Of TERMINATED only some 32 are looked up, the leader always; of the others both are 0. */
  uint64_t start_ticks;
  char name[16]; /* comm, NUL-terminated */
};

#define CORRAL_MEMBERS_PER_PACKET 120
struct corral_members {
  struct corral_header header;
  uint32_t count;
  uint32_t reserved;
  struct corral_member members[CORRAL_MEMBERS_PER_PACKET]; /* only `count` are sent */
};

struct corral_stopped {
  struct corral_header header;
  int32_t signal; /* SIGTSTP, SIGTTIN, SIGTTOU or SIGSTOP */
  int32_t reserved;
};

struct corral_empty {
  struct corral_header header;
  uint32_t flags; /* enum corral_end */
  uint32_t reserved;
  uint64_t duration_us; /* from the beginning of the ladder; 0 when there was none */
};

#endif
