#include "reap.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>

namespace corral::sys {

int reap(int32_t pid, Reap mode, ExitReport *ret_report) {
  int status = 0;
  struct rusage usage;
  pid_t done;
  // __WALL: a child that failed before exec may still carry another exit signal than SIGCHLD.
  do done = wait4(pid, &status, (mode == Reap::kIfExited ? WNOHANG : 0) | __WALL, &usage);
  while (done < 0 && errno == EINTR);
  if (done < 0) return -errno;
  if (done == 0) return 0;
  const auto micros = [](const struct timeval &t) {
    return static_cast<uint64_t>(t.tv_sec) * 1000000u + static_cast<uint64_t>(t.tv_usec);
  };
  ret_report->status = status;
  ret_report->user_us = micros(usage.ru_utime);
  ret_report->system_us = micros(usage.ru_stime);
  ret_report->max_rss_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024u;
  return 1;
}

} // namespace corral::sys
