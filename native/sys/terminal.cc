#include "terminal.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace corral::sys {

namespace {

// Who changes a terminal from the background is stopped by SIGTTOU, unless he blocks it.
class BlockTtou {
public:
  BlockTtou() {
    sigset_t ttou;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    (void)pthread_sigmask(SIG_BLOCK, &ttou, &before_);
  }
  ~BlockTtou() { (void)pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockTtou(const BlockTtou &) = delete;
  BlockTtou &operator=(const BlockTtou &) = delete;

private:
  sigset_t before_;
};

} // namespace

int terminal_group(int fd) {
  const pid_t group = tcgetpgrp(fd);
  return group < 0 ? -errno : group;
}

int set_terminal_group(int fd, pid_t group) {
  BlockTtou block;
  return tcsetpgrp(fd, group) < 0 ? -errno : 0;
}

int terminal_modes(int fd, struct termios *ret_modes) {
  return tcgetattr(fd, ret_modes) < 0 ? -errno : 0;
}

int set_terminal_modes(int fd, const struct termios &modes) {
  BlockTtou block;
  int result;
  do result = tcsetattr(fd, TCSANOW, &modes);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

int suspend(int signal, bool whole_group) {
  struct sigaction by_default = {}, before;
  by_default.sa_handler = SIG_DFL;
  if (sigaction(signal, &by_default, &before) < 0) return -errno;
  // Stops in here: a signal to oneself is delivered before kill(2) returns.
  const int result = ::kill(whole_group ? 0 : getpid(), signal) < 0 ? -errno : 0;
  (void)sigaction(signal, &before, nullptr);
  return result;
}

void leave(int status, int signal, bool whole_group) {
  if (signal > 0) {
    struct sigaction by_default = {};
    by_default.sa_handler = SIG_DFL;
    sigset_t none;
    sigemptyset(&none);
    (void)sigaction(signal, &by_default, nullptr);
    (void)pthread_sigmask(SIG_SETMASK, &none, nullptr);
    (void)::kill(whole_group ? 0 : getpid(), signal);
  }
  _exit(status);
}

} // namespace corral::sys
