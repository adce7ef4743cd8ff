// Starting a process from the watch thread: a leader directly (containment `group`), or the keeper that will start and
// hold it (containment `tree`). Both go through corral_start_child (child_setup.h), which never copies the page tables
// of the program we live in.
#pragma once

#include <cstdint>
#include <string>

#include "cgroup.h"
#include "child_setup.h"
#include "fd.h"

namespace corral::sys {

// kCgroup: kTree, and a leaf of its own if one can be made.
enum class Containment { kGroup = 0, kTree = 1, kCgroup = 2 };

// Whether the leader shares the caller's session and its controlling terminal, in a process group of its own, and
// whether that group is the terminal's foreground one from the start. Containment `tree` only; stdio[0] is the
// terminal.
enum class Terminal { kNone = 0, kBackground = 1, kForeground = 2 };

constexpr int kStdioPipe = -1;
constexpr int kStdioIgnore = -2;

struct SpawnRequest {
  Containment containment = Containment::kTree;
  Terminal terminal = Terminal::kNone;
  std::string file, cwd;
  std::string leaf;                                          // kCgroup: the name it gets
  std::string argv, env;                                     // each element ended by NUL
  int stdio[3] = {kStdioIgnore, kStdioIgnore, kStdioIgnore}; // or a descriptor number, then owned by lent[i] or 0..2
  Fd lent[3];
  int32_t kill_signal = 15;
  int64_t grace_ms = 5000, timeout_ms = 0;        // -1 = never; 0 = none
  uint32_t on_leader_exit = 0, on_owner_exit = 0; // enum corral_policy
  corral_settings settings{};
};

// What a started child leaves with us.
struct Started {
  int32_t pid = -1;
  Fd pidfd;
  Fd pipes[3]; // our ends, non-blocking; unset where no pipe was asked for
  Fd control;  // unless kGroup: our end of the keeper's socket
  // kCgroup: where the keeper gets its leaf; empty where that was not possible, with the reason.
  Leaf leaf;
  LeafFailure leaf_failure;
};

struct SpawnFailure {
  int stage = CORRAL_STAGE_NONE; // enum corral_stage
  int error = 0;                 // positive errno
};

// Blocks until exec has happened or failed. On failure nothing is left: the child was reaped, descriptors are closed.
// Must be called with all signals blocked, from a thread that lives as long as the process (parent-death signal).
// A keeper (containment `tree`) waits for its order: nothing of the caller's runs before order_start.
bool start(SpawnRequest &request, Started *ret_started, SpawnFailure *ret_failure);

// Sends START to a keeper, and its leaf; 0 or -errno.
int order_start(const SpawnRequest &request, Started *started);

// Ends and reaps what was started, as nobody could watch it: the keeper, or a leader and its group.
void abandon(Started *started);

} // namespace corral::sys
