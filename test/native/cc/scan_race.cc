// What may happen to a process in the middle of a scan, and can not be arranged from outside: it ends, its pid goes to
// another process, its stat says something strange. The linker puts our versions of openat, read and clock_gettime in
// the way (--wrap), so the moment is chosen and not waited for.
//
//   scan_race [--tick] [--recycle] FILE
//   scan_race --stat TEXT
//
// Two children are asked for. The first is killed and reaped when its FILE is about to be opened; --recycle gives the
// pid to a new process (needs root). --tick lets the clock advance, as it does when the scan was preempted. --stat:
// nothing happens to the child, but TEXT is what its stat reads, with its pid for "PID". Prints of each row whose it
// is, "whole" if it has all arguments of this program or else their size, and the column unread.
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

pid_t victim, witness;
const char *moment = "";
bool tick, recycle, changed, victim_lives = true;
int replaced_error;
std::string stat_text;

[[noreturn]] void stay() {
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) pause();
}

pid_t start() {
  const pid_t pid = fork();
  if (pid == 0) stay();
  return pid;
}

void end(pid_t pid) {
  (void)kill(pid, SIGKILL);
  (void)waitpid(pid, nullptr, 0);
}

// struct clone_args as of Linux 5.5.
struct CloneArgs {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size;
};

void replace_victim() {
  changed = true;
  end(victim);
  victim_lives = false;
  if (!recycle) return;
  CloneArgs args = {};
  args.exit_signal = SIGCHLD;
  args.set_tid = reinterpret_cast<uint64_t>(&victim);
  args.set_tid_size = 1;
  const long pid = syscall(435 /* clone3 */, &args, sizeof args);
  if (pid == 0) stay();
  if (pid < 0) replaced_error = errno;
  victim_lives = pid > 0;
}

} // namespace

extern "C" {

int __real_openat(int directory, const char *path, int flags, ...);
ssize_t __real_read(int fd, void *to, size_t size);
int __real_clock_gettime(clockid_t clock, timespec *ret_now);

int __wrap_openat(int directory, const char *path, int flags, ...) {
  const char *file = strrchr(path, '/');
  if (file != nullptr && strcmp(file + 1, moment) == 0 && !changed) replace_victim();
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
    if (strcmp(argv[i], "--tick") == 0) {
      tick = true;
    } else if (strcmp(argv[i], "--recycle") == 0) {
      recycle = true;
    } else if (strcmp(argv[i], "--stat") == 0) {
      stat_text = argv[++i];
    } else {
      moment = argv[i];
    }
  }
  char *own_name = argv[0]; // copied by fork: each child shows its own
  own_name[0] = '1';
  victim = start();
  own_name[0] = '2';
  witness = start();
  if (const size_t at = stat_text.find("PID"); at != std::string::npos)
    stat_text.replace(at, 3, std::to_string(victim));
  ScanRequest request;
  request.fields = kFieldStat | kFieldArgs | kFieldEnv;
  request.by_pid = true;
  request.pids = {victim, witness};
  ScanTable table;
  const char *call = "";
  const int error = scan(request, &table, &call);
  if (victim_lives) end(victim);
  end(witness);
  if (error < 0 || !changed || replaced_error != 0) {
    fprintf(stderr, "%s: %s; clone3: %s\n", call, strerror(-error), strerror(replaced_error));
    return 1;
  }
  size_t all_arguments = 0;
  for (int i = 0; i < argc; i++) all_arguments += strlen(argv[i]) + 1;
  for (uint32_t i = 0; i < table.count; i++) {
    const auto *offsets = table.column<uint32_t>(kColumnArgs);
    const auto *text = table.column<char>(kColumnText);
    const uint32_t size = offsets[i + 1] - offsets[i];
    const bool is_witness = table.column<int32_t>(kColumnPid)[i] == witness;
    own_name[0] = is_witness ? '2' : '1';
    const bool whole = size == all_arguments && memcmp(text + offsets[i], own_name, strlen(own_name) + 1) == 0;
    printf("%s %s unread %u\n", is_witness ? "witness" : "victim", whole ? "whole" : std::to_string(size).c_str(),
           table.column<uint8_t>(kColumnUnread)[i]);
  }
  return 0;
}
