#include "kernel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "fd.h"

// The numbers are the same on every architecture (asm-generic and x86-64, Linux 5.1 and later).
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

namespace corral::sys {

namespace {

constexpr unsigned kSignalProcessGroup = 1u << 2; // PIDFD_SIGNAL_PROCESS_GROUP
constexpr unsigned kMfdCloexec = 1u, kMfdExec = 0x10u;

// struct pidfd_info as of Linux 6.15 (PIDFD_INFO_SIZE_VER0 and the exit code that followed it).
struct PidfdInfo {
  uint64_t mask, cgroup_id;
  uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 72 || sizeof(PidfdInfo) == 64, "layout of struct pidfd_info");
constexpr uint64_t kInfoExit = 1u << 3;
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, PidfdInfo);

long result(long value) {
  return value < 0 ? -errno : value;
}

std::string first_line(const char *path) {
  Fd fd(open(path, O_RDONLY | O_CLOEXEC));
  char buffer[256];
  ssize_t length = fd ? read(fd.get(), buffer, sizeof buffer) : -1;
  if (length <= 0) return "";
  std::string text(buffer, static_cast<size_t>(length));
  return text.substr(0, text.find('\n'));
}

Kernel probe() {
  Kernel k;
  struct utsname name;
  if (uname(&name) == 0) k.release = name.release;
  k.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  k.ticks_per_second = sysconf(_SC_CLK_TCK);
  k.page_size = sysconf(_SC_PAGESIZE);

  Fd self(pidfd_open(getpid()));
  k.pidfd = self && pidfd_signal(self.get(), 0) == 0;
  if (k.pidfd) {
    // ESRCH: supported, but we do not lead a group.
    int group = pidfd_signal_group(self.get(), 0);
    k.pidfd_group_signal = group == 0 || group == -ESRCH || group == -EPERM;
    int status = 0;
    k.pidfd_exit_info = pidfd_exit_status(self.get(), &status) == -ENODATA;
  }
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", static_cast<int>(getpid()));
  k.proc_children = access(path, R_OK) == 0;
  // An empty range is refused with EINVAL by a kernel that knows the call (5.9), ENOSYS or EPERM otherwise.
  k.close_range = syscall(SYS_close_range, 2u, 1u, 0u) < 0 && errno == EINVAL;
  int subreaper = 0;
  k.subreaper = prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) == 0;
  return k;
}

} // namespace

int pidfd_open(int32_t pid) {
  return static_cast<int>(result(syscall(SYS_pidfd_open, pid, 0u)));
}

int pidfd_signal(int pidfd, int signal) {
  return static_cast<int>(result(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0u)));
}

int pidfd_signal_group(int pidfd, int signal) {
  return static_cast<int>(result(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, kSignalProcessGroup)));
}

int memfd_executable(const char *name) {
  long fd = result(syscall(SYS_memfd_create, name, kMfdCloexec | kMfdExec));
  if (fd == -EINVAL) fd = result(syscall(SYS_memfd_create, name, kMfdCloexec)); // before 6.3 every memfd is executable
  return static_cast<int>(fd);
}

int pidfd_exit_status(int pidfd, int *ret_status) {
  PidfdInfo info{};
  info.mask = kInfoExit;
  if (ioctl(pidfd, kGetInfo, &info) < 0) return -errno;
  if ((info.mask & kInfoExit) == 0) return -ENODATA;
  *ret_status = info.exit_code;
  return 0;
}

bool pidfd_is_dead(int pidfd) {
  struct pollfd entry = {pidfd, POLLIN, 0};
  int ready;
  do ready = poll(&entry, 1, 0);
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

int64_t monotonic_us() {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

const Kernel &kernel() {
  static const Kernel *probed = new Kernel(probe()); // never destroyed: threads of ours outlive static destruction
  return *probed;
}

} // namespace corral::sys
