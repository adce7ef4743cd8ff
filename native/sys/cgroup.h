// Where a leaf comes from: a directory of cgroup v2 for one tree, made below the cgroup this program is in (what was
// delegated to us, cgroups(7)). What is done with it afterwards is cgroup_leaf.h.
//
// Nothing that exists is ever used. A leaf is held by a lock on its directory (flock(2)), which the kernel releases
// with the last process that has it: so whoever finds a leaf can tell whether somebody still needs it, in whatever pid
// namespace that is. Only the watch thread makes leaves.
#pragma once

#include <string>
#include <string_view>

#include "fd.h"

namespace corral::sys {

// What stood in the way; names for people are in src/process/leaf.ts.
enum class LeafStage {
  kNone = 0,
  kHierarchy, // no cgroup v2 is mounted, or this kernel has none
  kOutside,   // it is, but the mount does not show the cgroup we are in (cgroup_namespaces(7))
  kMake,      // the directory could not be made
  kThreaded,  // what is made here can not hold processes: our cgroup is threaded or lets threads be distributed
  kEnter,     // the leader could not get in
};

struct LeafFailure {
  LeafStage stage = LeafStage::kNone;
  int error = 0;         // positive errno
  std::string directory; // where it was tried
};

struct Leaf {
  std::string directory, name; // name empty: there is none
  Fd fd;                       // the directory, locked
};

// The directory of our own cgroup. Pure: the texts are /proc/self/mountinfo (proc_pid_mountinfo(5)) and
// /proc/self/cgroup, whose v2 line begins with "0::". Both name paths relative to the root of our cgroup namespace, the
// first also which part of the hierarchy a mount shows; so this serves pure v2, the hybrid layout and containers. Among
// several mounts one that may be written is taken.
struct CgroupPlace {
  LeafStage failure = LeafStage::kNone;
  std::string directory;
  bool is_top = false; // it is the root of the mount: nothing is beside it
};
CgroupPlace find_own_cgroup(std::string_view mountinfo, std::string_view cgroup);

// True for the names leaves get: "corral-", the 32 hexadecimal digits of a tree id, ".", a number.
bool is_leaf_name(std::string_view name);

// Makes a leaf in our own cgroup, or beside that where ours can only have threaded ones below it. Now and then it
// removes what earlier owners left there. False, with the reason.
bool make_leaf(const std::string &name, Leaf *ret_leaf, LeafFailure *ret_failure);

// Removes the leaf if nobody is in it; what is gone is not an error.
void remove_leaf(const std::string &directory, const std::string &name);

// Removes the leaves in `directory` that nobody holds and nobody is in; returns how many.
int remove_stale_leaves(int directory);

} // namespace corral::sys
