/* The process trees that the benchmarks scan and end: herd SHAPE COUNT READY_FIFO ALIVE_FIFO
 *
 *   flat     the leader and COUNT-1 children in its group
 *   setsid   the leader and COUNT children, each in a session of its own
 *   daemons  the leader and COUNT daemons: double fork and setsid, orphans from birth
 *   mixed    the leader and a third of each
 *   hydra    the leader, six heads, (COUNT-7)/6 children each; whoever loses a child forks another
 *   hop      the leader and COUNT live members of its group, each forking its successor and leaving, for ever
 *   hopsid   the same, each in a session of its own
 *
 * When all are there, the leader writes "READY" into READY_FIFO. Every member holds ALIVE_FIFO open for writing
 * ("-" = none): its end of file, seen from outside, is the death of the last one. Nothing here outlives five
 * minutes (hoppers: five seconds), whoever fails to end it.
 */
#include "limit.h"

enum { LIFE_S = 300, HOP_PAUSE_US = 2000, HOP_LIFE_MS = 5000, HEADS = 6, REFORKS = 4000 };

static int arrivals[2]; /* every member writes one byte, the leader counts them */
static int64_t hop_until;
static int children_per_head;

static void arrive(void) {
  alarm(LIFE_S); /* not inherited by fork: everybody sets it */
  ssize_t ignored = write(arrivals[1], "+", 1);
  (void)ignored; /* a late replacement of the hydra: nobody counts any more */
}

__attribute__((noreturn)) static void stay(void) {
  for (;;) pause();
}

static pid_t beget(void (*life)(void)) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid > 0) return pid;
  life();
  _exit(0);
}

static void member(void) {
  arrive();
  stay();
}

static void session_member(void) {
  setsid();
  member();
}

static void middle_of_double_fork(void) {
  setsid();
  beget(member);
}

/* Forks `life` again for every child that dies. */
__attribute__((noreturn)) static void replace(void (*life)(void)) {
  for (int left = REFORKS; left > 0 && wait(NULL) > 0; left--) beget(life);
  stay();
}

static void head(void) {
  arrive();
  for (int i = 0; i < children_per_head; i++) beget(member);
  replace(member);
}

static void hop(int own_session) {
  if (own_session) setsid();
  arrive();
  while (now_ns() < hop_until) {
    usleep(HOP_PAUSE_US);
    pid_t successor = fork();
    if (successor > 0) return;
    if (successor == 0 && own_session) setsid();
  }
}

static void hopper(void) {
  hop(0);
}

static void session_hopper(void) {
  hop(1);
}

/* Starts the members; returns how many will arrive, or -1 for an unknown shape. */
static int populate(const char *shape, int count) {
  if (strcmp(shape, "hydra") == 0) {
    children_per_head = (count - 1 - HEADS) / HEADS;
    for (int i = 0; i < HEADS; i++) beget(head);
    return HEADS + HEADS * children_per_head;
  }
  if (strcmp(shape, "flat") == 0) {
    for (int i = 1; i < count; i++) beget(member);
    return count - 1;
  }
  int mixed = strcmp(shape, "mixed") == 0, daemons = strcmp(shape, "daemons") == 0;
  int setsids = strcmp(shape, "setsid") == 0, hops = strcmp(shape, "hop") == 0, hopsids = strcmp(shape, "hopsid") == 0;
  if (!(mixed || daemons || setsids || hops || hopsids)) return -1;
  for (int i = 0; i < count; i++) {
    if (daemons || (mixed && i % 3 == 2))
      waitpid(beget(middle_of_double_fork), NULL, 0);
    else if (setsids || (mixed && i % 3 == 1))
      beget(session_member);
    else
      beget(hops ? hopper : hopsids ? session_hopper : member);
  }
  return count;
}

int main(int argc, char **argv) {
  if (argc != 5) return 64;
  const char *shape = argv[1], *ready_fifo = argv[3], *alive_fifo = argv[4];
  alarm(LIFE_S);
  signal(SIGPIPE, SIG_IGN);
  hop_until = now_ns() + HOP_LIFE_MS * 1000000LL;
  if (strcmp(alive_fifo, "-") != 0 && open(alive_fifo, O_WRONLY) < 0) die(alive_fifo);
  if (pipe2(arrivals, O_CLOEXEC) < 0) die("pipe");

  int expected = populate(shape, atoi(argv[2]));
  if (expected < 0) return 64;
  for (char byte; expected > 0; expected--)
    if (read(arrivals[0], &byte, 1) != 1) die("a member is missing");

  int ready = open(ready_fifo, O_WRONLY | O_CLOEXEC);
  if (ready < 0 || write(ready, "READY\n", 6) != 6) die(ready_fifo);
  close(ready);
  if (strcmp(shape, "hydra") == 0) replace(head);
  stay();
}
