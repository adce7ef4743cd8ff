// The keeper program, embedded as bytes, as something that can be executed: a descriptor.
#pragma once

namespace corral::sys {

enum class KeeperForm { kNone, kMemfd, kFile };

// Watch thread only. Descriptor for execveat(AT_EMPTY_PATH), opened once and kept; -errno when no form works.
int keeper_fd();
// Watch thread only. Called after an execution was refused (EACCES, EPERM): falls back from memfd to file. False when
// there is nothing to fall back to.
bool keeper_refused();

// Any thread: which form would be used. 0 or -errno. Leaves nothing open.
int probe_keeper(KeeperForm *ret_form);

} // namespace corral::sys
