// Feeds the parser of /proc/self/mountinfo and /proc/self/cgroup and prints what it made of them, for
// cgroup-parse.test.ts. Each line of standard input is a case: two texts (or, with --name, one) in hexadecimal,
// separated by a space. The bytes lie at the very end of a buffer of their size, so that a sanitizer sees a read one
// byte too far.
#include "../../../native/sys/cgroup_parse.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

using namespace corral::sys;

namespace {

struct Free {
  void operator()(char *bytes) const { free(bytes); }
};

struct Text {
  std::unique_ptr<char, Free> bytes;
  size_t size;
  std::string_view view() const { return {bytes.get(), size}; }
};

int nibble(char digit) {
  return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

Text decode(const char *hex, size_t digits) {
  Text text{std::unique_ptr<char, Free>(static_cast<char *>(malloc(digits / 2))), digits / 2};
  for (size_t i = 0; i < text.size; i++)
    text.bytes.get()[i] = static_cast<char>(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
  return text;
}

} // namespace

int main(int argc, char **argv) {
  const bool names = argc > 1 && strcmp(argv[1], "--name") == 0;
  char *line = nullptr;
  size_t room = 0;
  for (ssize_t length; (length = getline(&line, &room, stdin)) > 0;) {
    const size_t digits = strcspn(line, " \n");
    const Text first = decode(line, digits);
    if (names) {
      printf("%s\n", is_leaf_name(first.view()) ? "true" : "false");
      continue;
    }
    const Text second = decode(line + digits + 1, static_cast<size_t>(length) - digits - 2);
    const CgroupPlace place = find_own_cgroup(first.view(), second.view());
    printf("{\"failure\":%d,\"isTop\":%s,\"directory\":\"", static_cast<int>(place.failure),
           place.is_top ? "true" : "false");
    for (const char byte : place.directory) printf("\\u%04x", static_cast<unsigned char>(byte));
    puts("\"}");
  }
  free(line);
  return 0;
}
