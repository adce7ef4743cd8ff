// Orphans that this process has adopted, as PID 1 or as a child subreaper: who of them has ended, and reaping one.
//
// The kernel keeps the children of each thread apart. What a thread has forked is its own; what is adopted goes to the
// first thread, and so does what a thread leaves when it ends. So on the first thread, with __WNOTHREAD, one sees the
// adopted and what that thread has forked itself, and never a child of another thread: a worker, libuv's pool, the
// watch thread. Telling the adopted from the first thread's own is the caller's (src/process/reap-orphans.ts).
#pragma once

#include <cstdint>
#include <vector>

#include "../keeper/protocol.h"

namespace corral::sys {

// Children of the first thread that have ended and are not reaped; they stay so. `detail` is the wait(2) status. 0;
// -EPERM when called on another thread; -EINVAL before Linux 4.7 (waitid(2) with __WNOTHREAD); -EMFILE...
int ended_children(std::vector<corral_member> *ret_children);

// Reaps one of them. 0; -ECHILD when somebody else has, or it is not a child of this thread; -EPERM as above.
int reap_adopted(int32_t pid);

// PR_SET_CHILD_SUBREAPER (prctl(2), Linux 3.4) on or off. Answers what it was (0, 1), or -errno.
int set_subreaper(bool on);

} // namespace corral::sys
