// A process ends, and its pid goes to another one, exactly between the reads of a scan: what a test can not arrange
// from outside. The linker puts our versions of openat and clock_gettime in the way (--wrap), so the moment is chosen,
// not waited for.
//
//   scan_race [--tick] [--recycle]
//
// The only pid asked for is a child that is killed and reaped when its cmdline is about to be opened. --recycle gives
// the pid to a new process with other arguments in its place (needs CAP_CHECKPOINT_RESTORE or root). --tick lets the
// clock advance, as it does when the scan was preempted. Prints the rows as "PID ARGS UNREAD".
#include "../../../native/sys/proc_scan.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

pid_t victim;
bool tick, recycle, changed;
int replaced_error;
std::string stat_text;

[[noreturn]] void stay() {
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) pause();
}

// struct clone_args as of Linux 5.5.
struct CloneArgs {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size;
};

void replace_victim() {
  changed = true;
  (void)kill(victim, SIGKILL);
  (void)waitpid(victim, nullptr, 0);
  if (!recycle) return;
  CloneArgs args = {};
  args.exit_signal = SIGCHLD;
  args.set_tid = reinterpret_cast<uint64_t>(&victim);
  args.set_tid_size = 1;
  const long pid = syscall(435 /* clone3 */, &args, sizeof args);
  if (pid == 0) stay();
  if (pid < 0) replaced_error = errno;
}

} // namespace

extern "C" {

int __real_openat(int directory, const char *path, int flags, ...);
ssize_t __real_read(int fd, void *to, size_t size);
int __real_clock_gettime(clockid_t clock, timespec *ret_now);

int __wrap_openat(int directory, const char *path, int flags, ...) {
  const char *file = strrchr(path, '/');
  if (file != nullptr && strcmp(file, "/cmdline") == 0 && !changed && stat_text.empty()) replace_victim();
  return __real_openat(directory, path, flags);
}

ssize_t __wrap_read(int fd, void *to, size_t size) {
  if (stat_text.empty() || changed) return __real_read(fd, to, size);
  changed = true; // the first read is that of stat
  memcpy(to, stat_text.data(), stat_text.size());
  return static_cast<ssize_t>(stat_text.size());
}

int __wrap_clock_gettime(clockid_t clock, timespec *ret_now) {
  static long ticks;
  if (clock != CLOCK_MONOTONIC_COARSE) return __real_clock_gettime(clock, ret_now);
  *ret_now = {0, tick ? ++ticks : 0};
  return 0;
}
}

int main(int argc, char **argv) {
  using namespace corral::sys;
  for (int i = 1; i < argc; i++) {
    tick = tick || strcmp(argv[i], "--tick") == 0;
    recycle = recycle || strcmp(argv[i], "--recycle") == 0;
    if (strcmp(argv[i], "--stat") == 0) stat_text = argv[++i];
  }
  victim = fork();
  if (victim == 0) stay();
  if (const size_t at = stat_text.find("PID"); at != std::string::npos)
    stat_text.replace(at, 3, std::to_string(victim));
  ScanRequest request;
  request.fields = kFieldStat | kFieldArgs;
  request.by_pid = true;
  request.pids = {victim};
  ScanTable table;
  const char *call = "";
  const int error = scan(request, &table, &call);
  if (!stat_text.empty() || (recycle && replaced_error == 0)) {
    (void)kill(victim, SIGKILL);
    (void)waitpid(victim, nullptr, 0);
  }
  if (error < 0 || !changed || replaced_error != 0) {
    fprintf(stderr, "%s: %s; clone3: %s\n", call, strerror(-error), strerror(replaced_error));
    return 1;
  }
  printf("rows %u\n", table.count);
  for (uint32_t i = 0; i < table.count; i++) {
    const auto *offsets = table.column<uint32_t>(kColumnArgs);
    printf("args %u unread %u\n", offsets[i + 1] - offsets[i], table.column<uint8_t>(kColumnUnread)[i]);
  }
  return 0;
}
