#include "kernel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "fd.h"
#include "raw_syscall.h"

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

int exit_at_once(void *) {
  return 0;
}

// Tried on a process that was reaped, since 6.13 and 6.14 have the call without the exit status, and ignore a bit of
// the mask that they do not know. The child has no exit signal: nobody who waits for any child sees it, nor does a
// handler of SIGCHLD run.
//
// Unknown when there was no descriptor or no process to try it with: that says nothing about the kernel.
enum class Tried : int { kUnknown, kNo, kYes };
Tried try_exit_info() {
  alignas(16) char stack[1024];
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before); // a handler would run in the child, and the memory is ours
  int descriptor = -1, status = 0;
  const unsigned long flags = RAW_CLONE_VM | RAW_CLONE_VFORK;
  long pid = raw_clone(flags | RAW_CLONE_PIDFD, stack + sizeof stack, &descriptor, exit_at_once, nullptr);
  if (pid < 0) { // some filters refuse flags of clone that they do not know
    pid = raw_clone(flags, stack + sizeof stack, nullptr, exit_at_once, nullptr);
    if (pid > 0) descriptor = pidfd_open(static_cast<int32_t>(pid));
  }
  if (pid > 0) (void)waitpid(static_cast<pid_t>(pid), nullptr, __WALL);
  (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid <= 0 || descriptor < 0) return Tried::kUnknown;
  const Fd pidfd(descriptor);
  return pidfd_exit_status(pidfd.get(), &status) == 0 ? Tried::kYes : Tried::kNo;
}

Kernel probe() {
  Kernel k;
  struct utsname name;
  if (uname(&name) == 0) k.release = name.release;
  k.ticks_per_second = sysconf(_SC_CLK_TCK);
  k.page_size = sysconf(_SC_PAGESIZE);

  // Asked with arguments that are refused by who knows the call. None of it needs a descriptor: the answer is kept, and
  // must not be that of a moment in which there was none.
  k.pidfd = pidfd_open(-1) == -EINVAL && pidfd_signal(-1, 0) == -EBADF;
  k.pidfd_group_signal = k.pidfd && pidfd_signal_group(-1, 0) == -EBADF; // EINVAL: an unknown flag
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

std::string local_time(int64_t seconds_since_epoch) {
  const time_t time = seconds_since_epoch;
  struct tm parts;
  tzset(); // localtime_r need not look at a TZ that has changed
  if (localtime_r(&time, &parts) == nullptr) return "";
  const int year = parts.tm_year + 1900;
  if (year < 0 || year > 9999) return "";
  char text[32];
  (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d", year, parts.tm_mon + 1, parts.tm_mday,
                 parts.tm_hour, parts.tm_min, parts.tm_sec);
  return text;
}

std::string boot_id() {
  Fd fd(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char buffer[64];
  ssize_t length = fd ? read(fd.get(), buffer, sizeof buffer) : -1;
  if (length <= 0) return "";
  std::string text(buffer, static_cast<size_t>(length));
  return text.substr(0, text.find('\n'));
}

const Kernel &kernel() {
  static const Kernel *probed = new Kernel(probe()); // never destroyed: threads of ours outlive static destruction
  return *probed;
}

bool has_pidfd_exit_info() {
  static std::atomic<Tried> known{Tried::kUnknown};
  if (known == Tried::kUnknown) known = kernel().pidfd ? try_exit_info() : Tried::kNo;
  return known == Tried::kYes;
}

} // namespace corral::sys
