// The last word of a command that must answer in time: a thread that, at the deadline, writes a prepared answer and
// ends the process, whatever JavaScript or /proc is doing. One per process.
#pragma once

#include <cstdint>
#include <string>

namespace corral::watchdog {

// Arms it, or replaces deadline and text. 0 or -errno.
int arm(int64_t deadline_ms, int fd, std::string text, int exit_code);
// False when it has fired already: the process is about to end and the answer has been given.
bool disarm();

} // namespace corral::watchdog
