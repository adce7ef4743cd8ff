// The short texts of /proc: names of its directories, the thread group in status, and lists of children, which arrive
// in pieces that may cut a number.
#include "../../native/sys/proc_parse.h"
#include "input.h"

extern "C" {
#include "../../native/keeper/members.h"
}

#include <vector>

namespace {

std::vector<int32_t> found;

void find(int32_t pid) {
  CHECK(pid > 0 && pid <= 4 * 1024 * 1024);
  found.push_back(pid);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input input(data, size);
  const size_t cut = input.byte();
  const std::string text(reinterpret_cast<const char *>(data), size);

  const int32_t pid = corral::sys::parse_pid(text.c_str());
  if (pid != 0) CHECK(std::to_string(pid) == text.c_str());

  const int32_t tgid = corral::sys::parse_tgid(text.data(), size);
  CHECK(tgid >= 0);
  if (tgid > 0) CHECK(text.find("\nTgid:\t") != std::string::npos);

  found.clear();
  (void)children_parse(text.data(), size, 0, find);
  const std::vector<int32_t> whole = found;
  found.clear();
  const size_t first = std::min(cut, size);
  const uint64_t carried = children_parse(text.data(), first, 0, find);
  (void)children_parse(text.data() + first, size - first, carried, find);
  CHECK(found == whole);
  return 0;
}
