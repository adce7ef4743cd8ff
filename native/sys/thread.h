// Threads of our own: detached, small, and with every signal blocked, so that no signal of the program we live in is
// ever delivered to one of them, nor to a child it starts before exec. pthread_create(3); std::thread would need a
// newer libstdc++.
#pragma once

#include <cstddef>

namespace corral::sys {

// Runs body(data) on a new thread. 0 or -errno (EAGAIN: out of threads).
int start_thread(void *(*body)(void *), void *data, size_t stack_size);

// Lets every other thread go first when it wakes, and gives up no share of the processor for it: for long work that
// somebody's event loop shall not notice. For the calling thread and those it starts from now on; without effect below
// Linux 6.12, or where it is refused.
void yield_to_wakers();

} // namespace corral::sys
