// /proc/PID/stat, whatever a process has called itself: the two parsers of it, that of the addon and that of the
// keeper, neither of which reads beyond its end; and what both understand they understand in the same way.
#include "../../native/sys/proc_parse.h"
#include "input.h"

extern "C" {
#include "../../native/keeper/members.h"
}

#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 1023) return 0; // the keeper reads so much of it
  const auto *text = reinterpret_cast<const char *>(data);
  corral::sys::StatRow row;
  row.pid = -42;
  const bool is_row = corral::sys::parse_stat(text, size, &row);
  CHECK(is_row ? row.pid > 0 && row.name_size <= sizeof row.name : row.pid == -42);

  const std::string ended(text, size);
  process_stat stat;
  const bool is_stat = stat_parse(ended.c_str(), size, &stat);
  if (is_stat) CHECK(memchr(stat.name, '\0', sizeof stat.name) != nullptr);
  if (!is_row || !is_stat) return 0; // the keeper also wants numbers where it uses none
  CHECK(stat.pid == row.pid && stat.state == row.state && stat.start_ticks == row.start_ticks);
  // Never negative in what a kernel says, and not told apart by the keeper.
  if (row.ppid >= 0) CHECK(stat.ppid == row.ppid);
  if (row.pgid >= 0) CHECK(stat.pgid == row.pgid);
  if (row.threads >= 0) CHECK(stat.threads == row.threads);
  const size_t length = std::min(size_t{row.name_size}, sizeof stat.name - 1);
  CHECK(memcmp(stat.name, row.name, length) == 0);
  return 0;
}
