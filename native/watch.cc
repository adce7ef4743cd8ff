#include "watch.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "keeper_events.h"
#include "sys/identity_checks.h"
#include "sys/kernel.h"
#include "sys/proc_scan.h"
#include "sys/process_ref.h"
#include "sys/reap.h"
#include "sys/thread.h"

namespace corral {

namespace {

constexpr size_t kWatchStack = 512 * 1024;

// False when there is no keeper (yet, or any more).
bool send_packet(Held &held, const void *packet, size_t size) {
  std::lock_guard<std::mutex> lock(held.mutex);
  // A full socket means that the keeper has hundreds of requests before it already: one more would say nothing new.
  if (held.control) (void)send(held.control.get(), packet, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  // A member may have stopped the keeper: SIGSTOP can not be refused.
  if (held.child_pidfd) (void)sys::pidfd_signal(held.child_pidfd.get(), SIGCONT);
  return static_cast<bool>(held.control);
}

bool send_stop(Held &held, int signal, int64_t grace_ms) {
  corral_stop packet{{CORRAL_PROTOCOL_VERSION, CORRAL_STOP, 0, sizeof packet}, signal, 0, grace_ms};
  return send_packet(held, &packet, sizeof packet);
}

// The group at once, without waiting for the keeper to wake up; the keeper reads the packet before it books a death.
bool send_kill(Held &held) {
  corral_header packet{CORRAL_PROTOCOL_VERSION, CORRAL_KILL, 0, sizeof packet};
  if (!send_packet(held, &packet, sizeof packet)) return false;
  const int pidfd = held.pidfd.load(std::memory_order_acquire);
  if (pidfd >= 0 && sys::kernel().pidfd_group_signal) (void)sys::pidfd_signal_group(pidfd, SIGKILL);
  return true;
}

// Now, if the leader is not reaped yet, so that its number is certainly its own; 0 if it is: not known.
int64_t number_held_at(const Held &held) {
  int64_t now = sys::boottime_ticks();
  int pidfd = held.pidfd.load(std::memory_order_acquire);
  return pidfd >= 0 && sys::pidfd_signal(pidfd, 0) != -ESRCH ? now : 0;
}

// What became of the leaf, if one was wanted.
void describe_leaf(const Held &held, uint32_t flags, int error, Event *ret_event) {
  if (!held.leaf) return;
  ret_event->wants_leaf = true;
  ret_event->leaf = flags;
  ret_event->leaf_failure = held.leaf->failure;
  if (!held.leaf->directory.empty()) {
    auto stage = error == 0 ? sys::LeafStage::kNone : sys::LeafStage::kEnter;
    ret_event->leaf_failure = {stage, error, held.leaf->directory};
  }
}

bool has_pipes(const Held &held) {
  for (const sys::Fd &pipe : held.pipes)
    if (pipe) return true;
  return false;
}

// A keeper that could not begin, or not in there, may not even have got hold of it.
void remove_unused_leaf(const Held &held) {
  if (held.leaf && !held.leaf->directory.empty()) sys::remove_leaf(held.leaf->directory, held.leaf->name);
}

// The descriptor that came along, if any. The room for one is padded to that for two (cmsg(3)), so there may be two,
// and both are ours to close. False when there were more than one.
bool take_descriptor(const struct msghdr &message, sys::Fd *ret_fd) {
  size_t count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(const_cast<struct msghdr *>(&message), header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len; at += sizeof(int), count++) {
      int fd;
      memcpy(&fd, reinterpret_cast<const char *>(header) + at, sizeof fd);
      ret_fd->reset(fd);
    }
  }
  return count <= 1;
}

} // namespace

Held::Held(uint32_t id, std::shared_ptr<Environment> environment)
    : kind(Kind::kForeign), id(id), environment(std::move(environment)), since_us(sys::monotonic_us()) {}

Held::Held(uint32_t id, std::shared_ptr<Environment> environment, std::unique_ptr<sys::SpawnRequest> asked)
    : kind(asked->containment == sys::Containment::kGroup ? Kind::kGroup : Kind::kTree), id(id),
      environment(std::move(environment)), since_us(sys::monotonic_us()), request(std::move(asked)),
      on_owner_exit(request->on_owner_exit), kill_signal(request->kill_signal), grace_ms(request->grace_ms) {
  if (request->containment == sys::Containment::kCgroup) leaf.reset(new Leaf{request->leaf, {}, {}});
}

Held::~Held() {
  int fd = pidfd.load(std::memory_order_acquire);
  if (fd >= 0) (void)::close(fd);
}

Watch &Watch::instance() {
  static Watch *watch = new Watch(); // never destroyed: the thread outlives static destruction
  return *watch;
}

// ---- called from any thread
// --------------------------------------------------------------------------------------------

void Watch::spawn(std::shared_ptr<Held> held) {
  push({Command::Type::kSpawn, std::move(held)});
}
void Watch::stop(std::shared_ptr<Held> held, int signal, int64_t grace_ms) {
  if (held->kind == Held::Kind::kTree && send_stop(*held, signal, grace_ms)) return;
  push({Command::Type::kStop, std::move(held), signal, grace_ms});
}
void Watch::kill(std::shared_ptr<Held> held) {
  if (held->kind == Held::Kind::kTree && send_kill(*held)) return;
  push({Command::Type::kKill, std::move(held)});
}
void Watch::close(std::shared_ptr<Held> held, bool is_empty) {
  if (held->over.load(std::memory_order_acquire)) return;
  Command command{Command::Type::kClose, std::move(held)};
  command.is_empty = is_empty;
  push(std::move(command));
}

void Watch::remove_leaf(std::string directory, std::string name) {
  push({Command::Type::kRemoveLeaf, nullptr, 0, 0, std::move(directory), std::move(name)});
}

int Watch::signal(Held &held, int signal, bool group) {
  int pidfd = held.pidfd.load(std::memory_order_acquire);
  if (pidfd < 0) return -ESRCH;
  if (!CORRAL_CHECKS_IDENTITY) {
    int32_t pid = held.pid.load(std::memory_order_relaxed);
    return ::kill(group ? -pid : pid, signal) < 0 ? -errno : 0;
  }
  if (!group) return sys::pidfd_signal(pidfd, signal);
  int result = sys::pidfd_signal_group(pidfd, signal);
  if (result != -EINVAL || sys::kernel().pidfd_group_signal) return result;
  // Before 6.9 a group is signalled by number, which names our group only as long as its leader is not reaped: that of
  // kGroup by us (under the same mutex), that of kTree by the keeper, which keeps it until the tree is empty.
  if (held.kind == Held::Kind::kForeign) return -EOPNOTSUPP;
  std::lock_guard<std::mutex> lock(held.mutex);
  if (held.reaped || sys::pidfd_signal(pidfd, 0) == -ESRCH) return -ESRCH;
  return ::kill(-held.pid.load(std::memory_order_relaxed), signal) < 0 ? -errno : 0;
}

// The event may come before the command is served: both name the Held, which says then that all is done.
int Watch::watch_foreign(std::shared_ptr<Held> held) {
  std::lock_guard<std::mutex> lock(mutex_);
  int error = ensure_running();
  Held *raw = held.get();
  if (error == 0) {
    // First, so that the Held lives on when the event comes at once.
    enqueue({Command::Type::kForeign, std::move(held)});
    error = add(raw->pidfd.load(std::memory_order_relaxed), Source::kForeign, raw);
    if (error < 0) queue_.pop_back();
  }
  return error;
}

void Watch::push(Command &&command) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (int error = ensure_running(); error == 0) {
    enqueue(std::move(command));
  } else if (command.type == Command::Type::kSpawn) {
    fail(*command.held, CORRAL_STAGE_CLONE, -error);
  }
}

// 0; or -errno, out of descriptors, watches or threads: tried again with the next command.
int Watch::ensure_running() {
  if (started_) return 0;
  sys::Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  sys::Fd wake(epoll ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1);
  if (!wake) return -errno;
  epoll_ = epoll.get();
  wake_ = wake.get();
  int error = add(wake_, Source::kWake, nullptr);
  if (error == 0) error = sys::start_thread(main, this, kWatchStack);
  if (error != 0) {
    epoll_ = wake_ = -1;
    return error;
  }
  (void)epoll.take();
  (void)wake.take();
  started_ = true;
  return 0;
}

// Waking it costs as much as all else that a call of JavaScript does: only for who would not look by itself.
void Watch::enqueue(Command &&command) {
  queue_.push_back(std::move(command));
  if (!asleep_) return;
  asleep_ = false;
  uint64_t one = 1;
  (void)!write(wake_, &one, sizeof one);
}

// ---- the thread
// --------------------------------------------------------------------------------------------------------

void *Watch::main(void *self) {
  (void)prctl(PR_SET_NAME, "corral-watch", 0, 0, 0);
  static_cast<Watch *>(self)->run();
  return nullptr;
}

void Watch::run() {
  struct epoll_event events[128];
  for (;;) {
    bool idle;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      idle = asleep_ = queue_.empty();
    }
    int timeout_ms = idle ? -1 : 0;
    if (idle && !deadlines_.empty()) {
      int64_t wait_ms = deadlines_.begin()->first - sys::monotonic_ms();
      timeout_ms = wait_ms < 0 ? 0 : wait_ms > 60000 ? 60000 : static_cast<int>(wait_ms);
    }
    int count = epoll_wait(epoll_, events, 128, timeout_ms);
    if (idle) {
      std::lock_guard<std::mutex> lock(mutex_);
      asleep_ = false;
    }
    for (int i = 0; i < count; i++) {
      Held *held = reinterpret_cast<Held *>(events[i].data.u64 & ~uint64_t{3});
      switch (static_cast<Source>(events[i].data.u64 & 3)) {
      case Source::kWake: {
        uint64_t ignored;
        (void)!read(wake_, &ignored, sizeof ignored);
        break;
      }
      case Source::kChild:
        on_child_exit(*held);
        break;
      case Source::kControl:
        on_control(*held);
        break;
      case Source::kForeign:
        on_foreign_exit(*held);
        break;
      }
    }
    serve_queue();
    if (!deadlines_.empty()) expire(sys::monotonic_ms());
    retired_.clear();
  }
}

// What is queued now, and no more: events must not have to wait for somebody who never stops asking.
void Watch::serve_queue() {
  std::vector<Command> commands;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(queue_);
  }
  for (Command &command : commands) serve(command);
}

void Watch::serve(Command &command) {
  if (command.type == Command::Type::kRemoveLeaf) return sys::remove_leaf(command.leaf_directory, command.leaf_name);
  Held &held = *command.held;
  switch (command.type) {
  case Command::Type::kSpawn:
    start(command.held);
    break;
  case Command::Type::kStop:
    if (held.kind == Held::Kind::kTree) {
      (void)send_stop(held, command.signal, command.grace_ms);
    } else {
      begin_ladder(held, command.signal, command.grace_ms);
    }
    break;
  case Command::Type::kKill:
    if (held.kind == Held::Kind::kTree) {
      (void)send_kill(held);
    } else {
      force(held);
    }
    break;
  case Command::Type::kForeign:
    if (!held.finished) held.itself = command.held;
    break;
  case Command::Type::kRemoveLeaf: // done above
    break;
  case Command::Type::kClose:
    held.closed = true;
    for (sys::Fd &pipe : held.pipes) pipe.reset();
    if (held.kind == Held::Kind::kForeign) {
      (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, held.pidfd.load(std::memory_order_relaxed), nullptr);
      release(held);
    } else if (held.kind == Held::Kind::kTree) {
      drop_control(held); // end of file: to the keeper we are dead, and its onOwnerExit policy decides
    } else if (held.child_pid == 0) {
      // A ladder that still has somebody to end goes on without its listener. A group of zombies looks like that, too,
      // but for whoever has seen that nobody is alive.
      if (!command.is_empty && held.deadline_ms != 0 && Watch::signal(held, 0, true) != -ESRCH) {
        // Whoever sent the signals is gone, and those it had stopped would stay so.
        if (!held.asked) ask(held, held.kill_signal);
        held.itself = command.held;
      } else {
        set_deadline(held, 0);
        release(held);
      }
    } else if (held.on_owner_exit == CORRAL_POLICY_STOP && !held.asked) {
      begin_ladder(held, held.kill_signal, held.grace_ms);
    }
    break;
  }
}

// 0 or -errno: -ENOSPC (fs.epoll.max_user_watches), -ENOMEM.
int Watch::add(int fd, Source source, Held *held) {
  struct epoll_event event = {};
  event.events = EPOLLIN;
  // A child that somebody traces is dead to its pidfd, and to wait(2) only once the tracer lets go of it. The kernel
  // tells that a second time (ptrace(2), "Death under ptrace"); until then the descriptor must not be reported over and
  // over.
  if (source == Source::kChild) event.events |= EPOLLET;
  event.data.u64 = reinterpret_cast<uint64_t>(held) | static_cast<uint64_t>(source);
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

// Closing alone does not take a descriptor out of the epoll set: a child that another thread has just forked holds a
// copy until it execs, and events would go on naming a Held that is gone.
void Watch::drop(sys::Fd &fd) {
  if (fd) (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, fd.get(), nullptr);
  fd.reset();
}

void Watch::drop_control(Held &held) {
  std::lock_guard<std::mutex> lock(held.mutex);
  drop(held.control);
  // A member may have stopped the keeper, and it has to see the end of file.
  if (held.child_pidfd) (void)sys::pidfd_signal(held.child_pidfd.get(), SIGCONT);
}

void Watch::release(Held &held) {
  if (held.itself) retired_.push_back(std::move(held.itself));
}

// ---- starting
// ----------------------------------------------------------------------------------------------------------

void Watch::start(const std::shared_ptr<Held> &shared) {
  Held &held = *shared;
  std::unique_ptr<sys::SpawnRequest> request = std::move(held.request);
  const int64_t timeout_ms = request->timeout_ms;
  sys::Started started;
  sys::SpawnFailure failure;
  bool ok = sys::start(*request, &started, &failure);
  // What can not be watched is not started; a keeper has not begun yet.
  if (ok) {
    int error = add(started.pidfd.get(), Source::kChild, &held);
    if (error == 0 && started.control) error = add(started.control.get(), Source::kControl, &held);
    if (error == 0 && started.control) error = sys::order_start(*request, &started);
    if (error < 0) {
      for (sys::Fd *fd : {&started.control, &started.pidfd})
        if (*fd) (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, fd->get(), nullptr);
      sys::abandon(&started); // closes them
      failure = {held.kind == Held::Kind::kTree ? CORRAL_STAGE_KEEPER : CORRAL_STAGE_CLONE, -error};
      ok = false;
    }
  }
  request.reset(); // closes what was lent to the child, before anybody hears of it
  if (!ok) return fail(held, failure.stage, failure.error);

  held.itself = shared;
  held.child_pid = started.pid;
  for (int i = 0; i < 3; i++) held.pipes[i] = std::move(started.pipes[i]);
  if (held.kind == Held::Kind::kTree) {
    {
      std::lock_guard<std::mutex> lock(held.mutex);
      held.child_pidfd = std::move(started.pidfd);
      held.control = std::move(started.control);
    }
    if (held.leaf) {
      held.leaf->directory = std::move(started.leaf.directory);
      held.leaf->failure = std::move(started.leaf_failure);
    }
    return; // the keeper will say `started` or `failed`
  }
  int pidfd = started.pidfd.take();
  held.pid.store(started.pid, std::memory_order_relaxed);
  held.pidfd.store(pidfd, std::memory_order_release);
  held.announced = true;
  Event event(Event::Type::kStarted, held.id);
  event.pid = started.pid;
  (void)sys::start_ticks(started.pid, &event.start_ticks); // not reaped yet, so this is our child even if it has exited
  event.has_pipes = has_pipes(held);
  held.environment->post(std::move(event));
  if (timeout_ms > 0) set_deadline(held, sys::monotonic_ms() + timeout_ms);
}

void Watch::fail(Held &held, int stage, int error) {
  held.announced = held.finished = true;
  for (sys::Fd &pipe : held.pipes) pipe.reset();
  remove_unused_leaf(held);
  Event event(Event::Type::kFailed, held.id);
  event.stage = stage;
  event.error = error;
  describe_leaf(held, 0, 0, &event);
  held.environment->post(std::move(event));
}

// ---- ending containment `group` (the ladder of a tree runs in its keeper)
// -----------------------------------------------

void Watch::begin_ladder(Held &held, int signal, int64_t grace_ms) {
  if (held.pid.load(std::memory_order_relaxed) == 0) return;
  if (signal == SIGKILL) return force(held);
  int64_t deadline_ms = grace_ms < 0 ? 0 : sys::monotonic_ms() + grace_ms;
  if (held.forcing) { // a ladder is running: it can only get shorter
    if (!held.asked) ask(held, signal);
    if (deadline_ms != 0 && (held.deadline_ms == 0 || deadline_ms < held.deadline_ms)) set_deadline(held, deadline_ms);
    return;
  }
  ask(held, signal);
  held.forcing = true;
  set_deadline(held, deadline_ms);
}

// 0 = nothing: whoever wants only the time kept sends signals of its own, and ours would meet them.
void Watch::ask(Held &held, int signal) {
  if (signal == 0) return;
  held.asked = true;
  (void)Watch::signal(held, signal, true);
  (void)Watch::signal(held, SIGCONT, true); // a stopped member would keep the signal pending for ever
}

void Watch::force(Held &held) {
  set_deadline(held, 0);
  held.forcing = true;
  if (Watch::signal(held, SIGKILL, true) == 0) held.end_flags |= CORRAL_END_FORCED;
}

void Watch::set_deadline(Held &held, int64_t deadline_ms) {
  if (held.deadline_ms != 0) {
    auto range = deadlines_.equal_range(held.deadline_ms);
    for (auto at = range.first; at != range.second; ++at) {
      if (at->second != &held) continue;
      deadlines_.erase(at);
      break;
    }
  }
  held.deadline_ms = deadline_ms;
  if (deadline_ms != 0) deadlines_.emplace(deadline_ms, &held);
}

void Watch::expire(int64_t now_ms) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_ms) {
    Held &held = *deadlines_.begin()->second;
    set_deadline(held, 0);
    if (held.forcing) {
      force(held);
      if (held.child_pid == 0) release(held);
    } else {
      held.end_flags |= CORRAL_END_TIMED_OUT;
      begin_ladder(held, held.kill_signal, held.grace_ms);
    }
  }
}

// ---- what the kernel and the keepers report
// ----------------------------------------------------------------------------

void Watch::on_child_exit(Held &held) {
  if (held.child_pid == 0) return;
  if (held.kind == Held::Kind::kTree) on_control(held); // what the keeper said before it exited comes first
  const int64_t at_ticks = number_held_at(held);
  sys::ExitReport report;
  int reaped;
  {
    std::lock_guard<std::mutex> lock(held.mutex);
    reaped = sys::reap(held.child_pid, sys::Reap::kIfExited, &report);
    if (reaped == 0) return; // a tracer has it still; it will be told again
    if (held.kind == Held::Kind::kGroup) held.reaped = true;
  }
  held.child_pid = 0;

  if (held.kind == Held::Kind::kTree) {
    {
      std::lock_guard<std::mutex> lock(held.mutex);
      drop(held.child_pidfd);
    }
    drop_control(held);
    if (!held.finished) {
      if (!held.announced) {
        fail(held, CORRAL_STAGE_KEEPER, EPIPE);
      } else {
        Event event(Event::Type::kLost, held.id);
        event.status = report.status;
        event.at_ticks = at_ticks;
        held.environment->post(std::move(event));
      }
    }
    release(held);
    return;
  }

  int pidfd = held.pidfd.load(std::memory_order_relaxed);
  (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, pidfd, nullptr);
  // Somebody else in this program reaped it (waitpid of any child, SIGCHLD ignored): the kernel may still tell how it
  // ended.
  bool is_known = reaped > 0 || sys::pidfd_exit_status(pidfd, &report.status) == 0;
  Event event(is_known ? Event::Type::kExited : Event::Type::kLost, held.id);
  event.status = report.status;
  event.at_ticks = at_ticks;
  event.flags = held.end_flags;
  if (sys::number_is_free(pidfd, held.pid.load(std::memory_order_relaxed))) event.flags |= CORRAL_END_ALONE;
  event.elapsed_us = sys::monotonic_us() - held.since_us;
  event.user_us = report.user_us;
  event.system_us = report.system_us;
  event.max_rss_bytes = report.max_rss_bytes;
  held.environment->post(std::move(event));
  // A running ladder goes on for the rest of the group, if there is one: the pidfd still names it (6.9).
  if (!held.forcing || Watch::signal(held, 0, true) == -ESRCH) set_deadline(held, 0);
  if (held.deadline_ms == 0) release(held);
}

void Watch::on_control(Held &held) {
  alignas(8) char bytes[sizeof(corral_members)];
  while (held.control) {
    struct iovec part = {bytes, sizeof bytes};
    alignas(struct cmsghdr) char ancillary[CMSG_SPACE(sizeof(int))];
    struct msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = ancillary;
    message.msg_controllen = sizeof ancillary;
    ssize_t size = recvmsg(held.control.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    // A keeper that ends with a request of ours unread leaves an error before what it has said; it is reported once.
    if (size < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    sys::Fd passed;
    const bool is_packet = size > 0 && take_descriptor(message, &passed) && (message.msg_flags & MSG_TRUNC) == 0;
    if (is_packet && on_packet(held, bytes, static_cast<size_t>(size), std::move(passed))) continue;
    drop_control(held); // end of file, or something that is no packet of ours: the keeper's exit will tell
  }
}

bool Watch::on_packet(Held &held, const char *bytes, size_t size, sys::Fd passed) {
  Event event(Event::Type::kLost, held.id);
  if (!event_of_packet(bytes, size, {held.announced, held.finished}, &event)) return false;
  if (passed && event.type != Event::Type::kStarted) return false;
  switch (event.type) {
  case Event::Type::kStarted: {
    held.announced = true;
    held.pid.store(event.pid, std::memory_order_relaxed);
    if (!passed) { // none came through (no descriptor free): the number has to prove whose it is
      uint64_t ticks = 0;
      if (event.start_ticks != 0) (void)sys::open_process(event.pid, event.start_ticks, &passed, &ticks);
    }
    held.pidfd.store(passed.take(), std::memory_order_release);
    event.keeper_pid = held.child_pid;
    if (event.error != 0) remove_unused_leaf(held);
    describe_leaf(held, event.leaf, event.error, &event);
    event.has_pipes = has_pipes(held);
    break;
  }
  case Event::Type::kFailed:
    fail(held, event.stage, event.error);
    return true;
  case Event::Type::kExited:
    event.at_ticks = number_held_at(held); // the keeper may have reaped it long ago: then not known
    event.elapsed_us = sys::monotonic_us() - held.since_us;
    break;
  case Event::Type::kEmpty:
    held.finished = true;
    held.over.store(true, std::memory_order_release);
    held.environment->post(std::move(event));
    drop_control(held); // the keeper waits for that with its exit
    return true;
  default:
    break;
  }
  held.environment->post(std::move(event));
  return true;
}

void Watch::on_foreign_exit(Held &held) {
  int pidfd = held.pidfd.load(std::memory_order_relaxed);
  if (held.closed || held.finished || !sys::pidfd_is_dead(pidfd)) return;
  Event event(Event::Type::kGone, held.id);
  int error =
      sys::foreign_exit_status(held.pid.load(std::memory_order_relaxed), held.start_ticks, pidfd, &event.status);
  if (error == -EAGAIN && !held.awaits_reaping) {
    held.awaits_reaping = true;
    struct epoll_event only_hangup = {};
    only_hangup.data.u64 = reinterpret_cast<uint64_t>(&held) | static_cast<uint64_t>(Source::kForeign);
    if (epoll_ctl(epoll_, EPOLL_CTL_MOD, pidfd, &only_hangup) == 0) return;
  }
  (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, pidfd, nullptr);
  held.finished = true;
  event.has_status = error == 0;
  held.environment->post(std::move(event));
  release(held);
}

} // namespace corral
