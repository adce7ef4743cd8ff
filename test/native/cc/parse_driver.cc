// Feeds the stat parser and prints what it made of it, for proc-parse.test.ts. Each line of standard input is the
// input of one case in hexadecimal; each line of output is a JSON object, or null when the parser refused.
// The bytes lie at the very end of a buffer of their size, so that a sanitizer sees a read one byte too far.
//
//   parse_driver         parse_stat
//   parse_driver --pid   parse_pid
#include "../../../native/sys/proc_parse.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace corral::sys;

namespace {

int nibble(char digit) {
  return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

void print_row(const StatRow &row) {
  printf("{\"pid\":%" PRId32 ",\"name\":\"", row.pid);
  for (size_t i = 0; i < row.name_size; i++) printf("\\u%04x", static_cast<unsigned char>(row.name[i]));
  printf("\",\"state\":\"%c\",\"ppid\":%" PRId32 ",\"pgid\":%" PRId32 ",\"sid\":%" PRId32 ",\"tty\":%" PRId32
         ",\"flags\":%" PRIu32 ",\"cpuTicks\":%.17g,\"childCpuTicks\":%.17g,\"threads\":%" PRId32
         ",\"startTicks\":\"%" PRIu64 "\",\"rssPages\":%.17g,\"exitCode\":%" PRId32 "}\n",
         row.state, row.ppid, row.pgid, row.sid, row.tty, row.flags, row.cpu_ticks, row.child_cpu_ticks, row.threads,
         row.start_ticks, row.rss_pages, row.exit_code);
}

void parse(const char *bytes, size_t size) {
  StatRow row;
  row.pid = -42;
  if (parse_stat(bytes, size, &row)) {
    print_row(row);
  } else {
    puts(row.pid == -42 ? "null" : "\"refused, and yet written to\"");
  }
}

} // namespace

int main(int argc, char **argv) {
  const bool pids = argc > 1 && strcmp(argv[1], "--pid") == 0;
  char *line = nullptr;
  size_t room = 0;
  for (ssize_t length; (length = getline(&line, &room, stdin)) > 0;) {
    const size_t size = static_cast<size_t>(length - 1) / 2;
    auto *bytes = static_cast<char *>(malloc(size + pids));
    for (size_t i = 0; i < size; i++) bytes[i] = static_cast<char>(nibble(line[2 * i]) << 4 | nibble(line[2 * i + 1]));
    if (pids) {
      bytes[size] = '\0';
      printf("%" PRId32 "\n", parse_pid(bytes));
    } else {
      parse(bytes, size);
    }
    free(bytes);
  }
  free(line);
  return 0;
}
