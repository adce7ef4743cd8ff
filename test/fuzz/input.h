// Shared by the fuzz targets: taking an input apart, and a check that ends the program where a sanitizer would not. A
// target knows nothing of the engine: libFuzzer drives it, or replay.cc does where there is none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

extern "C" {
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
}

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                        \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

namespace fuzz {

// Reads an input from front to back; at its end there are zeros and empty pieces.
class Input {
public:
  Input(const uint8_t *data, size_t size) : at_(data), left_(size) {}

  bool is_empty() const { return left_ == 0; }

  uint8_t byte() {
    if (left_ == 0) return 0;
    left_--;
    return *at_++;
  }

  // A piece, with its length before it (two bytes, the lower first).
  std::string piece(size_t longest) {
    size_t size = byte();
    size |= static_cast<size_t>(byte()) << 8;
    size = std::min({size, left_, longest});
    std::string text(reinterpret_cast<const char *>(at_), size);
    at_ += size;
    left_ -= size;
    return text;
  }

private:
  const uint8_t *at_;
  size_t left_;
};

} // namespace fuzz
