#include "orphans.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fd.h"
#include "proc_scan.h"

namespace corral::sys {

namespace {

constexpr int kOfThisThread = WEXITED | WNOHANG | __WALL | __WNOTHREAD;

bool is_first_thread() {
  return syscall(SYS_gettid) == getpid();
}

// 0 with *ret_info.si_pid == 0 when nobody has ended.
int wait_id(idtype_t type, int32_t pid, int options, siginfo_t *ret_info) {
  ret_info->si_pid = 0;
  int result;
  do result = waitid(type, static_cast<id_t>(pid), ret_info, kOfThisThread | options);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

int wait_status(const siginfo_t &info) {
  if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
  return info.si_code == CLD_DUMPED ? info.si_status | 0x80 : info.si_status;
}

// waitid(2) on any child shows the same one again and again as long as that is not reaped, so the numbers have to come
// from elsewhere. The list of children may miss some while it changes: the caller looks again when another one ends.
int list_children(std::vector<int32_t> *ret_pids) {
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", static_cast<int>(getpid()));
  Fd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (fd) {
    std::string text;
    char buffer[4096];
    for (ssize_t size; (size = read(fd.get(), buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<size_t>(size));
    char *end = nullptr;
    for (const char *at = text.c_str(); long pid = strtol(at, &end, 10); at = end) {
      ret_pids->push_back(static_cast<int32_t>(pid));
    }
    return 0;
  }
  if (errno != ENOENT) return -errno;
  // A kernel without CONFIG_PROC_CHILDREN.
  ScanRequest request;
  request.fields = kFieldStat;
  ScanTable table;
  const char *ignored = "";
  if (int error = scan(request, &table, &ignored); error < 0) return error;
  const auto *pid = table.column<int32_t>(kColumnPid), *ppid = table.column<int32_t>(kColumnPpid);
  for (uint32_t i = 0; i < table.count; i++) {
    if (ppid[i] == getpid()) ret_pids->push_back(pid[i]);
  }
  return 0;
}

} // namespace

int ended_children(std::vector<corral_member> *ret_children) {
  if (!is_first_thread()) return -EPERM;
  siginfo_t info;
  int error = wait_id(P_ALL, 0, WNOWAIT, &info);
  if (error == -ECHILD || (error == 0 && info.si_pid == 0)) return 0;
  if (error < 0) return error;
  std::vector<int32_t> pids;
  if (error = list_children(&pids); error < 0) return error;
  for (int32_t pid : pids) {
    if (wait_id(P_PID, pid, WNOWAIT, &info) < 0 || info.si_pid == 0) continue;
    StatRow row;
    if (read_stat(-1, pid, &row) < 0) continue;
    corral_member child{};
    child.pid = pid;
    child.detail = wait_status(info);
    child.start_ticks = row.start_ticks;
    memcpy(child.name, row.name, row.name_size < sizeof child.name ? row.name_size : sizeof child.name - 1);
    ret_children->push_back(child);
  }
  return 0;
}

int reap_adopted(int32_t pid) {
  if (!is_first_thread()) return -EPERM;
  siginfo_t info;
  if (int error = wait_id(P_PID, pid, 0, &info); error < 0) return error;
  return info.si_pid == 0 ? -ECHILD : 0;
}

int set_subreaper(bool on) {
  int before = 0;
  if (prctl(PR_GET_CHILD_SUBREAPER, &before, 0, 0, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, on ? 1 : 0, 0, 0, 0) < 0)
    return -errno;
  return before;
}

} // namespace corral::sys
