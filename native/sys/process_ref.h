// A process and nothing but that process: pid, start time and a pidfd that pins the identity.
//
// A pid is only a number that is used again; the pair (pid, start ticks) read from /proc names one process, and the
// pidfd proves that what was read belongs to the process the descriptor names: read /proc, then look whether the pidfd
// is still alive. "Gone" and "recycled" are results here, not surprises.
#pragma once

#include <cstdint>

#include "fd.h"

namespace corral::sys {

// Takes a pidfd of a live process and verifies it. expected_ticks 0 accepts whoever has the pid now.
// 0 and both results; -ESRCH gone or a zombie; -ESTALE the number belongs to another process; -EINVAL a thread id;
// -EMFILE, -ENFILE, -ENOSYS (kernel before 5.3 or a seccomp filter); -EACCES when /proc hides it (hidepid).
int open_process(int32_t pid, uint64_t expected_ticks, Fd *ret_pidfd, uint64_t *ret_ticks);

// Start time of a pid now, in clock ticks since boot; 0 or -ESRCH, -EACCES. Zombies have one too.
int start_ticks(int32_t pid, uint64_t *ret_ticks);

// wait(2) status of a process that is a zombie of somebody else or was reaped by its parent.
// 0; -ENODATA when the kernel does not tell us (other user, kernel before 6.15 and already reaped); -EAGAIN while its
// parent is just reaping it: ask again when the pidfd hangs up.
int foreign_exit_status(int32_t pid, uint64_t ticks, int pidfd, int *ret_status);

// True when no process of any kind (zombies included) has this number as its pid, process group or session: proof that
// the group and the session a reaped leader led are empty. False means not known. `fd` is any descriptor of ours.
bool number_is_free(int fd, int32_t pid);

} // namespace corral::sys
