/* Sees from outside when a tree is dead: observe FIFO
 *
 * Opens the FIFO that every member of a herd holds open for writing, waits for its end of file and prints the
 * CLOCK_MONOTONIC of that moment in nanoseconds, one line; then waits for the next herd.
 */
#include "limit.h"

int main(int argc, char **argv) {
  if (argc != 2) return 64;
  for (;;) {
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(argv[1]);
    char byte;
    while (read(fd, &byte, 1) != 0) {
    }
    int64_t moment = now_ns();
    close(fd);
    printf("%lld\n", (long long)moment);
    fflush(stdout);
  }
}
