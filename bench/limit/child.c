/* The child that the benchmarks start: freestanding, so that its own start-up does not hide what starting costs.
 *
 *   child exit               ends at once
 *   child pause              lives until it is killed
 *   child relay              starts `child exit` and waits for it: the second process of the `tree` limit
 *   child stamp FILE MS      after MS milliseconds writes CLOCK_MONOTONIC (ns) into FILE by shared memory, and ends
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/types.h>

#define PROT_READ_WRITE 3
#define MAP_SHARED 1

#if defined(__x86_64__)
static inline __attribute__((always_inline)) long call(long nr, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#elif defined(__aarch64__)
static inline __attribute__((always_inline)) long call(long nr, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = nr;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
__asm__(".globl _start\n_start: mov x0, sp\n bl start\n");
#else
#error "x86-64 and arm64 only"
#endif

static __attribute__((noreturn)) void leave(int code) {
  for (;;) call(__NR_exit_group, code, 0, 0, 0, 0, 0);
}

static void relay(char *self) {
  /* One stack for both: the parent sleeps until the exec and needs nothing but the pid in its register after it. */
  long pid = call(__NR_clone, CLONE_VM | CLONE_VFORK | 17 /* SIGCHLD */, 0, 0, 0, 0, 0);
  if (pid == 0) {
    char *arguments[] = {self, (char *)"exit", 0};
    char *environment[] = {0};
    call(__NR_setsid, 0, 0, 0, 0, 0, 0);
    call(__NR_execve, (long)self, (long)arguments, (long)environment, 0, 0, 0);
    leave(127);
  }
  if (pid < 0) leave(1);
  call(__NR_wait4, pid, 0, 0, 0, 0, 0);
}

static void stamp(const char *file, long milliseconds) {
  long fd = call(__NR_openat, AT_FDCWD, (long)file, O_RDWR, 0, 0, 0);
  if (fd < 0) leave(2);
  call(__NR_ftruncate, fd, 8, 0, 0, 0, 0);
  volatile long long *cell = (volatile long long *)call(__NR_mmap, 0, 8, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  if ((unsigned long)cell > -4096UL) leave(3);
  *cell = 0; /* the page fault happens here, not at the measured moment */
  struct __kernel_timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  call(__NR_nanosleep, (long)&t, 0, 0, 0, 0, 0);
  call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, (long)&t, 0, 0, 0, 0);
  *cell = t.tv_sec * 1000000000LL + t.tv_nsec;
}

__attribute__((noreturn, used)) void start(long *stack) {
  long count = stack[0];
  char **arguments = (char **)(stack + 1);
  if (count < 2) leave(64);
  switch (arguments[1][0]) {
  case 'e':
    leave(0);
  case 'p':
    for (;;) call(__NR_ppoll, 0, 0, 0, 0, 0, 0);
  case 'r':
    relay(arguments[0]);
    leave(0);
  case 's': {
    if (count < 4) leave(64);
    long milliseconds = 0;
    for (const char *c = arguments[3]; *c >= '0' && *c <= '9'; c++) milliseconds = milliseconds * 10 + (*c - '0');
    stamp(arguments[2], milliseconds);
    leave(0);
  }
  default:
    leave(64);
  }
}
