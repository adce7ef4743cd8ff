/* What a program without libc needs: an entry point (runtime.c), time, memory and text. Nothing here knows about
 * processes. Built with CORRAL_HOSTED the same sources become an ordinary program, for the sanitizers; with
 * CORRAL_WITHOUT_MAIN as well, parts of another program.
 */
#ifndef CORRAL_RUNTIME_H
#define CORRAL_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "../sys/raw_syscall.h"

/* Later than everything: "no deadline". */
#define NEVER_US INT64_MAX

/* The program, called by the entry point; its result is the exit status. */
int keeper_main(int argc, char **argv, char **envp);

/* CLOCK_MONOTONIC in microseconds. */
int64_t monotonic_us(void);
/* `now_us` plus a span in milliseconds; NEVER_US when that is out of range. */
int64_t after_ms(int64_t now_us, int64_t span_ms);

/* Appends to a NUL-terminated text without ever passing `end`; returns the new end of the text (cut when full). */
char *append(char *at, const char *end, const char *text);
char *append_number(char *at, const char *end, uint64_t number);
/* The value in an environment, or null. */
const char *environment_value(char **envp, const char *name);

#ifndef CORRAL_HOSTED
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
#else
#include <string.h>
#endif

#endif
