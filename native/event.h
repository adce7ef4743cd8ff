// What the native threads tell JavaScript. Filled on the watch thread or a scan thread, turned into JS values by
// convert.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "keeper/protocol.h"
#include "sys/cgroup.h"
#include "sys/proc_scan.h"

namespace corral {

struct Event {
  enum class Type {
    kStarted,
    kFailed,
    kExited,
    kTerminated,
    kSurvivors,
    kEmpty,
    kStopped,
    kHungUp,
    kLost,
    kGone,
    kScanned,
    kScanFailed
  };

  Type type;
  uint32_t id;
  int32_t pid = 0, keeper_pid = 0;                        // started
  uint64_t start_ticks = 0;                               // started
  bool has_pipes = false;                                 // started: they wait in the Held
  bool wants_leaf = false;                                // started, failed: level cgroup
  uint32_t leaf = 0;                                      // started: enum corral_leaf
  sys::LeafFailure leaf_failure;                          // the same: where it is, or why there is none
  int stage = 0, error = 0;                               // failed, scanFailed; of the leaf (positive errno)
  const char *syscall = "";                               // scanFailed
  bool has_status = false;                                // gone
  int status = 0;                                         // exited, lost, gone: as wait(2); stopped: the signal
  uint32_t flags = 0;                                     // exited, empty: enum corral_end
  int64_t elapsed_us = 0;                                 // exited
  int64_t at_ticks = 0;                                   // exited, lost: boot clock, leader not reaped; 0 = not known
  uint64_t user_us = 0, system_us = 0, max_rss_bytes = 0; // exited
  uint64_t duration_us = 0;                               // empty
  std::vector<corral_member> members;                     // terminated, survivors
  std::unique_ptr<sys::ScanTable> table;                  // scanned

  Event(Type type, uint32_t id) : type(type), id(id) {}
};

} // namespace corral
