/* Times whole processes from outside: whole COUNT STDIN_FILE PROGRAM ARGUMENT...
 *
 * wallUs: exec to reaped; cpuUs and rssKb: as wait4 reports them. Output of the program goes to /dev/null; a
 * program that fails is an error.
 */
#include "limit.h"
#include <sys/resource.h>

int main(int argc, char **argv) {
  if (argc < 4) return 64;
  int count = atoi(argv[1]), null_fd = open_null();
  double *wall = allocate(sizeof(double) * (size_t)count), *cpu = allocate(sizeof(double) * (size_t)count),
         *rss = allocate(sizeof(double) * (size_t)count);
  for (int i = -1; i < count; i++) { /* the first is not counted */
    int input = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (input < 0) die(argv[2]);
    int64_t start = now_ns();
    pid_t pid = vfork();
    if (pid < 0) die("vfork");
    if (pid == 0) {
      dup2(input, 0);
      dup2(null_fd, 1);
      execvp(argv[3], argv + 3);
      _exit(127);
    }
    int status;
    struct rusage usage;
    if (wait4(pid, &status, 0, &usage) != pid) die("wait4");
    double took = us_since(start);
    close(input);
    if (status != 0) {
      fprintf(stderr, "%s: wait status %d\n", argv[3], status);
      return 1;
    }
    if (i < 0) continue;
    wall[i] = took;
    cpu[i] = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
             (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    rss[i] = (double)usage.ru_maxrss;
  }
  printf("{");
  print_samples("wallUs", wall, (size_t)count, ",");
  print_samples("cpuUs", cpu, (size_t)count, ",");
  print_samples("rssKb", rss, (size_t)count, "}\n");
  return 0;
}
