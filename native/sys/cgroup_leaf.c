/* See cgroup_leaf.h. */
#define _GNU_SOURCE
#include "cgroup_leaf.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "raw_syscall.h"

/* A test of kernels before 5.14 builds with another name. */
#ifndef LEAF_KILL_FILE
#define LEAF_KILL_FILE "cgroup.kill"
#endif

#define DIRECTORY 4 /* d_type of getdents64(2): DT_DIR */
#define LONGEST_NAME 256
/* Each level of a listing takes a descriptor and a piece of the stack. Removing knows no limit. */
#define DEEPEST_LISTING 32

static long open_directory(int at, const char *name) {
  return raw_syscall(SYS_openat, at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

static size_t length_of(const char *text) {
  size_t length = 0;
  while (text[length] != '\0') length++;
  return length;
}

/* A cgroup in a listing. Its name may begin with a dot. */
static int is_group(const struct raw_dirent *entry) {
  const char *name = entry->name;
  const int is_self = name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
  return entry->type == DIRECTORY && !is_self && length_of(name) < LONGEST_NAME;
}

/* Writes to one of the files of the leaf. */
static long leaf_write(int leaf, const char *file, const char *text) {
  const long fd = raw_syscall(SYS_openat, leaf, file, O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  const long written = raw_syscall(SYS_write, fd, text, length_of(text));
  (void)raw_syscall(SYS_close, fd);
  return written < 0 ? written : 0;
}

long leaf_is_populated(int events) {
  char text[64];
  const char *const word = "populated ";
  const size_t value = length_of(word);
  const long length = raw_syscall(SYS_pread64, events, text, sizeof text, 0);
  if (length < 0) return length;
  if ((size_t)length <= value) return -EIO;
  for (size_t i = 0; i < value; i++)
    if (text[i] != word[i]) return -EIO; /* it has always been the first line */
  return text[value] != '0';
}

long leaf_kill(int leaf) {
  return leaf_write(leaf, LEAF_KILL_FILE, "1");
}

long leaf_freeze(int leaf, int is_frozen) {
  return leaf_write(leaf, "cgroup.freeze", is_frozen ? "1" : "0");
}

static void each_number(int leaf, void (*visit)(int32_t pid)) {
  const long fd = raw_syscall(SYS_openat, leaf, "cgroup.procs", O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return;
  char buffer[1024];
  long length;
  int32_t number = 0; /* a number may lie across two reads */
  while ((length = raw_syscall(SYS_read, fd, buffer, sizeof buffer)) > 0) {
    for (long i = 0; i < length; i++) {
      if (buffer[i] >= '0' && buffer[i] <= '9') {
        number = number * 10 + (buffer[i] - '0');
      } else if (number > 0) { /* 0: a process of another pid namespace */
        visit(number);
        number = 0;
      }
    }
  }
  (void)raw_syscall(SYS_close, fd);
}

static void each_process_below(int leaf, int depth, void (*visit)(int32_t pid)) {
  each_number(leaf, visit);
  const long list = depth < DEEPEST_LISTING ? open_directory(leaf, ".") : -1;
  if (list < 0) return;
  char buffer[1024] __attribute__((aligned(8)));
  long length;
  while ((length = raw_syscall(SYS_getdents64, list, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < length;) {
      const struct raw_dirent *entry = (const struct raw_dirent *)(buffer + at);
      at += entry->size;
      if (!is_group(entry)) continue;
      const long below = open_directory(leaf, entry->name);
      if (below < 0) continue;
      each_process_below((int)below, depth + 1, visit);
      (void)raw_syscall(SYS_close, below);
    }
  }
  (void)raw_syscall(SYS_close, list);
}

void leaf_each_process(int leaf, void (*visit)(int32_t pid)) {
  each_process_below(leaf, 0, visit);
}

int leaf_has(const char *name, int32_t pid) {
  char path[40] = "/proc/", text[1024];
  char digits[12];
  char *to = path + 6;
  int count = 0;
  for (int32_t rest = pid; rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
  while (count > 0) *to++ = digits[--count];
  for (const char *from = "/cgroup"; (*to = *from) != '\0'; from++) to++;
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return 0;

  /* The line of v2 is the last one, and the only one that begins with "0::"; those of v1 before it may be long. The
   * name can not be guessed, so wherever it stands as a whole component it is our leaf. */
  int is_v2 = 0, found = 0;
  size_t column = 0, matched = 0; /* in the line; of "/name" */
  const size_t size = length_of(name);
  long length;
  while ((length = raw_syscall(SYS_read, fd, text, sizeof text)) > 0) {
    for (long i = 0; i < length; i++) {
      const char c = text[i];
      if (c == '\n' || c == '/') {
        if (is_v2 && matched == size + 1) found = 1;
        matched = c == '/';
      } else if (matched > 0) {
        matched = matched <= size && c == name[matched - 1] ? matched + 1 : 0;
      }
      if (column < 3) is_v2 = (column == 0 || is_v2) && c == "0::"[column];
      column = c == '\n' ? 0 : column + 1;
    }
  }
  (void)raw_syscall(SYS_close, fd);
  return found;
}

/* The first directory in this one, read from its beginning; 0 when there is none. */
static int first_below(int directory, char name[LONGEST_NAME]) {
  const long list = open_directory(directory, ".");
  if (list < 0) return 0;
  char buffer[1024] __attribute__((aligned(8)));
  long length;
  int found = 0;
  while (!found && (length = raw_syscall(SYS_getdents64, list, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < length && !found;) {
      const struct raw_dirent *entry = (const struct raw_dirent *)(buffer + at);
      at += entry->size;
      if (!is_group(entry)) continue;
      for (size_t i = 0; i == 0 || entry->name[i - 1] != '\0'; i++) name[i] = entry->name[i];
      found = 1;
    }
  }
  (void)raw_syscall(SYS_close, list);
  return found;
}

/* Depth first, and without recursion: members may have nested as deep as they liked. Goes down where a directory can
 * not be removed as it is, and gives up where going down has not helped. */
static void remove_below(int leaf) {
  char name[LONGEST_NAME];
  long at = open_directory(leaf, ".");
  int depth = 0, came_up = 0;
  while (at >= 0) {
    const int is_parent = first_below((int)at, name);
    if (is_parent && raw_syscall(SYS_unlinkat, at, name, AT_REMOVEDIR) == 0) {
      came_up = 0;
      continue;
    }
    if (is_parent ? came_up : depth == 0) break;
    const long next = open_directory((int)at, is_parent ? name : "..");
    depth += is_parent ? 1 : -1;
    came_up = !is_parent;
    (void)raw_syscall(SYS_close, at);
    at = next;
  }
  if (at >= 0) (void)raw_syscall(SYS_close, at);
}

long leaf_remove(int leaf, const char *name) {
  char path[LONGEST_NAME + 3] = "../";
  size_t i = 0;
  for (; name[i] != '\0' && i + 1 < LONGEST_NAME; i++) path[3 + i] = name[i];
  path[3 + i] = '\0';
  long error = raw_syscall(SYS_unlinkat, leaf, path, AT_REMOVEDIR);
  if (error != -EBUSY) return error;
  remove_below(leaf);
  return raw_syscall(SYS_unlinkat, leaf, path, AT_REMOVEDIR);
}
