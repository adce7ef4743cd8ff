// Parses what /proc says of a process. Pure: bytes in, values out, no system call, no allocation.
//
// The bytes are not to be trusted: a process chooses its own name, with spaces, parentheses and newlines in it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace corral::sys {

constexpr uint32_t kKernelThread = 0x00200000; // PF_KTHREAD in StatRow::flags

// The numbers of proc_pid_stat(5) we use. Times in clock ticks (1/100 s), memory in pages.
struct StatNumbers {
  int32_t pid = 0;
  int32_t ppid = 0;          // 0: the parent lives outside our pid namespace
  int32_t pgid = 0, sid = 0; // 0: its leader lives outside; -1: the process is just being reaped
  int32_t tty = 0;           // device number, 0 = none; negative for large minors
  int32_t threads = 0;
  uint32_t flags = 0;         // PF_*
  char state = 0;             // Z with threads > 1 is no zombie: the main thread has ended, the process lives
  uint64_t start_ticks = 0;   // since boot, as the reader's time namespace counts
  double cpu_ticks = 0;       // utime + stime
  double child_cpu_ticks = 0; // cutime + cstime
  double rss_pages = 0;
  // wait(2) status of a zombie; the kernel shows it to those who may trace the process and 0 to others. 0 unless state
  // is Z.
  int32_t exit_code = 0;
};

struct StatRow : StatNumbers {
  uint8_t name_size = 0;
  char name[64] = {}; // raw bytes, not terminated; user processes 15 at most, kernel workers up to 63
};

// False when the line is not a complete stat line up to the field rss; *ret_row is then unchanged.
bool parse_stat(const char *data, size_t size, StatRow *ret_row);

// A pid as a directory entry of /proc spells it: digits only, 1 to INT32_MAX, no leading zero. 0 for anything else.
int32_t parse_pid(const char *name);

// The thread group id in what /proc/PID/status says; 0 when it is not there.
int32_t parse_tgid(const char *data, size_t size);

} // namespace corral::sys
