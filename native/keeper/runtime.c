/* See runtime.h. */
#define _GNU_SOURCE
#include "runtime.h"

#include <time.h>

#ifndef CORRAL_HOSTED

/* The kernel leaves argc, argv and envp on the stack and nothing else (System V ABI, "process initialization"). */
#if defined(__x86_64__)
__asm__(".globl _start\n"
        "_start:\n\t"
        "xor %ebp, %ebp\n\t"
        "mov %rsp, %rdi\n\t"
        "and $-16, %rsp\n\t"
        "call enter\n\t"
        "hlt\n");
#else
__asm__(".globl _start\n"
        "_start:\n\t"
        "mov x29, xzr\n\t"
        "mov x30, xzr\n\t"
        "mov x0, sp\n\t"
        "bl enter\n\t"
        "brk #0\n");
#endif

__attribute__((noreturn, used)) void enter(long *stack);

void enter(long *stack) {
  const int argc = (int)stack[0];
  char **argv = (char **)(stack + 1);
  const int status = keeper_main(argc, argv, argv + argc + 1);
  for (;;) (void)raw_syscall(SYS_exit_group, status);
}

/* The compiler calls these for copies of structures. The empty assembly keeps it from seeing the loop as a call of
 * the very function it is in. */
void *memcpy(void *to, const void *from, size_t size) {
  char *target = to;
  const char *source = from;
  for (size_t i = 0; i < size; i++) {
    target[i] = source[i];
    __asm__ volatile("" ::: "memory");
  }
  return to;
}

void *memset(void *to, int byte, size_t size) {
  char *target = to;
  for (size_t i = 0; i < size; i++) {
    target[i] = (char)byte;
    __asm__ volatile("" ::: "memory");
  }
  return to;
}

#elif !defined(CORRAL_WITHOUT_MAIN)

int main(int argc, char **argv, char **envp) {
  return keeper_main(argc, argv, envp);
}

#endif

int64_t monotonic_us(void) {
  struct timespec now = {0, 0};
  (void)raw_syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t after_ms(int64_t now_us, int64_t span_ms) {
  return span_ms >= (NEVER_US - now_us) / 1000 ? NEVER_US : now_us + span_ms * 1000;
}

char *append(char *at, const char *end, const char *text) {
  while (*text != '\0' && at + 1 < end) *at++ = *text++;
  if (at < end) *at = '\0';
  return at;
}

char *append_number(char *at, const char *end, uint64_t number) {
  char digits[21];
  char *first = digits + sizeof digits - 1;
  *first = '\0';
  do *--first = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  return append(at, end, first);
}

const char *environment_value(char **envp, const char *name) {
  for (; *envp != NULL; envp++) {
    size_t i = 0;
    while (name[i] != '\0' && (*envp)[i] == name[i]) i++;
    if (name[i] == '\0' && (*envp)[i] == '=') return *envp + i + 1;
  }
  return NULL;
}
