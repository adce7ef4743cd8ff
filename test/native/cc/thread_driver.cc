// What a thread is to the scheduler before and after yield_to_wakers(), and one that it starts then: policy, nice value
// and slice in nanoseconds, a line each, as sched_getattr(2) says. The first thread is never touched: its line is last.
#include "../../../native/sys/thread.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>

namespace {

void *print(void *) {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0) {
    printf("%u %d %llu\n", attributes.policy, attributes.nice, static_cast<unsigned long long>(attributes.runtime));
  }
  return nullptr;
}

void *yield(void *) {
  (void)print(nullptr);
  corral::sys::yield_to_wakers();
  (void)print(nullptr);
  pthread_t below;
  if (pthread_create(&below, nullptr, print, nullptr) == 0) (void)pthread_join(below, nullptr);
  return nullptr;
}

} // namespace

int main() {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, yield, nullptr) != 0) return 1;
  (void)pthread_join(thread, nullptr);
  (void)print(nullptr);
  return 0;
}
