// Where a leaf comes from: a directory of cgroup v2 for one tree, made below the cgroup this program is in (what was
// delegated to us, cgroups(7)). What is done with it afterwards is cgroup_leaf.h.
//
// Nothing that exists is ever used. A leaf is held by a lock on its directory (flock(2)), which the kernel releases
// with the last process that has it: so whoever finds a leaf can tell whether somebody still needs it, in whatever pid
// namespace that is. Only the watch thread makes leaves.
#pragma once

#include <string>

#include "cgroup_parse.h"
#include "fd.h"

namespace corral::sys {

struct LeafFailure {
  LeafStage stage = LeafStage::kNone;
  int error = 0;         // positive errno
  std::string directory; // where it was tried
};

struct Leaf {
  std::string directory, name; // name empty: there is none
  Fd fd;                       // the directory, locked

  void discard(); // removes it, if there is one
};

// Makes a leaf in our own cgroup, or beside that where ours can only have threaded ones below it. Now and then it
// removes what earlier owners left there. False, with the reason.
bool make_leaf(const std::string &name, Leaf *ret_leaf, LeafFailure *ret_failure);

// Removes the leaf if nobody is in it; what is gone is not an error.
void remove_leaf(const std::string &directory, const std::string &name);

// Removes the leaves in `directory` that nobody holds and nobody is in; returns how many.
int remove_stale_leaves(int directory);

} // namespace corral::sys
