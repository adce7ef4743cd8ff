// Threads of our own: detached, small, and with every signal blocked, so that no signal of the program we live in is
// ever delivered to one of them, nor to a child it starts before exec. pthread_create(3); std::thread would need a
// newer libstdc++.
#pragma once

#include <cstddef>

namespace corral::sys {

// Runs body(data) on a new thread. 0 or -errno (EAGAIN: out of threads).
int start_thread(void *(*body)(void *), void *data, size_t stack_size);

} // namespace corral::sys
