#include "process_ref.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "identity_checks.h"
#include "kernel.h"
#include "proc_scan.h"

namespace corral::sys {

namespace {

// True when the id names a thread that is not its process: kill(2) and /proc/ID accept those, we never do.
bool is_secondary_thread(int32_t id) {
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/%d/task/%d", static_cast<int>(id), static_cast<int>(id));
  if (access(path, F_OK) != 0) return false;
  (void)snprintf(path, sizeof path, "/proc/%d/status", static_cast<int>(id));
  Fd fd(open(path, O_RDONLY | O_CLOEXEC));
  char buffer[1024];
  ssize_t size = fd ? read(fd.get(), buffer, sizeof buffer) : -1;
  if (size <= 0) return false;
  const int32_t tgid = parse_tgid(buffer, static_cast<size_t>(size));
  return tgid != 0 && tgid != id;
}

} // namespace

int open_process(int32_t pid, uint64_t expected_ticks, Fd *ret_pidfd, uint64_t *ret_ticks) {
  int fd = pidfd_open(pid);
  if (fd == -EINVAL || fd == -ENOENT) {
    // A thread id; or a process in its last moments, for which some kernels say EINVAL instead of ESRCH.
    return is_secondary_thread(pid) ? -EINVAL : -ESRCH;
  }
  if (fd < 0) return fd;
  Fd pidfd(fd);
  uint64_t ticks = 0;
  if (int error = start_ticks(pid, &ticks); error < 0) return error == -ENOENT ? -ESRCH : error;
  // Alive now means: the number was not given to anybody else since the descriptor was taken, so `ticks` are its own.
  if (pidfd_is_dead(pidfd.get())) return -ESRCH;
  if (CORRAL_CHECKS_IDENTITY && expected_ticks != 0 && ticks != expected_ticks) return -ESTALE;
  *ret_pidfd = std::move(pidfd);
  *ret_ticks = ticks;
  return 0;
}

int start_ticks(int32_t pid, uint64_t *ret_ticks) {
  StatRow row;
  if (int error = read_stat(-1, pid, &row); error < 0) return error;
  *ret_ticks = row.start_ticks;
  return 0;
}

int foreign_exit_status(int32_t pid, uint64_t ticks, int pidfd, int *ret_status) {
  if (pidfd_exit_status(pidfd, ret_status) == 0) return 0;
  StatRow row;
  int error = read_stat(-1, pid, &row);
  if (error == 0 && row.start_ticks == ticks && row.state == 'Z') {
    // Still a zombie: the last field of stat is its status, shown to whoever may trace it and 0 to others (proc(5)), so
    // only a process of our own user (or any, for root) is believed. /proc/PID itself carries the user even for a
    // zombie.
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/%d", static_cast<int>(pid));
    struct statx owner; // stat(2) would need glibc 2.33
    const bool is_root = geteuid() == 0;
    const bool is_there = is_root || statx(AT_FDCWD, path, 0, STATX_UID, &owner) == 0;
    if (is_there) {
      if (!is_root && owner.stx_uid != geteuid()) return -ENODATA;
      *ret_status = row.exit_code;
      return 0;
    }
    error = -ESRCH; // reaped since
  }
  // Not there any more, or another's number: it is being reaped at this moment. The kernel tells once that is done, and
  // then hangs the descriptor up. Any other error (no descriptor free) says nothing of the kind.
  const bool is_leaving = error == -ESRCH || (error == 0 && (row.start_ticks != ticks || row.state == 'X'));
  return is_leaving && has_pidfd_exit_info() ? -EAGAIN : -ENODATA;
}

// The kernel keeps a number as long as anybody uses it in any role, and F_SETOWN (fcntl(2)) refuses one that nobody
// does: ESRCH. Unlike a look into /proc this misses nobody who forks or changes group meanwhile, and takes one call.
// Only where group signals by pidfd show a kernel (6.9) whose lookup is known to do so; others, gVisor among them, look
// up processes.
bool number_is_free(int fd, int32_t pid) {
  if (!kernel().pidfd_group_signal || pid <= 0) return false;
  if (fcntl(fd, F_SETOWN, pid) < 0) return errno == ESRCH;
  (void)fcntl(fd, F_SETOWN, 0);
  return false;
}

} // namespace corral::sys
