// The two symbols that libstdc++ headers of GCC 11 and later ask for and that have no older version. Definitions of
// our own, hidden, so that nothing newer than GLIBC 2.28 and GLIBCXX 3.4.21 is needed. Other symbols: glibc_compat.h.
#include <cstdlib>

extern "C" {

// Reference counts look at it to skip the atomic instruction while there is one thread. Always "there are several".
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;

// Thrown by allocators for a length that overflows. There are no exceptions here: it would end the process anyway.
[[noreturn]] __attribute__((visibility("hidden"))) void
corral_throw_bad_array_new_length() __asm__("_ZSt28__throw_bad_array_new_lengthv");

void corral_throw_bad_array_new_length() {
  std::abort();
}
}
