// The terminal of a job, as a shell handles it: who is in the foreground, its modes, being stopped, and leaving without
// touching it. On the calling thread, and for a program that is one job: `suspend` and `leave` are about all of it.
#pragma once

#include <sys/types.h>
#include <termios.h>

namespace corral::sys {

// Foreground process group of the terminal behind `fd`, or -errno: ENOTTY when it is no terminal or not our controlling
// one, EIO when it has hung up. tcgetpgrp(3).
int terminal_group(int fd);

// 0 or -errno. Also from a group in the background: SIGTTOU is blocked meanwhile. tcsetpgrp(3).
int set_terminal_group(int fd, pid_t group);

// 0 or -errno; setting does not wait for output, which may be held back (Ctrl-S). Works from the background, too.
// tcgetattr(3), tcsetattr(3).
int terminal_modes(int fd, struct termios *ret_modes);
int set_terminal_modes(int fd, const struct termios &modes);

// Stops this process, or its whole process group, with the default action of a stop signal, whatever is installed for
// it. Returns once it was continued, or at once where the kernel discards the signal, because nobody is there who could
// continue the group (orphaned, setpgid(2)). 0 or -errno.
int suspend(int signal, bool whole_group);

// Ends this process now: by the signal (or its whole group, if it does not object), or, with 0 or where that is
// impossible, with `status`. _exit(2): nothing that was registered for the end is run.
[[noreturn]] void leave(int status, int signal, bool whole_group);

} // namespace corral::sys
