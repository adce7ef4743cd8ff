#include "spawn.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "../keeper/protocol.h"
#include "keeper_image.h"
#include "kernel.h"
#include "reap.h"

namespace corral::sys {

namespace {

// Splits "a\0b\0" into pointers, after `reserved` writable slots and before a null.
std::vector<char *> pointers(std::string &text, size_t reserved) {
  std::vector<char *> list(reserved, nullptr);
  for (size_t at = 0; at < text.size();) {
    list.push_back(&text[at]);
    size_t end = text.find('\0', at);
    at = end == std::string::npos ? text.size() : end + 1;
  }
  list.push_back(nullptr);
  return list;
}

// The child's ends. Those we made close with this object, those the caller named stay open.
struct ChildStdio {
  Fd owned[3];
  int fds[3] = {-1, -1, -1};
};

int open_stdio(const int (&wanted)[3], ChildStdio *ret_child, Fd (&ret_ours)[3]) {
  for (int i = 0; i < 3; i++) {
    if (wanted[i] == kStdioPipe) {
      int ends[2];
      if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
      Fd read_end(ends[0]), write_end(ends[1]);
      Fd &ours = i == 0 ? write_end : read_end;
      Fd &theirs = i == 0 ? read_end : write_end;
      // Each end has a file description of its own: the child's stays blocking, as programs expect.
      if (fcntl(ours.get(), F_SETFL, O_NONBLOCK) < 0) return -errno;
      ret_ours[i] = std::move(ours);
      ret_child->owned[i] = std::move(theirs);
      ret_child->fds[i] = ret_child->owned[i].get();
    } else if (wanted[i] == kStdioIgnore) {
      ret_child->owned[i].reset(open("/dev/null", O_RDWR | O_CLOEXEC));
      if (!ret_child->owned[i]) return -errno;
      ret_child->fds[i] = ret_child->owned[i].get();
    } else {
      ret_child->fds[i] = wanted[i]; // the caller keeps it open until we return
    }
  }
  return 0;
}

// One stack serves every spawn: only the watch thread spawns, and it sleeps until the child has left it. Guarded at its
// low end.
void *child_stack() {
  static void *stack = nullptr;
  if (stack == nullptr) {
    void *memory = mmap(nullptr, CORRAL_CHILD_STACK + 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    (void)mprotect(memory, 4096, PROT_NONE);
    stack = static_cast<char *>(memory) + 4096;
  }
  return stack;
}

// Starts what the plan says; a child that failed before exec is reaped here.
bool start_child(corral_child_plan *plan, Started *ret_started, SpawnFailure *ret_failure) {
  void *stack = child_stack();
  if (stack == nullptr) {
    *ret_failure = {CORRAL_STAGE_CLONE, ENOMEM};
    return false;
  }
  int pidfd = -1;
  long pid = corral_start_child(plan, stack, CORRAL_CHILD_STACK, &pidfd);
  if (pid < 0) {
    *ret_failure = {CORRAL_STAGE_CLONE, static_cast<int>(-pid)};
    return false;
  }
  // Some filters refuse flags of clone that they do not know. Our own child, not reaped: the number is certainly its.
  if (pidfd < 0) pidfd = pidfd_open(static_cast<int32_t>(pid));
  ret_started->pid = static_cast<int32_t>(pid);
  ret_started->pidfd.reset(pidfd < 0 ? -1 : pidfd);
  if (plan->failed_stage == CORRAL_STAGE_NONE) {
    if (pidfd >= 0) return true;
    abandon(ret_started);
    *ret_failure = {CORRAL_STAGE_CLONE, -pidfd};
    return false;
  }
  *ret_failure = {plan->failed_stage, plan->failed_errno};
  // It has called _exit already, so this does not block; it only may not be a zombie yet.
  ExitReport ignored;
  (void)reap(ret_started->pid, Reap::kWait, &ignored);
  ret_started->pidfd.reset();
  return false;
}

// Through the keeper. `plan` has the environment and stdio of the leader, for whom the keeper keeps them.
bool start_kept(SpawnRequest &request, corral_child_plan &plan, Started *ret_started, SpawnFailure *ret_failure) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    *ret_failure = {CORRAL_STAGE_KEEPER, errno};
    return false;
  }
  Fd ours(ends[0]), theirs(ends[1]);
  if (fcntl(ours.get(), F_SETFL, O_NONBLOCK) < 0) {
    *ret_failure = {CORRAL_STAGE_KEEPER, errno};
    return false;
  }

  std::string head("corral-keeper\0", 14);
  head += request.file + '\0' + request.cwd + '\0';
  std::vector<char *> argv = pointers(head, 1);
  argv.pop_back();
  std::vector<char *> rest = pointers(request.argv, 0);
  argv.insert(argv.end(), rest.begin(), rest.end());
  corral_settings own_place{};
  // A session is inherited, so the keeper has to stay in ours for its leader to be in it; in a group of its own, which
  // no key of the terminal reaches.
  own_place.flags = request.terminal != Terminal::kNone ? CORRAL_SET_GROUP : CORRAL_SET_SESSION;
  plan.argv = argv.data() + 1;
  plan.control_fd = theirs.get();
  plan.settings = &own_place;
  do {
    plan.exec_fd = keeper_fd();
    if (plan.exec_fd < 0) {
      *ret_failure = {CORRAL_STAGE_KEEPER, -plan.exec_fd};
      return false;
    }
    plan.failed_stage = CORRAL_STAGE_NONE;
    if (start_child(&plan, ret_started, ret_failure)) {
      ret_started->control = std::move(ours);
      return true;
    }
    // Policy may refuse to execute what it allowed to create (noexec memfd, a security module).
  } while (ret_failure->stage == CORRAL_STAGE_EXEC && (ret_failure->error == EACCES || ret_failure->error == EPERM) &&
           keeper_refused());
  // Too long arguments are the caller's; whatever else the exec of the keeper failed with is ours.
  if (ret_failure->stage == CORRAL_STAGE_EXEC && ret_failure->error != E2BIG) ret_failure->stage = CORRAL_STAGE_KEEPER;
  return false;
}

} // namespace

bool start(SpawnRequest &request, Started *ret_started, SpawnFailure *ret_failure) {
  ChildStdio stdio;
  if (int error = open_stdio(request.stdio, &stdio, ret_started->pipes); error < 0) {
    *ret_failure = {CORRAL_STAGE_STDIO, -error};
    return false;
  }
  corral_child_plan plan{};
  for (int i = 0; i < 3; i++) plan.stdio[i] = stdio.fds[i];
  std::vector<char *> env = pointers(request.env, 0);
  plan.envp = env.data();
  plan.parent_pid = getpid();

  if (request.containment == Containment::kGroup) {
    // argv[-1] is the slot that execvp's script rule needs.
    std::vector<char *> argv = pointers(request.argv, 1);
    request.settings.flags |= CORRAL_SET_SESSION;
    if (request.on_owner_exit == CORRAL_POLICY_STOP) {
      request.settings.flags |= CORRAL_SET_DEATHSIG;
      request.settings.death_signal = SIGKILL;
    }
    plan.file = request.file.c_str();
    plan.exec_fd = -1;
    plan.argv = argv.data() + 1;
    plan.cwd = request.cwd.c_str();
    plan.control_fd = -1;
    plan.settings = &request.settings;
    return start_child(&plan, ret_started, ret_failure);
  }

  Leaf &leaf = ret_started->leaf;
  if (request.containment == Containment::kCgroup) (void)make_leaf(request.leaf, &leaf, &ret_started->leaf_failure);
  const bool ok = start_kept(request, plan, ret_started, ret_failure);
  if (!ok) leaf.discard();
  return ok;
}

int order_start(const SpawnRequest &request, Started *started) {
  corral_start packet{};
  packet.header = {CORRAL_PROTOCOL_VERSION, CORRAL_START, 0, sizeof packet};
  packet.kill_signal = request.kill_signal;
  packet.on_leader_exit = request.on_leader_exit;
  packet.on_owner_exit = request.on_owner_exit;
  packet.grace_ms = request.grace_ms;
  packet.timeout_ms = request.timeout_ms;
  packet.settings = request.settings;
  if (request.terminal != Terminal::kNone) packet.settings.flags |= CORRAL_SET_GROUP;
  if (request.terminal == Terminal::kForeground) packet.settings.flags |= CORRAL_SET_FOREGROUND;
  Leaf &leaf = started->leaf;
  (void)leaf.name.copy(packet.leaf, sizeof packet.leaf - 1);

  struct iovec part = {&packet, sizeof packet};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(struct cmsghdr) char ancillary[CMSG_SPACE(sizeof(int))] = {};
  if (leaf.fd) {
    message.msg_control = ancillary;
    message.msg_controllen = sizeof ancillary;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_len = CMSG_LEN(sizeof(int));
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    const int fd = leaf.fd.get();
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  const ssize_t sent = sendmsg(started->control.get(), &message, MSG_NOSIGNAL);
  const int error = sent == sizeof packet ? 0 : sent < 0 ? -errno : -EMSGSIZE;
  if (error == 0) leaf.fd.reset(); // the keeper holds the lock from here on
  return error;
}

void abandon(Started *started) {
  // Each leads a group of its own, and is not reaped: the number is certainly that of its group.
  // Unless somebody else in this program has: the pidfd knows.
  if (!started->pidfd || pidfd_signal(started->pidfd.get(), 0) != -ESRCH) (void)kill(-started->pid, SIGKILL);
  ExitReport ignored;
  (void)reap(started->pid, Reap::kWait, &ignored);
  started->leaf.discard();
  *started = Started();
}

} // namespace corral::sys
