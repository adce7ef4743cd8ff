/* The trees of the escape matrix: shapes SHAPE READY_FIFO ALIVE_FIFO [SET_UID_COPY]
 *
 * The leader starts the members of one shape (the table at the end), writes "READY" and its pid into READY_FIFO when
 * all are there, and waits. Every member holds ALIVE_FIFO open for writing: its end of file is the death of the last
 * one, seen by somebody who needs to ask nobody. Shape "witness" writes a byte into it for each signal it gets. SIGUSR1
 * makes the leader exit with status 0. Nothing here ends by itself: only for the pid namespace of arena.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HERD = 1000, DEPTH = 30, STORM = 50, STORM_LIFE_US = 20000, HOP_LIFE_US = 1000, NOBODY = 65534 };

/* In every process at the same numbers, through exec too. */
enum { ALIVE_FD = 100, ARRIVAL_FD = 101 };

static int arrivals;
static pid_t leader, supervisor;
static pid_t siblings[8];
static int sibling_count;

__attribute__((noreturn)) static void die(const char *what) {
  fprintf(stderr, "shapes: %s: %s\n", what, strerror(errno));
  _exit(70);
}

static void arrive(void) {
  if (write(ARRIVAL_FD, "+", 1) != 1) die("arrive");
}

__attribute__((noreturn)) static void stay(void) {
  for (;;) pause();
}

static void idle(void) {
  arrive();
  stay();
}

static pid_t fork_at_last(void) {
  pid_t pid;
  while ((pid = fork()) < 0)
    if (errno != EAGAIN) die("fork");
  return pid;
}

static pid_t beget(void (*life)(void)) {
  const pid_t pid = fork_at_last();
  if (pid > 0) return pid;
  life();
  _exit(0);
}

/* A member that the leader waits for the arrival of. */
static pid_t expect(void (*life)(void)) {
  pid_t pid = beget(life);
  if (sibling_count < 8) siblings[sibling_count++] = pid;
  char byte;
  if (read(arrivals, &byte, 1) != 1) die("a member is missing");
  return pid;
}

static void in_session(void (*life)(void)) {
  if (setsid() < 0) die("setsid");
  life();
}

static void on(int number, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(number, &action, NULL);
}

static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};

static void ignoring(void) {
  for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], SIG_IGN);
  idle();
}

/* ---- Where a member stands ---- */

static void other_group(void) {
  setpgid(0, 0);
  idle();
}

static void own_session(void) {
  in_session(idle);
}

/* Begins to live when its parent, which ends now, has ended: until then that one would be counted as a member, too. */
static void leave_behind(void (*life)(void)) {
  const pid_t parent = getpid();
  if (fork_at_last() > 0) return;
  struct pollfd end = {(int)syscall(SYS_pidfd_open, parent, 0u), POLLIN, 0};
  if (end.fd >= 0) poll(&end, 1, -1); /* else it is reaped already */
  close(end.fd);
  life();
  _exit(0);
}

static void double_fork(void) {
  leave_behind(idle);
}

static void daemon_of(void (*life)(void)) {
  if (setsid() < 0) die("setsid");
  leave_behind(life);
}

static void daemon_life(void) {
  daemon_of(idle);
}

static void cleared(void) {
  char *const argv[] = {"shapes", "@idle", NULL}, *const envp[] = {NULL};
  execve("/proc/self/exe", argv, envp);
  die("exec");
}

static void daemon_cleared(void) {
  daemon_of(cleared);
}

static void closed_streams(void) {
  for (int fd = 0; fd < 3; fd++) close(fd);
  idle();
}

static void redirected_streams(void) {
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  idle();
}

static void daemon_closed(void) {
  daemon_of(closed_streams);
}

static void daemon_redirected(void) {
  daemon_of(redirected_streams);
}

/* ---- What it does with signals ---- */

static void ignoring_session(void) {
  in_session(ignoring);
}

static void daemon_ignoring(void) {
  daemon_of(ignoring);
}

static void stopped(void) {
  arrive();
  for (;;) raise(SIGSTOP);
}

static void stopped_session(void) {
  in_session(stopped);
}

static void daemon_stopped(void) {
  daemon_of(stopped);
}

static void on_term_stop(int number) {
  (void)number;
  raise(SIGSTOP);
}

static void stops_at_term(void) {
  on(SIGTERM, on_term_stop);
  idle();
}

static void stops_at_term_session(void) {
  in_session(stops_at_term);
}

static pid_t tracee;

static void traced(void) {
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* where Yama restricts it to descendants; else EINVAL */
  in_session(idle);
}

static void tracer(void) {
  setsid();
  for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], SIG_IGN);
  if (ptrace(PTRACE_SEIZE, tracee, 0, 0) < 0) die("ptrace");
  ptrace(PTRACE_INTERRUPT, tracee, 0, 0);
  if (waitpid(tracee, NULL, __WALL) != tracee) die("the traced one");
  idle();
}

/* ---- How it multiplies ---- */

static void replace_self(int life_us, int changes_session) {
  arrive();
  for (;;) {
    usleep((useconds_t)life_us);
    const pid_t successor = fork();
    if (successor > 0) _exit(0);
    if (successor == 0 && changes_session) setsid();
  }
}

static void storm_same(void) {
  replace_self(STORM_LIFE_US, 0);
}

static void storm_session(void) {
  replace_self(STORM_LIFE_US, 1);
}

static void hopper(void) {
  replace_self(HOP_LIFE_US, 1);
}

static int level;

static void deeper(void) {
  if (level % 2 == 1) setsid();
  if (++level < DEPTH) beget(deeper);
  idle();
}

/* It takes in what its own children leave behind, and waits for nobody. */
static void subreaper(void) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  beget(daemon_life);
  beget(daemon_ignoring);
  beget(double_fork);
  setsid();
  signal(SIGTERM, SIG_IGN);
  idle();
}

/* ---- Who it is ---- */

static void other_user(void) {
  setsid();
  if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0) die("setresuid");
  idle();
}

static void daemon_other_user(void) {
  daemon_of(other_user);
}

/* The file of that path is root's and set-uid. */
static const char *superuser_file;

static void superuser(void) {
  setsid();
  char *const argv[] = {"shapes", "@idle", NULL}, *const envp[] = {NULL};
  execve(superuser_file, argv, envp);
  die(superuser_file);
}

/* ---- What it does to others, when it is asked to end ---- */

static void on_term_kill_siblings(int number) {
  (void)number;
  for (int i = 0; i < sibling_count; i++) kill(siblings[i], SIGKILL);
}

static void on_term_kill_leader(int number) {
  (void)number;
  kill(leader, SIGKILL);
}

static void on_term_kill_supervisor(int number) {
  (void)number;
  kill(supervisor, SIGKILL);
}

static void kills_siblings(void) {
  on(SIGTERM, on_term_kill_siblings);
  idle();
}

static void kills_leader(void) {
  on(SIGTERM, on_term_kill_leader);
  in_session(idle);
}

static void kills_supervisor(void) {
  on(SIGTERM, on_term_kill_supervisor);
  in_session(idle);
}

static void witnessed(int number) {
  const char byte = (char)number;
  const ssize_t ignored = write(ALIVE_FD, &byte, 1);
  (void)ignored;
}

static void witness(void) {
  for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) on(deadly[i], witnessed);
  on(SIGCONT, witnessed);
  idle();
}

static void witness_session(void) {
  in_session(witness);
}

static void daemon_witness(void) {
  daemon_of(witness);
}

/* ---- The table ---- */

static void expect_all(void (*const lives[])(void)) {
  for (; *lives != NULL; lives++) expect(*lives);
}

#define MEMBERS(...) expect_all((void (*const[])(void)){__VA_ARGS__, NULL})

static int populate(const char *shape) {
#define SHAPE(name) if (strcmp(shape, name) == 0)
  SHAPE("same-group") MEMBERS(idle, idle, idle);
  else SHAPE("other-group") MEMBERS(other_group, other_group, idle);
  else SHAPE("setsid") MEMBERS(own_session, own_session, idle);
  else SHAPE("double-fork") MEMBERS(double_fork, double_fork, idle);
  else SHAPE("daemon") MEMBERS(daemon_life, daemon_life, idle);
  else SHAPE("daemon-env") MEMBERS(daemon_cleared, cleared, daemon_cleared);
  else SHAPE("streams") MEMBERS(daemon_closed, daemon_redirected, closed_streams);
  else SHAPE("ignore") MEMBERS(ignoring, ignoring_session, daemon_ignoring);
  else SHAPE("stopped") MEMBERS(stopped, stopped_session, daemon_stopped);
  else SHAPE("term-stop") MEMBERS(stops_at_term, stops_at_term_session);
  else SHAPE("ptraced") {
    tracee = expect(traced);
    expect(tracer);
  }
  else SHAPE("storm") for (int i = 0; i < STORM; i++) expect(i % 2 == 0 ? storm_same : storm_session);
  else SHAPE("hopper") MEMBERS(hopper, hopper, hopper);
  else SHAPE("thousand") for (int i = 1; i < HERD; i++) expect(i % 3 == 0   ? idle
                                                               : i % 3 == 1 ? own_session
                                                                            : daemon_life);
  else SHAPE("deep") {
    beget(deeper);
    char byte;
    for (int i = 0; i < DEPTH; i++)
      if (read(arrivals, &byte, 1) != 1) die("a member is missing");
  }
  else SHAPE("subreaper") {
    char byte;
    expect(subreaper);
    for (int i = 0; i < 3; i++)
      if (read(arrivals, &byte, 1) != 1) die("a member is missing");
  }
  else SHAPE("uid") MEMBERS(other_user, daemon_other_user, idle);
  else SHAPE("setuid") MEMBERS(superuser, idle, own_session);
  else SHAPE("kills-siblings") MEMBERS(idle, own_session, daemon_ignoring, kills_siblings);
  else SHAPE("kills-leader") MEMBERS(ignoring, daemon_ignoring, kills_leader);
  else SHAPE("kills-keeper") {
    MEMBERS(ignoring, own_session, daemon_life, kills_supervisor);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) kill(supervisor, deadly[i]);
  }
  else SHAPE("witness") MEMBERS(witness, witness_session, daemon_witness);
  else return 0;
  return 1;
}

static void on_leave(int number) {
  (void)number;
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "@idle") == 0) {
    /* Else whoever started us may still signal us: it is the real id that counts (kill(2)). */
    if (geteuid() == 0 && setresuid(0, 0, 0) < 0) die("setuid");
    idle();
  }
  if (argc != 4 && argc != 5) return 64;
  superuser_file = argc == 5 ? argv[4] : "/proc/self/exe";
  supervisor = getppid();
  leader = getpid();
  /* Before READY it ends nobody's wait that all of it is dead: whoever opens the other end first is not kept waiting.
   */
  if (dup2(open(argv[3], O_WRONLY), ALIVE_FD) < 0) die(argv[3]);
  int ends[2];
  if (pipe(ends) < 0 || dup2(ends[1], ARRIVAL_FD) < 0) die("pipe");
  close(ends[1]);
  arrivals = ends[0];
  fcntl(arrivals, F_SETFD, FD_CLOEXEC);
  signal(SIGCHLD, SIG_IGN); /* the middle of a double fork is waited for by nobody */

  if (!populate(argv[1])) return 64;
  on(SIGUSR1, on_leave);
  if (strcmp(argv[1], "witness") == 0)
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
      if (deadly[i] != SIGUSR1) on(deadly[i], witnessed);

  char line[32];
  const int length = snprintf(line, sizeof line, "READY %d\n", leader);
  const int ready = open(argv[2], O_WRONLY | O_CLOEXEC);
  if (ready < 0 || write(ready, line, (size_t)length) != length) die(argv[2]);
  close(ready);
  stay();
}
