// Runs the native scan without Node and prints what came back as one JSON object, for proc-scan.test.ts.
// Bytes of names and arguments become the characters U+0000 to U+00FF, so nothing is lost or repaired on the way.
//
//   scan_driver [--fields=N] [--pgid=N] [--sid=N] [--batch=N] [--nofile=N] [--uid=N] [--repeat=N] [PID...]
//   scan_driver --stat PID...
//
// PIDs restrict the scan to them. --nofile and --uid take effect before it. --repeat scans so often and prints the
// last.
#include "../../../native/sys/proc_scan.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace corral::sys;

namespace {

std::atomic<int> opened;
int32_t refused_pid;

} // namespace

extern "C" {

int __real_openat(int directory, const char *path, int flags, ...);

int __wrap_openat(int directory, const char *path, int flags, ...) {
  opened++;
  if (refused_pid != 0 && strtol(path, nullptr, 10) == refused_pid) {
    errno = EMFILE;
    return -1;
  }
  return __real_openat(directory, path, flags);
}
}

namespace {

void print_string(const void *data, size_t size) {
  const auto *bytes = static_cast<const unsigned char *>(data);
  putchar('"');
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] < 0x20 || bytes[i] >= 0x7f || bytes[i] == '"' || bytes[i] == '\\') {
      printf("\\u%04x", bytes[i]);
    } else {
      putchar(bytes[i]);
    }
  }
  putchar('"');
}

void print_cell(const ScanTable &table, Column column, size_t row) {
  switch (kColumnTypes[column].element) {
  case Element::kUint8:
    printf("%u", table.column<uint8_t>(column)[row]);
    break;
  case Element::kInt32:
    printf("%" PRId32, table.column<int32_t>(column)[row]);
    break;
  case Element::kUint32:
    printf("%" PRIu32, table.column<uint32_t>(column)[row]);
    break;
  case Element::kUint64:
    printf("\"%" PRIu64 "\"", table.column<uint64_t>(column)[row]);
    break;
  case Element::kDouble:
    printf("%.17g", table.column<double>(column)[row]);
    break;
  case Element::kText: {
    const auto *offsets = table.column<uint32_t>(column) + row;
    print_string(table.column<unsigned char>(kColumnText) + offsets[0], offsets[1] - offsets[0]);
    break;
  }
  }
}

void print_table(const ScanTable &table) {
  printf("{\"count\": %" PRIu32 ", \"nowTicks\": \"%" PRId64
         "\", \"nowMs\": %.3f, \"opened\": %d, \"blockSize\": %zu,\n \"columns\": {",
         table.count, table.now_ticks, table.now_ms, opened.load(), table.block_size());
  const char *separator = "";
  for (int i = 0; i < kColumnCount; i++) {
    const ScanTable::Slice &slice = table.columns[i];
    if (!slice.present) continue;
    printf("%s\"%s\": {\"offset\": %zu, \"length\": %zu}", separator, kColumnTypes[i].name, slice.offset, slice.length);
    separator = ", ";
  }
  printf("},\n \"rows\": [");
  for (size_t row = 0; row < table.count; row++) {
    printf("%s\n  {", row > 0 ? "," : "");
    separator = "";
    for (int i = 0; i < kColumnText; i++) {
      if (!table.columns[i].present) continue;
      printf("%s\"%s\": ", separator, kColumnTypes[i].name);
      print_cell(table, static_cast<Column>(i), row);
      separator = ", ";
    }
    putchar('}');
  }
  printf("]}\n");
}

void print_stat(int32_t pid) {
  StatRow row;
  const int error = read_stat(-1, pid, &row);
  printf("{\"result\": %d, \"startTicks\": \"%" PRIu64 "\", \"state\": \"%c\", \"exitCode\": %" PRId32 ", \"name\": ",
         error, row.start_ticks, row.state != 0 ? row.state : '-', row.exit_code);
  print_string(row.name, row.name_size);
  printf("}\n");
}

int open_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

// The soft limit only, so that it can be raised again for whatever the sanitizers open at the end.
void limit_descriptors(rlim_t limit) {
  rlimit now;
  (void)getrlimit(RLIMIT_NOFILE, &now);
  now.rlim_cur = limit < now.rlim_max ? limit : now.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &now);
}

} // namespace

int main(int argc, char **argv) {
  ScanRequest request;
  rlim_t nofile = RLIM_INFINITY;
  int repeat = 1;
  for (int i = 1; i < argc; i++) {
    const char *equals = strchr(argv[i], '=');
    const long value = equals != nullptr ? strtol(equals + 1, nullptr, 10) : 0;
    const auto is = [&](const char *name) { return strncmp(argv[i], name, strlen(name)) == 0; };
    if (is("--fields=")) {
      request.fields = static_cast<uint32_t>(value);
    } else if (is("--pgid=")) {
      request.pgid = static_cast<int32_t>(value);
    } else if (is("--sid=")) {
      request.sid = static_cast<int32_t>(value);
    } else if (is("--batch=")) {
      request.batch = static_cast<size_t>(value);
    } else if (is("--nofile=")) {
      nofile = static_cast<rlim_t>(value);
    } else if (is("--emfile=")) {
      refused_pid = static_cast<int32_t>(value);
    } else if (is("--repeat=")) {
      repeat = static_cast<int>(value);
    } else if (is("--uid=")) {
      const auto id = static_cast<uid_t>(value);
      if (setgid(id) != 0 || setuid(id) != 0 || prctl(PR_SET_DUMPABLE, 1) != 0) return 2;
    } else if (is("--stat")) {
      for (i++; i < argc; i++) print_stat(static_cast<int32_t>(strtol(argv[i], nullptr, 10)));
      return 0;
    } else {
      request.by_pid = true;
      request.pids.push_back(static_cast<int32_t>(strtol(argv[i], nullptr, 10)));
    }
  }

  const int open_before = open_descriptors();
  ScanTable table;
  const char *call = "";
  int error = 0;
  if (nofile != RLIM_INFINITY) limit_descriptors(nofile);
  for (; repeat > 0 && error == 0; repeat--) {
    opened = 0;
    error = scan(request, &table, &call);
  }
  if (nofile != RLIM_INFINITY) limit_descriptors(RLIM_INFINITY);
  if (open_descriptors() != open_before) return 4;
  if (error < 0) {
    printf("{\"errno\": %d, \"syscall\": \"%s\", \"count\": %" PRIu32 "}\n", error, call, table.count);
    return 0;
  }
  ScanTable moved(static_cast<ScanTable &&>(table)); // as an addon hands it on
  print_table(moved);
  return table.count == 0 && table.block() == nullptr ? 0 : 3;
}
