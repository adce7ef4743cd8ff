// What the running kernel offers, and the system calls glibc 2.28 has no wrapper for.
//
// Calls return a value or -errno. The probe really tries each feature once (an old kernel and a seccomp
// filter look the same that way) and is cached for the process.
#pragma once

#include <cstdint>
#include <string>

namespace corral::sys {

// pidfd_open(2), Linux 5.3. The descriptor is close-on-exec. ESRCH: no such process.
int pidfd_open(int32_t pid);
// pidfd_send_signal(2), Linux 5.1. Signal 0 probes.
int pidfd_signal(int pidfd, int signal);
// The same with PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9: the group led by the process, also after the leader was reaped.
// EINVAL on older kernels.
int pidfd_signal_group(int pidfd, int signal);
// memfd_create(2), close-on-exec and executable (MFD_EXEC where the kernel knows it, 6.3). EACCES: vm.memfd_noexec = 2.
int memfd_executable(const char *name);
// PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15: wait status of a process that was reaped by whoever is its parent.
// 0 and *ret_status, or -errno (ENODATA: not reaped yet).
int pidfd_exit_status(int pidfd, int *ret_status);
// True when the process behind the pidfd has exited (zombie or reaped): poll(2) on it does not block.
bool pidfd_is_dead(int pidfd);
// CLOCK_MONOTONIC.
int64_t monotonic_us();
inline int64_t monotonic_ms() {
  return monotonic_us() / 1000;
}

// Local time to the second by the C library (TZ, /etc/localtime): 2026-02-03T04:05:06. "" outside of the years 0 to
// 9999.
std::string local_time(int64_t seconds_since_epoch);

struct Kernel {
  std::string release;
  long ticks_per_second = 100, page_size = 4096;
  bool pidfd = false, pidfd_group_signal = false;
  bool proc_children = false, close_range = false, subreaper = false;
};

const Kernel &kernel();

// Whether pidfd_exit_status() can answer at all. Starts a process the first time, so it is asked only where it matters.
bool has_pidfd_exit_info();

// /proc/sys/kernel/random/boot_id; "" when it can not be read now (no descriptor free, no /proc).
std::string boot_id();

} // namespace corral::sys
