// Feeds files to a fuzz target, one after the other: where there is no fuzzing engine the corpus still runs, under the
// sanitizers of any compiler.
//
//   replay FILE...
#include "input.h"

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    FILE *file = fopen(argv[i], "rb");
    if (file == nullptr) {
      perror(argv[i]);
      return 1;
    }
    std::string content;
    char piece[4096];
    for (size_t got; (got = fread(piece, 1, sizeof piece, file)) > 0;) content.append(piece, got);
    (void)fclose(file);
    fprintf(stderr, "%s\n", argv[i]); // the last line before a finding names the input
    (void)LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(content.data()), content.size());
  }
  return 0;
}
