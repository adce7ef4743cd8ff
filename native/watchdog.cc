#include "watchdog.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <mutex>

#include "sys/kernel.h"
#include "sys/thread.h"

namespace corral::watchdog {

namespace {

struct State {
  std::mutex mutex;
  bool armed = false, fired = false;
  int64_t deadline_ms = 0; // monotonic
  int fd = 1, exit_code = 0;
  std::string text;
  int wake = -1; // eventfd; also tells that the thread runs
};

State &state() {
  static State *one = new State(); // never destroyed: the thread outlives static destruction
  return *one;
}

void write_all(int fd, const std::string &text) {
  size_t done = 0;
  while (done < text.size()) {
    // A reader that does not read must not keep us, so a pipe is asked first, and gets no more than it takes at once: a
    // blocking pipe with room for PIPE_BUF bytes is writable (poll(2), pipe(7)).
    struct pollfd entry = {fd, POLLOUT, 0};
    int ready = poll(&entry, 1, 100);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return;
    size_t size = text.size() - done < PIPE_BUF ? text.size() - done : PIPE_BUF;
    ssize_t written = write(fd, text.data() + done, size);
    if (written > 0) {
      done += static_cast<size_t>(written);
    } else if (errno != EINTR && errno != EAGAIN) {
      return;
    }
  }
}

void *run(void *) {
  State &s = state();
  for (;;) {
    int timeout_ms = -1;
    {
      std::lock_guard<std::mutex> lock(s.mutex);
      if (s.armed) {
        int64_t wait_ms = s.deadline_ms - sys::monotonic_ms();
        if (wait_ms <= 0) {
          s.fired = true;
          write_all(s.fd, s.text);
          _exit(s.exit_code);
        }
        timeout_ms = wait_ms > 60000 ? 60000 : static_cast<int>(wait_ms);
      }
    }
    struct pollfd entry = {s.wake, POLLIN, 0};
    if (poll(&entry, 1, timeout_ms) > 0) {
      uint64_t ignored;
      (void)!read(s.wake, &ignored, sizeof ignored);
    }
  }
  return nullptr;
}

} // namespace

int arm(int64_t deadline_ms, int fd, std::string text, int exit_code) {
  State &s = state();
  std::lock_guard<std::mutex> lock(s.mutex);
  s.armed = true;
  s.deadline_ms = sys::monotonic_ms() + deadline_ms;
  s.fd = fd;
  s.text = std::move(text);
  s.exit_code = exit_code;
  if (s.wake >= 0) {
    uint64_t one = 1;
    (void)!write(s.wake, &one, sizeof one);
    return 0;
  }
  s.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (s.wake < 0) return -errno;
  int error = sys::start_thread(run, nullptr, 128 * 1024);
  if (error != 0) {
    (void)close(s.wake);
    s.wake = -1;
    s.armed = false;
  }
  return error;
}

bool disarm() {
  State &s = state();
  std::lock_guard<std::mutex> lock(s.mutex);
  s.armed = false;
  return !s.fired;
}

} // namespace corral::watchdog
