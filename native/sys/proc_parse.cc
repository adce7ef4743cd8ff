#include "proc_parse.h"

#include <cstring>

namespace corral::sys {

namespace {

// Walks over fields that are each introduced by one space. The first mismatch makes every later call fail, so only the
// end has to be asked.
class Fields {
public:
  Fields(const char *at, const char *end) : at_(at), end_(end) {}

  char letter() {
    if (!space() || at_ == end_ || (*at_ | 0x20) < 'a' || (*at_ | 0x20) > 'z') return static_cast<char>(fail());
    return *at_++;
  }

  uint64_t number() { return space() ? digits(UINT64_MAX) : 0; }

  uint32_t number32() { return space() ? static_cast<uint32_t>(digits(UINT32_MAX)) : 0; }

  int32_t signed32() {
    if (!space()) return 0;
    bool negative = minus();
    auto magnitude = static_cast<int64_t>(digits(static_cast<uint64_t>(INT32_MAX) + negative));
    return static_cast<int32_t>(negative ? -magnitude : magnitude);
  }

  // The sum of so many fields. Exact up to 2^53.
  double sum(int count) {
    double total = 0;
    for (; count > 0 && space(); count--) {
      bool negative = minus();
      auto magnitude = static_cast<double>(digits(UINT64_MAX));
      total += negative ? -magnitude : magnitude;
    }
    return total;
  }

  void skip(int count) {
    for (; count > 0 && space(); count--) {
      const char *start = at_;
      while (at_ != end_ && *at_ > ' ') at_++;
      if (at_ == start) fail();
    }
  }

  // A number may have been cut in the middle unless something follows it.
  bool ended() const { return !failed_ && at_ != end_ && (*at_ == ' ' || *at_ == '\n'); }

private:
  unsigned char fail() {
    failed_ = true;
    return 0;
  }

  bool space() {
    if (failed_ || at_ == end_ || *at_ != ' ') return fail() != 0;
    at_++;
    return true;
  }

  bool minus() {
    if (failed_ || at_ == end_ || *at_ != '-') return false;
    at_++;
    return true;
  }

  uint64_t digits(uint64_t maximum) {
    if (failed_) return 0;
    const char *start = at_;
    uint64_t value = 0;
    for (; at_ != end_; at_++) {
      auto digit = static_cast<unsigned char>(*at_ - '0');
      if (digit > 9) break;
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value)) return fail();
    }
    if (at_ == start || value > maximum) return fail();
    return value;
  }

  const char *at_, *end_;
  bool failed_ = false;
};

} // namespace

bool parse_stat(const char *data, size_t size, StatRow *ret_row) {
  // The name is whatever stands between the first '(' and the last ')': no field after it has a parenthesis.
  const auto *open = static_cast<const char *>(memchr(data, '(', size));
  const auto *close = static_cast<const char *>(memrchr(data, ')', size));
  if (open == nullptr || close == nullptr || close < open) return false;

  StatRow row;
  for (const char *at = data; at + 1 < open; at++) {
    auto digit = static_cast<unsigned char>(*at - '0');
    if (digit > 9 || row.pid > (INT32_MAX - digit) / 10) return false;
    row.pid = row.pid * 10 + digit;
  }
  if (row.pid == 0 || open[-1] != ' ') return false;

  auto name_size = static_cast<size_t>(close - open - 1);
  row.name_size = static_cast<uint8_t>(name_size < sizeof row.name ? name_size : sizeof row.name);
  memcpy(row.name, open + 1, row.name_size);

  Fields fields(close + 1, data + size);
  row.state = fields.letter(); // field 3
  row.ppid = fields.signed32();
  row.pgid = fields.signed32();
  row.sid = fields.signed32();
  row.tty = fields.signed32();
  fields.skip(1); // tpgid
  row.flags = fields.number32();
  fields.skip(4); // page faults
  row.cpu_ticks = fields.sum(2);
  row.child_cpu_ticks = fields.sum(2);
  fields.skip(2); // priority, nice
  row.threads = fields.signed32();
  fields.skip(1);                    // itrealvalue
  row.start_ticks = fields.number(); // field 22
  fields.skip(1);                    // vsize
  row.rss_pages = fields.sum(1);     // field 24
  if (!fields.ended()) return false;
  if (row.state == 'Z' && row.threads <= 1) {
    fields.skip(27);
    int32_t exit_code = fields.signed32(); // field 52, Linux 3.5
    if (fields.ended()) row.exit_code = exit_code;
  }
  *ret_row = row;
  return true;
}

int32_t parse_pid(const char *name) {
  if (*name < '1' || *name > '9') return 0;
  int32_t pid = 0;
  for (; *name != '\0'; name++) {
    auto digit = static_cast<unsigned char>(*name - '0');
    if (digit > 9 || pid > (INT32_MAX - digit) / 10) return 0;
    pid = pid * 10 + digit;
  }
  return pid;
}

int32_t parse_tgid(const char *data, size_t size) {
  // The name, the first line, has its newlines escaped (proc(5)), so a line can not be forged.
  constexpr char kLabel[] = "\nTgid:\t";
  constexpr size_t kLabelSize = sizeof kLabel - 1;
  const auto *label = static_cast<const char *>(memmem(data, size, kLabel, kLabelSize));
  if (label == nullptr) return 0;
  int32_t tgid = 0;
  const char *at = label + kLabelSize, *end = data + size;
  for (; at != end && *at != '\n'; at++) {
    auto digit = static_cast<unsigned char>(*at - '0');
    if (digit > 9 || tgid > (INT32_MAX - digit) / 10) return 0;
    tgid = tgid * 10 + digit;
  }
  return at != end ? tgid : 0; // without its newline it may have been cut
}

} // namespace corral::sys
