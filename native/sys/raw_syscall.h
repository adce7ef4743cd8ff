/* System calls without libc, for code that runs where libc must not: a child that still shares its parent's
 * memory, and the keeper, which has no libc at all. Every call returns a value or -errno; there is no errno
 * variable, no cancellation point and no lock behind it. x86-64 and aarch64.
 */
#ifndef CORRAL_RAW_SYSCALL_H
#define CORRAL_RAW_SYSCALL_H

#include <stdint.h>
#include <sys/syscall.h>

/* Newer than the oldest headers we build with (Linux 5.1 and later share their numbers on all architectures). */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* <sched.h> has the first two for _GNU_SOURCE only, and the last since glibc 2.31. */
#define RAW_CLONE_VM 0x00000100
#define RAW_CLONE_VFORK 0x00004000
#define RAW_CLONE_PIDFD 0x00001000           /* Linux 5.2 */
#define RAW_CLONE_INTO_CGROUP 0x200000000ull /* Linux 5.7, clone3 only */

/* struct clone_args of clone3(2), as of Linux 5.7. */
struct raw_clone_args {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

#if defined(__x86_64__)

static inline long raw_syscall6(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

/* clone or clone3 with a stack for the child, on which it runs body(argument) and then exits with its result. The child
 * never executes an instruction of the caller's frame, so sharing the memory (CLONE_VM) can not corrupt it. */
static inline long raw_clone_call(long number, long a, long b, long c, int (*body)(void *), void *argument) {
  register long r10 __asm__("r10") = 0;
  register void *r8 __asm__("r8") = argument;
  register int (*r9)(void *) __asm__("r9") = body;
  long result;
  __asm__ volatile("syscall\n\t"
                   "test %%rax, %%rax\n\t"
                   "jnz 1f\n\t"
                   "xor %%ebp, %%ebp\n\t"
                   "mov %%r8, %%rdi\n\t"
                   "call *%%r9\n\t"
                   "mov %%eax, %%edi\n\t"
                   "mov %[exit], %%eax\n\t"
                   "syscall\n\t"
                   "hlt\n"
                   "1:"
                   : "=a"(result)
                   : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9), [exit] "i"(SYS_exit_group)
                   : "rcx", "r11", "memory", "cc");
  return result;
}

#elif defined(__aarch64__)

static inline long raw_syscall6(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
  return x0;
}

/* As above. */
static inline long raw_clone_call(long number, long a, long b, long c, int (*body)(void *), void *argument) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = 0;
  register long x4 __asm__("x4") = 0;
  register int (*x9)(void *) __asm__("x9") = body;
  register void *x10 __asm__("x10") = argument;
  __asm__ volatile("svc #0\n\t"
                   "cbnz x0, 1f\n\t"
                   "mov x29, xzr\n\t"
                   "mov x30, xzr\n\t"
                   "mov x0, x10\n\t"
                   "blr x9\n\t"
                   "mov x8, %[exit]\n\t"
                   "svc #0\n\t"
                   "brk #0\n"
                   "1:"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x9), "r"(x10), [exit] "i"(SYS_exit_group)
                   : "memory", "cc");
  return x0;
}

#else
#error "corral supports x86-64 and aarch64"
#endif

/* clone(2); `pidfd` is where CLONE_PIDFD stores the descriptor. The kernel takes the arguments after it in another
 * order on each architecture, and they are all 0. Returns the pid in the parent. */
static inline long raw_clone(unsigned long flags, void *stack_top, int *pidfd, int (*body)(void *), void *argument) {
  return raw_clone_call(SYS_clone, (long)flags, (long)stack_top, (long)pidfd, body, argument);
}

/* clone3(2), Linux 5.3; `args` names the stack as its lowest address and its size. */
static inline long raw_clone3(const struct raw_clone_args *args, int (*body)(void *), void *argument) {
  return raw_clone_call(SYS_clone3, (long)args, sizeof *args, 0, body, argument);
}

/* raw_syscall(SYS_name, argument...): up to six arguments, integers or pointers, the missing ones are 0. */
#define raw_syscall(...) RAW_PAD(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define RAW_PAD(number, a, b, c, d, e, f, ...)                                                                         \
  raw_syscall6((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* The kernel's struct sigaction (not libc's), the same on both architectures; signal sets are 64 bits. */
struct raw_sigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};

/* struct rlimit64 of prlimit64(2). */
struct raw_rlimit {
  uint64_t soft, hard;
};

/* struct linux_dirent64 of getdents64(2). */
struct raw_dirent {
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[];
};

#endif
