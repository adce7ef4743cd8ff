// Where in the file system our own cgroup is, and what leaves are called. Pure.
#pragma once

#include <string>
#include <string_view>

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

// The directory of our own cgroup; the texts are /proc/self/mountinfo (proc_pid_mountinfo(5)) and
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

} // namespace corral::sys
