/* One cgroup v2 directory that holds one tree (a leaf), used through its descriptor: who is in it, ending them,
 * removing it. Serves the keeper, which has no libc, and the addon: raw system calls, no allocation, values or -errno.
 * Where a leaf comes from is cgroup.h. cgroups(7), Documentation/admin-guide/cgroup-v2.rst of the kernel.
 */
#ifndef CORRAL_CGROUP_LEAF_H
#define CORRAL_CGROUP_LEAF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads cgroup.events: 1 when there is a living process in the leaf or below it, 0 when there is none (zombies do not
 * count), or -errno. `events` is an open cgroup.events; after the read, poll(2) on it says POLLPRI at the next change.
 */
long leaf_is_populated(int events);

/* SIGKILL to all in the leaf and below it, whatever their user, in one step that no fork escapes: cgroup.kill, Linux
 * 5.14. -ENOENT on older kernels. */
long leaf_kill(int leaf);
/* Stops (1) or resumes (0) all in the leaf and below: cgroup.freeze, Linux 5.2. The stopped can still be killed. */
long leaf_freeze(int leaf, int is_frozen);

/* Calls visit(pid) for each process in the leaf, and below it as deep as some 30 levels. A number may have died, and
 * been given to a stranger, by the time it is visited. Processes of another pid namespace are passed over. */
void leaf_each_process(int leaf, void (*visit)(int32_t pid));
/* True when /proc/PID/cgroup says that the process is in the leaf of this name, or below it. */
int leaf_has(const char *name, int32_t pid);

/* Removes the leaf and what members have made in it, if nobody is in there: 0, or -EBUSY and the like. */
long leaf_remove(int leaf, const char *name);

#ifdef __cplusplus
}
#endif
#endif
