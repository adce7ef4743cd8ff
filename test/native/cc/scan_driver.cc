// Runs the native scan without Node and prints what came back as one JSON object, for proc-scan.test.ts.
// Bytes of names and arguments become the characters U+0000 to U+00FF, so nothing is lost or repaired on the way.
//
//   scan_driver [--fields=N] [--pgid=N] [--sid=N] [--nofile=N] [--uid=N] [PID...]     scan, restricted to PIDs if any
//   are given scan_driver --stat PID...                                                          read_stat of each
#include "../../../native/sys/proc_scan.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace corral::sys;

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

int print_scan(const ScanRequest &request) {
  ScanTable table;
  const char *call = "";
  const int error = scan(request, &table, &call);
  if (error < 0) {
    printf("{\"errno\": %d, \"syscall\": \"%s\"}\n", error, call);
    return 0;
  }
  ScanTable moved = static_cast<ScanTable &&>(table); // what an addon does with it
  printf("{\"count\": %" PRIu32 ", \"nowTicks\": \"%" PRId64
         "\", \"nowMs\": %.3f, \"blockSize\": %zu,\n \"columns\": {",
         moved.count, moved.now_ticks, moved.now_ms, moved.block_size());
  const char *separator = "";
  for (int i = 0; i < kColumnCount; i++) {
    const ScanTable::Slice &slice = moved.columns[i];
    if (!slice.present) continue;
    printf("%s\"%s\": {\"offset\": %zu, \"length\": %zu}", separator, kColumnTypes[i].name, slice.offset, slice.length);
    separator = ", ";
  }
  printf("},\n \"rows\": [");
  for (size_t row = 0; row < moved.count; row++) {
    printf("%s\n  {", row > 0 ? "," : "");
    separator = "";
    for (int i = 0; i < kColumnText; i++) {
      if (!moved.columns[i].present) continue;
      printf("%s\"%s\": ", separator, kColumnTypes[i].name);
      print_cell(moved, static_cast<Column>(i), row);
      separator = ", ";
    }
    putchar('}');
  }
  printf("]}\n");
  return 0;
}

void print_stat(int32_t pid) {
  StatRow row;
  const int error = read_stat(-1, pid, &row);
  printf("{\"result\": %d, \"startTicks\": \"%" PRIu64 "\", \"state\": \"%c\", \"exitCode\": %" PRId32 ", \"name\": ",
         error, row.start_ticks, row.state != 0 ? row.state : '-', row.exit_code);
  print_string(row.name, row.name_size);
  printf("}\n");
}

} // namespace

int main(int argc, char **argv) {
  ScanRequest request;
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
    } else if (is("--nofile=")) {
      const rlimit limit = {static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
      if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
    } else if (is("--uid=")) {
      if (setgid(static_cast<gid_t>(value)) != 0 || setuid(static_cast<uid_t>(value)) != 0) return 2;
    } else if (is("--stat")) {
      for (i++; i < argc; i++) print_stat(static_cast<int32_t>(strtol(argv[i], nullptr, 10)));
      return 0;
    } else {
      request.by_pid = true;
      request.pids.push_back(static_cast<int32_t>(strtol(argv[i], nullptr, 10)));
    }
  }
  return print_scan(request);
}
