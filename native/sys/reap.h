// Reaping of exactly what we forked: by pid, never "any child", so that no child of the program we live in is ever
// taken.
#pragma once

#include <cstdint>

namespace corral::sys {

struct ExitReport {
  int status = 0; // as wait(2)
  uint64_t user_us = 0, system_us = 0;
  uint64_t max_rss_bytes = 0;
};

enum class Reap { kIfExited, kWait };

// Reaps the child. 1 reaped, 0 still running (kIfExited only), -ECHILD not (or no longer) our child. wait4(2).
int reap(int32_t pid, Reap mode, ExitReport *ret_report);

} // namespace corral::sys
