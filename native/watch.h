// The watch thread: one for the whole process, started on first use and never ended.
//
// It starts every child (so that the JavaScript thread only hands over, and the parent-death signal has a parent thread
// that lives as long as the process), waits for pidfds and keeper sockets with epoll, reaps exactly what it started,
// keeps the deadlines of containment `group`, and posts what happened to the environment that asked.
//
// Shared between threads: what is guarded by Watch::mutex_ and, of each Held, what is marked so.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "environment.h"
#include "sys/kernel.h"
#include "sys/spawn.h"

namespace corral {

// Something a JavaScript handle stands for: a leader of ours, a tree with its keeper, or a foreign process. There may
// be thousands for a long time, so what only a start or few of them need is not in here but behind a pointer.
struct Held {
  enum class Kind : uint8_t { kGroup, kTree, kForeign };

  // kForeign.
  Held(uint32_t id, std::shared_ptr<Environment> environment);
  // kGroup and kTree.
  Held(uint32_t id, std::shared_ptr<Environment> environment, std::unique_ptr<sys::SpawnRequest> request);

  const Kind kind;
  const uint32_t id;
  const std::shared_ptr<Environment> environment;
  const int64_t since_us; // when JavaScript handed it over, monotonic

  // The process signals go to: leader or foreign process. Written once before `started` is posted (or before open
  // returns), read by any thread after it; closed with the object.
  std::atomic<int> pidfd{-1};
  std::atomic<int32_t> pid{0};

  // Guards the next three.
  std::mutex mutex;
  // kGroup: reaping and the group signal of kernels before 6.9 exclude each other, so that a group number can not be
  // recycled in between.
  bool reaped = false;
  // kTree: the way to the keeper. Opened and closed by the watch thread, used by any.
  sys::Fd child_pidfd;
  sys::Fd control;

  // kTree: empty, the keeper is exiting and will be reaped in any case. Closing the id needs no word to the watch
  // thread.
  std::atomic<bool> over{false};

  // JavaScript thread only: the ends of the pipes that it was given, until it has said that they belong to its streams.
  struct Given {
    int fd = -1;
    uint64_t inode = 0;
  };
  std::unique_ptr<std::array<Given, 3>> given;

  // Watch thread only.
  struct Leaf {
    std::string name;
    std::string directory;    // where the keeper's leaf is
    sys::LeafFailure failure; // or why there is none
  };
  // Our ends. The watch thread's until it posts `started`, then JavaScript's, which takes them; what nobody takes
  // closes with the id.
  sys::Fd pipes[3];
  std::unique_ptr<Leaf> leaf;                 // kTree at level cgroup
  std::unique_ptr<sys::SpawnRequest> request; // until it is served: holds argv and environment, large or secret
  std::shared_ptr<Held> itself;               // while the thread waits for it
  uint32_t on_owner_exit = 0;                 // of the request, as the next two: how its ladder goes
  int32_t kill_signal = 0;
  int64_t grace_ms = 0;
  int32_t child_pid = 0;       // what we must reap: leader (kGroup) or keeper (kTree); 0 = nothing (any more)
  uint32_t end_flags = 0;      // kGroup: enum corral_end
  uint64_t start_ticks = 0;    // kForeign
  int64_t deadline_ms = 0;     // kGroup: next step of the ladder, monotonic; 0 = none
  bool forcing = false;        // kGroup: the next step is SIGKILL
  bool asked = false;          // kGroup: the signal of the ladder was sent from here
  bool awaits_reaping = false; // kForeign: dead, and its status comes with the end of the reaping
  bool announced = false;      // `started` or `failed` was posted
  bool finished = false;       // its last event was posted (kTree: came from the keeper)
  bool closed = false;         // nobody wants events any more

  ~Held();
};

class Watch {
public:
  static Watch &instance();

  // Any thread: watches a foreign process from now on. 0; or -errno, and then no news of it will come (-ENOSPC:
  // fs.epoll.max_user_watches).
  int watch_foreign(std::shared_ptr<Held> held);

  // Any thread. They only queue, but what a keeper is told goes straight into its socket: one wake-up less.
  void spawn(std::shared_ptr<Held> held);
  void stop(std::shared_ptr<Held> held, int signal, int64_t grace_ms);
  void kill(std::shared_ptr<Held> held);
  // is_empty: kGroup, nobody of it is alive any more, as whoever closes it knows.
  void close(std::shared_ptr<Held> held, bool is_empty = false);
  // Of a keeper that did not do it: it was killed, or left the tree alone, by policy.
  void remove_leaf(std::string directory, std::string name);

  // Any thread: signals the process or its group, verified through the pidfd. 0 or -errno.
  static int signal(Held &held, int signal, bool group);

private:
  struct Command {
    enum class Type { kSpawn, kStop, kKill, kForeign, kClose, kRemoveLeaf } type;
    std::shared_ptr<Held> held; // none for kRemoveLeaf
    int signal = 0;
    int64_t grace_ms = 0;
    std::string leaf_directory = {}, leaf_name = {};
    bool is_empty = false; // kClose of a kGroup: nobody of it is alive
  };
  // What an epoll entry means; the low bits of its data, the rest is the slot of the Held.
  enum class Source : uint64_t { kWake = 0, kChild = 1, kControl = 2, kForeign = 3 };

  Watch() = default;
  int ensure_running();
  void push(Command &&command);
  void enqueue(Command &&command);
  static void *main(void *self);
  void run();
  void serve_queue();
  void serve(Command &command);
  int add(int fd, Source source, Held *held);
  void drop(sys::Fd &fd);
  void drop_control(Held &held);
  void release(Held &held);

  void start(const std::shared_ptr<Held> &held);
  void fail(Held &held, int stage, int error);
  void begin_ladder(Held &held, int signal, int64_t grace_ms);
  static void ask(Held &held, int signal);
  void force(Held &held);
  void set_deadline(Held &held, int64_t deadline_ms);
  void expire(int64_t now_ms);
  void on_child_exit(Held &held);
  void on_control(Held &held);
  bool on_packet(Held &held, const char *bytes, size_t size, sys::Fd passed);
  void on_foreign_exit(Held &held);

  std::mutex mutex_;
  std::vector<Command> queue_; // guarded by mutex_
  bool asleep_ = false;        // guarded by mutex_: the thread has to be woken for what is queued
  bool started_ = false;       // guarded by mutex_

  int epoll_ = -1, wake_ = -1;
  std::vector<std::shared_ptr<Held>> retired_; // kept until the batch of epoll events that may name them is done
  std::multimap<int64_t, Held *> deadlines_;
};

} // namespace corral
