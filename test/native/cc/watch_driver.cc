// The watch thread, the mailboxes, the watchdog and the scan without Node, so
// that the whole program can be built with a sanitizer that must see all of it
// (ThreadSanitizer). What Node gives them is made here: each environment is a
// thread that sleeps until its thread-safe function is called.
//
//   watch_driver KEEPER say WORD...                one tree; prints its events
//   and the descriptors that are left watch_driver KEEPER stress SEED ROUNDS
//   COUNT   COUNT environments, each ROUNDS times: many ids, ended in every way
//                                                  at once, and then the
//                                                  environment itself; prints
//                                                  what it counted
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "../../../native/convert.h"
#include "../../../native/environment.h"
#include "../../../native/sys/keeper_image.h"
#include "../../../native/sys/process_ref.h"
#include "../../../native/watch.h"
#include "../../../native/watchdog.h"

using namespace corral;

// ---- what Node gives

// An environment and its only thread-safe function.
struct FakeNode {
  std::mutex mutex;
  std::condition_variable called;
  bool has_call = false, is_released = false;
  void *context = nullptr;
  napi_threadsafe_function_call_js call_js = nullptr;
  void (*cleanup)(void *) = nullptr;
  void *cleanup_data = nullptr;
  std::vector<Event> received;
};

namespace {

thread_local FakeNode *current;

FakeNode *node_of(void *handle) {
  return static_cast<FakeNode *>(handle);
}

} // namespace

extern "C" {

napi_status napi_create_string_utf8(napi_env, const char *, size_t, napi_value *ret_value) {
  *ret_value = nullptr;
  return napi_ok;
}

napi_status napi_create_threadsafe_function(napi_env env, napi_value, napi_value, napi_value, size_t, size_t, void *,
                                            napi_finalize, void *context, napi_threadsafe_function_call_js call_js,
                                            napi_threadsafe_function *ret_function) {
  FakeNode *node = node_of(env);
  node->context = context;
  node->call_js = call_js;
  *ret_function = reinterpret_cast<napi_threadsafe_function>(node);
  return napi_ok;
}

napi_status napi_call_threadsafe_function(napi_threadsafe_function function, void *,
                                          napi_threadsafe_function_call_mode) {
  FakeNode *node = node_of(function);
  std::lock_guard<std::mutex> lock(node->mutex);
  if (node->is_released) abort(); // the mailbox promises not to
  node->has_call = true;
  node->called.notify_one();
  return napi_ok;
}

napi_status napi_release_threadsafe_function(napi_threadsafe_function function, napi_threadsafe_function_release_mode) {
  FakeNode *node = node_of(function);
  std::lock_guard<std::mutex> lock(node->mutex);
  node->is_released = true;
  return napi_ok;
}

napi_status napi_ref_threadsafe_function(napi_env, napi_threadsafe_function) {
  return napi_ok;
}
napi_status napi_unref_threadsafe_function(napi_env, napi_threadsafe_function) {
  return napi_ok;
}
napi_status napi_get_undefined(napi_env, napi_value *ret_value) {
  *ret_value = nullptr;
  return napi_ok;
}
napi_status napi_call_function(napi_env, napi_value, napi_value, size_t, const napi_value *, napi_value *) {
  return napi_ok; // convert::events has handed them over already
}

napi_status napi_add_env_cleanup_hook(napi_env env, void (*cleanup)(void *), void *data) {
  FakeNode *node = node_of(env);
  node->cleanup = cleanup;
  node->cleanup_data = data;
  return napi_ok;
}
}

namespace corral::convert {

napi_value events(napi_env env, std::vector<Event> &events) {
  for (Event &event : events) current->received.push_back(std::move(event));
  return reinterpret_cast<napi_value>(env);
}

} // namespace corral::convert

// ---- the keeper, from a file

namespace {

const char *keeper_file;

[[noreturn]] void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(70);
}

} // namespace

namespace corral::sys {

int keeper_fd() {
  static const int fd = open(keeper_file, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}
bool keeper_refused() {
  return false;
}

} // namespace corral::sys

namespace {

// ---- an environment

class Script {
public:
  Script() : environment_(std::make_shared<Environment>()) {
    current = &node_;
    const auto env = reinterpret_cast<napi_env>(&node_);
    if (!environment_->listen(Napi::Env(env), Napi::Function(env, nullptr))) die("listen");
  }

  // As at the end of a worker: at any moment, whatever is on its way.
  ~Script() {
    if (node_.cleanup != nullptr) node_.cleanup(node_.cleanup_data);
  }

  std::shared_ptr<Held> spawn(Held::Kind kind, uint32_t id, const std::vector<std::string> &command, int64_t grace_ms) {
    auto request = std::make_unique<sys::SpawnRequest>();
    request->containment = kind == Held::Kind::kTree ? sys::Containment::kTree : sys::Containment::kGroup;
    request->file = command[0];
    for (const std::string &word : command) request->argv += word + '\0';
    request->env = std::string("PATH=") + getenv("PATH") + '\0';
    request->grace_ms = grace_ms;
    request->stdio[1] = sys::kStdioPipe;
    auto held = std::make_shared<Held>(id, environment_, std::move(request));
    environment_->held.emplace(id, held);
    Watch::instance().spawn(held);
    return held;
  }

  std::shared_ptr<Held> open(uint32_t id, int32_t pid) {
    auto held = std::make_shared<Held>(id, environment_);
    sys::Fd pidfd;
    if (sys::open_process(pid, 0, &pidfd, &held->start_ticks) < 0) return nullptr;
    held->pid.store(pid, std::memory_order_relaxed);
    held->pidfd.store(pidfd.take(), std::memory_order_release);
    environment_->held.emplace(id, held);
    Watch::instance().watch_foreign(held);
    return held;
  }

  void close(uint32_t id) {
    auto found = environment_->held.find(id);
    if (found == environment_->held.end()) return;
    Watch::instance().close(found->second);
    environment_->held.erase(found);
  }

  // Sleeps until there are events; false when there were none for so long.
  bool receive(int timeout_ms) {
    {
      std::unique_lock<std::mutex> lock(node_.mutex);
      const auto is_called = [this] { return node_.has_call; };
      if (!node_.called.wait_for(lock, std::chrono::milliseconds(timeout_ms), is_called)) return false;
      node_.has_call = false;
    }
    const auto env = reinterpret_cast<napi_env>(&node_);
    node_.call_js(env, nullptr, node_.context, nullptr);
    return true;
  }

  std::vector<Event> take() { return std::exchange(node_.received, {}); }

private:
  FakeNode node_;
  std::shared_ptr<Environment> environment_;
};

constexpr int kPatienceMs = 60000;

size_t count_descriptors() {
  DIR *directory = opendir("/proc/self/fd");
  if (directory == nullptr) die("/proc/self/fd");
  size_t count = 0;
  while (readdir(directory) != nullptr) count++;
  (void)closedir(directory);
  return count;
}

const char *name_of(Event::Type type) {
  static const char *const names[] = {"started", "failed", "exited", "terminated", "survivors", "empty",
                                      "stopped", "hungUp", "lost",   "gone",       "scanned",   "scanFailed"};
  return names[static_cast<int>(type)];
}

bool is_last(Event::Type type) {
  return type == Event::Type::kFailed || type == Event::Type::kEmpty || type == Event::Type::kLost;
}

// Descriptors there are once the keeper's end has been seen and what belonged
// to it let go.
size_t settled_descriptors(size_t expected) {
  for (int polls = 0; count_descriptors() > expected && polls < 1000; polls++) (void)poll(nullptr, 0, 5);
  return count_descriptors();
}

void hear(Script &script, uint32_t id, std::vector<std::string> words, bool is_shown) {
  words.insert(words.begin(), "exit"); // argv[0]: never read
  (void)script.spawn(Held::Kind::kTree, id, words, 100);
  for (bool is_over = false; !is_over;) {
    if (!script.receive(kPatienceMs)) die("an end that was promised");
    for (const Event &event : script.take()) {
      is_over |= is_last(event.type);
      if (!is_shown) continue;
      printf("%s", name_of(event.type));
      if (event.type == Event::Type::kFailed) printf(" %d %d", event.stage, event.error);
      if (event.type == Event::Type::kStarted) printf(" %d", event.pid);
      for (const corral_member &member : event.members) printf(" %d:%s", member.pid, member.name);
      puts("");
    }
  }
  script.close(id);
}

int say(int count, char **words) {
  Script script;
  hear(script, 1, {"exit"},
       false);                               // makes what stays: epoll, eventfd, the keeper's file
  const size_t before = count_descriptors(); // the end of a failed start is
                                             // told when all is closed
  hear(script, 2, std::vector<std::string>(words, words + count), true);
  printf("%zu descriptors left\n", settled_descriptors(before) - before);
  return 0;
}

// ---- stress

class Random {
public:
  explicit Random(uint64_t seed) : state_(seed * 2654435761u + 88172645463325252u) {}
  uint32_t below(uint32_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(state_ >> 32) % limit;
  }

private:
  uint64_t state_;
};

struct {
  std::atomic<uint32_t> spawned{0}, ended{0}, abandoned{0}, signals{0}, scans{0};
} counts;

// Signals from a thread that is not the environment's, while all else goes on.
struct Neighbour {
  std::vector<std::shared_ptr<Held>> helds;

  static void *run(void *self) {
    for (int i = 0; i < 20; i++) {
      for (const std::shared_ptr<Held> &held : static_cast<Neighbour *>(self)->helds) {
        (void)Watch::signal(*held, i == 19 ? SIGTERM : 0, (i & 1) != 0);
        counts.signals++;
      }
    }
    return nullptr;
  }
};

void scan_in_two() {
  sys::ScanRequest request;
  request.fields = sys::kFieldStat | sys::kFieldArgs | sys::kFieldEnv;
  request.batch = 1;
  sys::ScanTable table;
  const char *call = "";
  if (sys::scan(request, &table, &call) != 0 || table.count == 0) die(call);
  counts.scans++;
}

bool is_end(const Event &event, Held::Kind kind) {
  return is_last(event.type) || (kind == Held::Kind::kGroup && event.type == Event::Type::kExited);
}

// One life of an environment.
void live(Random &random) {
  static const std::vector<std::string> commands[] = {
      {"sleep", "1000"},
      {"true"},
      {"/nonexistent"},
      {"sh", "-c", "trap '' TERM; sleep 1000 & setsid sleep 1000 & wait"},
  };
  Script script;
  Neighbour neighbour;
  std::map<uint32_t, std::shared_ptr<Held>> open;
  for (uint32_t id = 1 + random.below(6); id > 0; id--) {
    const auto kind = random.below(3) == 0 ? Held::Kind::kGroup : Held::Kind::kTree;
    // The last one has a member that leaves the group, which only a keeper
    // ends.
    auto held = script.spawn(kind, id, commands[random.below(kind == Held::Kind::kTree ? 4 : 3)], 20);
    counts.spawned++;
    open.emplace(id, held);
    neighbour.helds.push_back(held);
    switch (random.below(5)) {
    case 0:
      Watch::instance().stop(held, SIGTERM, random.below(30));
      break;
    case 1:
      Watch::instance().kill(held);
      break;
    case 2:
      script.close(id);
      open.erase(id);
      counts.abandoned++;
      break;
    default:
      break;
    }
  }
  const std::shared_ptr<Held> parent = script.open(1000, getppid());
  if (parent != nullptr) (void)Watch::signal(*parent, 0, false);
  pthread_t thread;
  const bool has_neighbour = pthread_create(&thread, nullptr, Neighbour::run, &neighbour) == 0;
  if (watchdog::arm(1000000, 2, "watchdog\n", 9) < 0) die("watchdog");
  if (random.below(4) == 0) scan_in_two();
  const bool is_patient = random.below(3) != 0;
  while (is_patient && !open.empty()) {
    if (!script.receive(kPatienceMs)) die("an end that was promised");
    for (const Event &event : script.take()) {
      auto found = open.find(event.id);
      if (found == open.end()) continue;
      if (event.type == Event::Type::kStarted) Watch::instance().stop(found->second, SIGTERM, 10);
      if (!is_end(event, found->second->kind)) continue;
      open.erase(found);
      counts.ended++;
    }
  }
  counts.abandoned += static_cast<uint32_t>(open.size());
  if (random.below(2) == 0) script.close(1000);
  if (has_neighbour) (void)pthread_join(thread, nullptr);
  (void)watchdog::disarm();
}

struct Worker {
  pthread_t thread = 0;
  uint64_t seed = 0;
  int rounds = 0;

  static void *run(void *self) {
    auto *worker = static_cast<Worker *>(self);
    Random random(worker->seed);
    for (int round = 0; round < worker->rounds; round++) live(random);
    return nullptr;
  }
};

int stress(uint64_t seed, int rounds, size_t worker_count) {
  std::vector<Worker> workers(worker_count);
  for (Worker &worker : workers) {
    worker.seed = seed++;
    worker.rounds = rounds;
    if (int error = pthread_create(&worker.thread, nullptr, Worker::run, &worker); error != 0) die("pthread_create");
  }
  for (Worker &worker : workers) (void)pthread_join(worker.thread, nullptr);
  // What was abandoned is ended all the same, and reaped by the watch thread:
  // in the end we have no child.
  siginfo_t info;
  for (int polls = 0; waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0; polls++) {
    if (polls > kPatienceMs / 10) die("children that nobody ends");
    (void)poll(nullptr, 0, 10);
  }
  printf("%u spawned, %u ended, %u abandoned, %u signals, %u scans\n", counts.spawned.load(), counts.ended.load(),
         counts.abandoned.load(), counts.signals.load(), counts.scans.load());
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 3) return 64;
  keeper_file = argv[1];
  if (strcmp(argv[2], "say") == 0) return say(argc - 3, argv + 3);
  if (argc != 6 || strcmp(argv[2], "stress") != 0) return 64;
  return stress(strtoull(argv[3], nullptr, 10), atoi(argv[4]), strtoul(argv[5], nullptr, 10));
}
