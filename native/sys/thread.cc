#include "thread.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace corral::sys {

int start_thread(void *(*body)(void *), void *data, size_t stack_size) {
  pthread_attr_t attributes;
  (void)pthread_attr_init(&attributes);
  (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  (void)pthread_attr_setstacksize(&attributes, stack_size);
  // The new thread inherits the mask.
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  int error = pthread_create(&thread, &attributes, body, data);
  (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
  (void)pthread_attr_destroy(&attributes);
  return -error;
}

// Who wakes on a busy processor waits until the one who runs has used its slice up, which the kernel finds out at the
// next tick: 1 to 10 ms. It need not wait for one with a longer slice than its own (the kernel's PREEMPT_SHORT in
// kernel/sched/fair.c). The slice of an ordinary thread is what sched_setattr(2) calls its runtime, 0.1 to 100 ms.
void yield_to_wakers() {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return;
  if (attributes.policy != SCHED_OTHER) return;
  attributes.runtime = 5'000'000;
  (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

} // namespace corral::sys
