/* Who is in the tree: the keeper's descendants, read from /proc, and whoever else is in the tree's cgroup, remembered
 * with what was sent to them.
 *
 * Assumptions the code rests on: the keeper has one thread and is the only one that reaps its children, so the number
 * of a child it has not reaped is certainly that child's. Every other descendant is held by (pid, start ticks) and
 * re-verified at each signal. "Can not tell" means: is not signalled.
 */
#ifndef CORRAL_MEMBERS_H
#define CORRAL_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What /proc/PID/stat says (proc(5)). */
struct process_stat {
  int32_t pid, ppid, pgid, threads;
  char state;
  uint64_t start_ticks;
  char name[16];
};

enum member_flag {
  MEMBER_ASKED = 1,   /* got the kill signal */
  MEMBER_STOPPED = 2, /* got SIGSTOP */
  MEMBER_KILLED = 4,  /* got SIGKILL, or would not take it: */
  MEMBER_DENIED = 8,  /* EPERM */
};

struct member {
  int32_t pid, pgid;
  uint64_t start_ticks;
  char name[16];
  char state;
  bool is_child; /* of the keeper itself */
  bool is_guest; /* no descendant of the keeper, but in the tree's cgroup */
  uint16_t flags;
  uint32_t walk;       /* the walk that saw it last */
  struct member *next; /* in the list of that walk; among the free ones */
};

/* Pure: reads a stat line, which is not to be trusted, since a process chooses its own name. A NUL must follow it.
 * False when it does not reach beyond the last field that is used; *ret_stat then holds anything. */
bool stat_parse(const char *text, size_t length, struct process_stat *ret_stat);
/* Pure: calls `visit` for each number in a piece of a list of children. A number may lie across two pieces: the result
 * is what the next call gets, and 0 begins. */
uint64_t children_parse(const char *text, size_t length, uint64_t number, void (*visit)(int32_t pid));

/* False: no such process, or it may not be read. */
bool stat_read(int32_t pid, struct process_stat *ret_stat);

/* Called once, before the others; `self` is the keeper's pid. The memory is taken by the first use. */
void members_init(int32_t self);

/* The tree has a cgroup of its own from here on: who is in there is a member. */
void members_use_leaf(int leaf, const char *name);

/* The record of a pid, or null. */
const struct member *member_find(int32_t pid);
/* The same, made when there is none. Never null: without memory it is one that forgets. */
struct member *member_of(int32_t pid);
/* The pid was reaped. */
void member_gone(int32_t pid);
/* Calls `visit` for every record that is left, then forgets them. */
void members_each_left(void (*visit)(const struct member *member));

/* Calls `visit` for the keeper's own children, all of them or those that have not ended. A list that changes while it
 * is read may miss some: the caller repeats it until waitid(2) says ECHILD. */
void each_own_child(void (*visit)(int32_t pid));
void each_living_child(void (*visit)(int32_t pid));

/* Lists every living member, parents before children; returns the first of the list. Nothing may be reaped while it
 * is in use, and in a storm of forks the dead pile up meanwhile: reap between two walks. */
struct member *members_walk(void);

/* Sends a signal to exactly this process of the last walk; 0, -ESRCH (gone, or not certainly the same), -EPERM. */
long member_signal(const struct member *member, int signal);

#endif
