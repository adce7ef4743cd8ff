/* PID 1 of the pid namespace in which one cell of the escape matrix happens: starts the owner of a tree, lets the event
 * happen when the tree is complete, and counts who is left. It asks nobody about that: a FIFO that every member holds
 * open says when the last one has died, and who else lives is read from /proc while everybody stands still.
 *
 *   arena DIRECTORY MODE ACT LIMIT_MS SETTLE_MS HOLD_MS UID OWNER_WORDS OWNER... [AFTER...]
 *
 * DIRECTORY has the FIFOs "ready" and "alive" (shapes.c). The owner runs as UID (-1: as we do). It reads "go" from
 * stdin when it is to act, "release" when it may go on, and end of file when it may exit; it writes "AT nanoseconds"
 * (monotonic clock: when the event happened, or will) and "DONE json" (its own word that all is over).
 *
 * ACT   who makes the event happen, once the tree is ready: none; go, hold: the owner; or we, by a signal to
 *       {term,kill,stop}-owner, {exit,kill}-leader, kill-keeper, kill-both (owner and keeper; then AFTER is run).
 * MODE  when it is over: empty: nobody is left but the owner; left: nobody but those who were there when the tree was
 *       ready; denied: nobody but processes of root and the keeper that waits for them; settled: SETTLE_MS after the
 *       owner's word or end. Each at the latest after LIMIT_MS.
 * Answers with one line of JSON.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, TICK_MS = 5, WORD_BYTES = 1 << 20 };

struct process {
  pid_t pid, parent;
  uid_t uid;
  char state, name[17];
};

static pid_t owner, leader, keeper, after;
static int was_held, owner_status = -1, is_owner_gone, is_done, is_empty, is_ready, signals_seen;
static int64_t at_ns, empty_ns, event_ns, owner_gone_ns;
static int to_owner = -1, from_owner = -1, alive_fd, ready_fd;
static char words[WORD_BYTES], done_text[WORD_BYTES];
static size_t words_length;
static struct process snapshot[MOST];
static int snapshot_count, left_before = -1;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what) {
  fprintf(stderr, "arena: %s: %s\n", what, strerror(errno));
  exit(70);
}

static int read_process(const char *pid, struct process *ret) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%s/stat", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t length = read(fd, text, sizeof text - 1);
  struct stat info;
  const int is_known = fstat(fd, &info) == 0;
  close(fd);
  if (length <= 0 || !is_known) return 0;
  text[length] = '\0';
  const char *open_at = strchr(text, '('), *close_at = strrchr(text, ')');
  if (open_at == NULL || close_at == NULL || sscanf(close_at + 2, "%c %d", &ret->state, &ret->parent) != 2) return 0;
  ret->pid = atoi(pid);
  ret->uid = info.st_uid;
  snprintf(ret->name, sizeof ret->name, "%.*s", (int)(close_at - open_at - 1), open_at + 1);
  return 1;
}

/* The living, but for ourselves, the owner and what we run afterwards. */
static int list(struct process *found) {
  DIR *proc = opendir("/proc");
  if (proc == NULL) die("/proc");
  int count = 0;
  for (struct dirent *entry; (entry = readdir(proc)) != NULL && count < MOST;) {
    struct process *one = &found[count];
    if (!isdigit((unsigned char)entry->d_name[0]) || !read_process(entry->d_name, one)) continue;
    if (one->pid == 1 || one->pid == owner || one->pid == after || one->state == 'Z' || one->state == 'X') continue;
    count++;
  }
  closedir(proc);
  return count;
}

static const struct process *in_snapshot(pid_t pid) {
  for (int i = 0; i < snapshot_count; i++)
    if (snapshot[i].pid == pid) return &snapshot[i];
  return NULL;
}

static int is_expected(const char *mode, const struct process *one) {
  const struct process *was = in_snapshot(one->pid);
  if (strcmp(mode, "left") == 0) return was != NULL;
  if (strcmp(mode, "denied") == 0) return one->pid == keeper || (was != NULL && was->uid == 0);
  return 0;
}

static struct process found[MOST];

static int nobody_else(const char *mode) {
  const int count = list(found);
  for (int i = 0; i < count; i++)
    if (!is_expected(mode, &found[i])) return 0;
  return 1;
}

static pid_t start(char **argv, uid_t uid, int input, int output) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  if (dup2(input, 0) < 0 || dup2(output, 1) < 0) die("dup2");
  if (uid != (uid_t)-1 && (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)) die("setresuid");
  execvp(argv[0], argv);
  die(argv[0]);
}

static void tell_owner(const char *text) {
  if (to_owner < 0 || write(to_owner, text, strlen(text)) < 0) return;
}

static void hear_owner(void) {
  const ssize_t length = read(from_owner, words + words_length, sizeof words - words_length - 1);
  if (length <= 0) {
    close(from_owner);
    from_owner = -1;
    return;
  }
  words[words_length += (size_t)length] = '\0';
  for (char *end; (end = strchr(words, '\n')) != NULL;) {
    *end = '\0';
    if (strncmp(words, "AT ", 3) == 0) at_ns = atoll(words + 3);
    if (strncmp(words, "DONE ", 5) == 0) {
      is_done = 1;
      strcpy(done_text, words + 5);
    }
    words_length -= (size_t)(end + 1 - words);
    memmove(words, end + 1, words_length + 1);
  }
}

static int is_keeper_gone(void) {
  char pid[16];
  struct process one;
  snprintf(pid, sizeof pid, "%d", keeper);
  return keeper > 1 && (!read_process(pid, &one) || one.state == 'Z');
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == owner) {
      owner_status = status;
      is_owner_gone = 1;
      owner_gone_ns = now_ns();
    }
    if (pid == after) after = -1;
  }
}

static void act(const char *what) {
  at_ns = at_ns != 0 ? at_ns : now_ns();
  if (strcmp(what, "go") == 0 || strcmp(what, "hold") == 0) tell_owner("go\n");
  if (strcmp(what, "term-owner") == 0) kill(owner, SIGTERM);
  if (strcmp(what, "kill-owner") == 0) kill(owner, SIGKILL);
  if (strcmp(what, "stop-owner") == 0) kill(owner, SIGSTOP);
  if (strcmp(what, "exit-leader") == 0) kill(leader, SIGUSR1);
  if (strcmp(what, "kill-leader") == 0) kill(leader, SIGKILL);
  if (strcmp(what, "kill-keeper") == 0) kill(keeper, SIGKILL);
  if (strcmp(what, "kill-both") == 0) {
    kill(owner, SIGSTOP); /* so that it does not notice, as if one blow had hit both */
    kill(keeper, SIGKILL);
    kill(owner, SIGKILL);
  }
}

static void hear_leader(const char *what) {
  char line[64];
  const ssize_t length = read(ready_fd, line, sizeof line - 1);
  if (length <= 0) return;
  line[length] = '\0';
  struct process one;
  leader = atoi(line + strlen("READY "));
  snprintf(line, sizeof line, "%d", leader);
  is_ready = 1;
  event_ns = now_ns();
  if (!read_process(line, &one) || one.parent <= 1) return; /* it has ended meanwhile */
  keeper = one.parent;
  const int count = list(found);
  for (int i = 0; i < count; i++)
    if (found[i].pid != keeper) snapshot[snapshot_count++] = found[i];
  act(what);
}

static void answer(int is_over) {
  (void)kill(-1, SIGSTOP); /* in one atomic step: who hops from process to process could not be counted otherwise */
  const int count = list(found);
  printf("{\"ready\":%s,\"over\":%s,\"ownerStatus\":%d,\"ms\":", is_ready ? "true" : "false",
         is_over ? "true" : "false", owner_status);
  if (is_empty && at_ns != 0)
    printf("%.3f", (double)(empty_ns - at_ns) / 1e6);
  else
    printf("null");
  printf(",\"held\":%s", was_held ? "true" : "false");
  printf(",\"members\":%d,\"signals\":%d,\"leftBefore\":%d,\"done\":%s,\"survivors\":[", snapshot_count, signals_seen,
         left_before, is_done ? done_text : "null");
  for (int i = 0; i < count; i++)
    printf("%s{\"pid\":%d,\"name\":\"%s\",\"state\":\"%c\",\"uid\":%u,\"wasThere\":%s}", i > 0 ? "," : "", found[i].pid,
           found[i].name, found[i].state, found[i].uid, in_snapshot(found[i].pid) != NULL ? "true" : "false");
  puts("]}");
  fflush(stdout);
  _exit(0); /* takes everybody along */
}

int main(int argc, char **argv) {
  if (getpid() != 1 || argc < 10) return 64;
  const char *directory = argv[1], *mode = argv[2], *what = argv[3];
  const int64_t limit_ns = atoll(argv[4]) * 1000000, settle_ns = atoll(argv[5]) * 1000000,
                hold_ns = atoll(argv[6]) * 1000000;
  const uid_t uid = (uid_t)atoll(argv[7]);
  const int owner_words = atoi(argv[8]);
  char **owner_argv = argv + 9, **after_argv = owner_argv + owner_words;
  char *saved = *after_argv;

  char path[4096];
  snprintf(path, sizeof path, "%s/alive", directory);
  if ((alive_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)) < 0) die(path);
  snprintf(path, sizeof path, "%s/ready", directory);
  if ((ready_fd = open(path, O_RDWR | O_CLOEXEC)) < 0) die(path);
  snprintf(path, sizeof path, "%s/after.json", directory);
  const int after_output = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  signal(SIGPIPE, SIG_IGN);
  const int signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

  int input[2], output[2];
  if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0) die("pipe");
  *after_argv = NULL;
  owner = start(owner_argv, uid, input[0], output[1]);
  *after_argv = saved;
  close(input[0]);
  close(output[1]);
  to_owner = input[1];
  from_owner = output[0];
  event_ns = now_ns();

  const int is_mute = strcmp(what, "stop-owner") == 0;
  int has_run_after = 0, alive_poll = alive_fd;
  int64_t over_since = 0;
  for (;;) {
    struct pollfd entries[4] = {
        {signal_fd, POLLIN, 0}, {ready_fd, POLLIN, 0}, {from_owner, POLLIN, 0}, {alive_poll, POLLIN, 0}};
    poll(entries, 4, TICK_MS);
    if (entries[3].revents & POLLIN) {
      char bytes[256];
      const ssize_t length = read(alive_fd, bytes, sizeof bytes);
      if (length > 0) signals_seen += (int)length;
    } else if (entries[3].revents & POLLHUP) {
      empty_ns = now_ns();
      is_empty = 1;
      alive_poll = -1;
    }
    if (entries[0].revents & POLLIN) {
      struct signalfd_siginfo info;
      while (read(signal_fd, &info, sizeof info) > 0) continue;
    }
    reap();
    if (entries[1].revents & POLLIN) hear_leader(what);
    if (entries[2].revents & (POLLIN | POLLHUP)) hear_owner();

    const int64_t now = now_ns();
    /* Blocked for so long, and for three times as long before we give up that it ends meanwhile. */
    if (strcmp(what, "hold") == 0 && is_ready &&
        now - event_ns >= (is_empty || strcmp(mode, "settled") == 0 ? 1 : 3) * hold_ns) {
      was_held = !is_empty;
      tell_owner("release\n");
      what = "";
    }
    /* One whose keeper somebody has killed is the only one left to end the tree, and can not while it is stopped. */
    if (strcmp(what, "stop-owner") == 0 && is_ready && !is_empty && now - event_ns >= hold_ns && is_keeper_gone()) {
      kill(owner, SIGCONT);
      was_held = 1;
      what = "";
    }
    if (is_owner_gone && is_ready && !has_run_after && saved != NULL &&
        (strcmp(what, "kill-both") == 0 || is_keeper_gone())) {
      snprintf(path, sizeof path, "/proc/%d", leader);
      if (strcmp(what, "kill-both") == 0 && access(path, F_OK) == 0 && now - owner_gone_ns < limit_ns)
        continue; /* its parent-death signal */
      has_run_after = 1;
      left_before = list(found);
      if (left_before > 0 && saved != NULL) {
        is_empty = 0; /* the deadline is the sweep's */
        if (alive_poll >= 0)
          at_ns = now_ns();
        else
          is_empty = 1;
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        over_since = 0;
        after = start(after_argv, uid, null, after_output);
        close(null);
      }
    }

    /* Whoever acts by itself has the last word; one that is stopped has none. */
    const int is_swept = has_run_after || saved == NULL || !is_owner_gone;
    const int is_over = (is_owner_gone || is_done || (is_mute && is_ready)) && after <= 0 &&
                        (strcmp(what, "kill-both") != 0 || has_run_after) && (strcmp(mode, "left") != 0 || is_swept);
    if (is_over && over_since == 0) over_since = now;
    if (is_over && strcmp(mode, "settled") == 0) {
      if ((is_empty && nobody_else("empty")) || now - over_since >= settle_ns) answer(1);
    } else if (is_over && (is_empty || strcmp(mode, "empty") != 0) && nobody_else(mode)) {
      answer(1);
    }
    /* What a sweep has left alone nobody else will end. */
    if (after == -1 && now - over_since >= settle_ns) answer(1);
    if (now - event_ns >= limit_ns && after <= 0) answer(0);
  }
}
