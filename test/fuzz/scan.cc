// The scan, whatever the files of a process say, in whatever pieces and with whatever errors: its table is whole. The
// linker puts our versions of openat, read, readlinkat and close in the way (--wrap), so that no file is opened.
//
// An input: the fields that are asked for, one byte of how things go, then stat, cwd, cgroup, cmdline and environ, each
// with its length before it.
#include "../../native/sys/proc_scan.h"
#include "input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <map>

namespace {

enum : int { kFirstFd = 1 << 20, kStat = kFirstFd, kCgroup, kCmdline, kEnviron, kProc };
constexpr size_t kLongest = 64 * 1024;

struct {
  bool is_running = false;
  bool refuses_open = false, fails_late = false, is_slow = false, names_itself = false;
  std::map<int, std::string> files;
  std::string cwd;
  std::map<int, size_t> at;
  int32_t pid = 0;
} world;

// What stands in a file; stat may be made to begin with the number it is read under.
std::string text_of(int fd) {
  const std::string &text = world.files[fd];
  if (fd != kStat || !world.names_itself) return text;
  const size_t space = text.find(' ');
  return std::to_string(world.pid) + (space == std::string::npos ? "" : text.substr(space));
}

} // namespace

extern "C" {

int __real_openat(int directory, const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __real_pread(int fd, void *to, size_t size, off_t at);
ssize_t __real_readlinkat(int directory, const char *path, char *to, size_t size);

int __wrap_openat(int directory, const char *path, int flags, ...) {
  if (!world.is_running) {
    va_list rest;
    va_start(rest, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(rest, int) : 0;
    va_end(rest);
    return __real_openat(directory, path, flags, mode);
  }
  const char *file = strrchr(path, '/');
  if (strcmp(path, "/proc") == 0) return kProc;
  CHECK(directory == kProc && file != nullptr);
  if (strcmp(file, "/task") == 0) {
    errno = ENOENT;
    return -1;
  }
  if (world.refuses_open && strcmp(file, "/stat") != 0) {
    errno = EACCES;
    return -1;
  }
  const int fd = strcmp(file, "/stat") == 0      ? kStat
                 : strcmp(file, "/cgroup") == 0  ? kCgroup
                 : strcmp(file, "/cmdline") == 0 ? kCmdline
                                                 : kEnviron;
  if (fd == kStat) world.pid = atoi(path);
  world.at[fd] = 0;
  return fd;
}

int __wrap_close(int fd) {
  return fd >= kFirstFd ? 0 : __real_close(fd);
}

ssize_t __wrap_read(int fd, void *to, size_t size) {
  if (fd < kFirstFd) return __real_read(fd, to, size);
  const std::string text = text_of(fd);
  size_t &at = world.at[fd];
  if (world.fails_late && at > 0) {
    errno = ESRCH;
    return -1;
  }
  const size_t piece = std::min({size, text.size() - at, world.is_slow ? size_t{4096} : size});
  memcpy(to, text.data() + at, piece);
  at += piece;
  return static_cast<ssize_t>(piece);
}

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at) {
  if (fd < kFirstFd) return __real_pread(fd, to, size, at);
  memset(to, 0, 1);
  return 1;
}

ssize_t __wrap_readlinkat(int directory, const char *path, char *to, size_t size) {
  if (!world.is_running) return __real_readlinkat(directory, path, to, size);
  const std::string target = strcmp(path, "self") == 0 ? std::to_string(getpid()) : world.cwd;
  const size_t length = std::min(size, target.size());
  memcpy(to, target.data(), length);
  return static_cast<ssize_t>(length);
}
}

namespace {

using namespace corral::sys;

void check(const ScanTable &table, uint32_t fields) {
  CHECK(table.count <= 2);
  const size_t text = table.columns[kColumnText].length;
  for (size_t i = 0; i < kColumnCount; i++) {
    const auto column = static_cast<Column>(i);
    const ScanTable::Slice &slice = table.columns[i];
    const uint8_t field = kColumnTypes[i].field;
    CHECK(slice.present == (field == 0 || (fields & field) != 0));
    if (!slice.present) continue;
    CHECK(slice.offset % 8 == 0 && slice.offset <= table.block_size());
    if (kColumnTypes[i].element != Element::kText) continue;
    const auto *offsets = table.column<uint32_t>(column);
    for (uint32_t row = 0; row < table.count; row++) CHECK(offsets[row] <= offsets[row + 1]);
    CHECK(offsets[table.count] <= text);
  }
  for (uint32_t row = 0; row < table.count; row++) {
    CHECK(table.column<int32_t>(kColumnPid)[row] > 0);
    const bool is_hidden = (table.column<uint8_t>(kColumnUnread)[row] & kFieldStat) != 0;
    if (is_hidden) CHECK(table.column<uint64_t>(kColumnStartTicks)[row] == UINT64_MAX);
    const auto *args = table.column<uint32_t>(kColumnArgs);
    if (args == nullptr || (table.column<uint8_t>(kColumnUnread)[row] & kFieldArgs) != 0) continue;
    const std::string &cmdline = world.files[kCmdline];
    const uint32_t size = args[row + 1] - args[row];
    CHECK(size <= cmdline.size() && memcmp(table.column<char>(kColumnText) + args[row], cmdline.data(), size) == 0);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input input(data, size);
  ScanRequest request;
  request.fields = input.byte() & 0x7f;
  const uint8_t how = input.byte();
  world.refuses_open = (how & 1) != 0;
  world.fails_late = (how & 2) != 0;
  world.is_slow = (how & 4) != 0;
  world.names_itself = (how & 8) != 0;
  for (int fd : {kStat, kCgroup, kCmdline, kEnviron}) world.files[fd] = input.piece(kLongest);
  world.cwd = input.piece(4096);
  request.by_pid = true;
  request.pids = {getpid(), getppid(), getpid()};

  ScanTable table;
  const char *call = "";
  world.is_running = true;
  const int error = scan(request, &table, &call);
  world.is_running = false;
  CHECK(error == 0);
  check(table, request.fields);
  return 0;
}
