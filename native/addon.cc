// The export table: the only file that lists what JavaScript can call (typed in src/native.ts), and the state each
// environment gets. Exports take values, hand them to the threads below and return; what takes time answers with an
// event.

#include <napi.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "convert.h"
#include "environment.h"
#include "sys/identity_checks.h"
#include "sys/orphans.h"
#include "sys/process_ref.h"
#include "sys/terminal.h"
#include "sys/thread.h"
#include "sys/users.h"
#include "watch.h"
#include "watchdog.h"

namespace corral {

namespace {

using State = std::shared_ptr<Environment>;

Environment &environment(const Napi::CallbackInfo &info) {
  return **static_cast<State *>(info.Data());
}

std::shared_ptr<Held> find(const Napi::CallbackInfo &info) {
  auto &held = environment(info).held;
  auto found = held.find(info[0].As<Napi::Number>().Uint32Value());
  return found == held.end() ? nullptr : found->second;
}

void listen(const Napi::CallbackInfo &info) {
  if (!environment(info).listen(info.Env(), info[0].As<Napi::Function>())) {
    Napi::Error::New(info.Env(), "corral: this environment has a listener already").ThrowAsJavaScriptException();
  }
}

void ref(const Napi::CallbackInfo &info) {
  environment(info).ref(info.Env());
}
void unref(const Napi::CallbackInfo &info) {
  environment(info).unref(info.Env());
}

void spawn(const Napi::CallbackInfo &info) {
  Environment &self = environment(info);
  uint32_t id = 0;
  auto request = std::make_unique<sys::SpawnRequest>();
  if (!convert::spawn_request(info.Env(), info[0], info[1], info[2], &id, request.get())) return;
  // Not by make_shared, which needs a newer libstdc++ than the binary may.
  auto held = std::shared_ptr<Held>(new Held(id, self.shared_from_this(), std::move(request)));
  self.held[id] = held;
  self.ref(info.Env());
  Watch::instance().spawn(std::move(held));
}

void stop(const Napi::CallbackInfo &info) {
  auto held = find(info);
  if (held == nullptr || held->kind == Held::Kind::kForeign) return;
  Watch::instance().stop(std::move(held), info[1].As<Napi::Number>().Int32Value(),
                         info[2].As<Napi::Number>().Int64Value());
}

void kill(const Napi::CallbackInfo &info) {
  auto held = find(info);
  if (held == nullptr || held->kind == Held::Kind::kForeign) return;
  Watch::instance().kill(std::move(held));
}

Napi::Value open(const Napi::CallbackInfo &info) {
  Environment &self = environment(info);
  uint32_t id = info[0].As<Napi::Number>().Uint32Value();
  int32_t pid = info[1].As<Napi::Number>().Int32Value();
  bool lossless = true;
  uint64_t expected = info[2].As<Napi::BigInt>().Uint64Value(&lossless);
  sys::Fd pidfd;
  uint64_t ticks = 0;
  // Tried before any is held, since it takes a descriptor: later there may be none to spare.
  (void)sys::has_pidfd_exit_info();
  // kill(2) gives 0, -1 and negative numbers a meaning; nothing here ever does.
  int error = pid <= 0 ? -EINVAL : sys::open_process(pid, expected, &pidfd, &ticks);
  if (error == 0) {
    auto held = std::shared_ptr<Held>(new Held(id, self.shared_from_this()));
    held->pid.store(pid, std::memory_order_relaxed);
    held->start_ticks = ticks;
    held->pidfd.store(pidfd.take(), std::memory_order_release);
    error = Watch::instance().watch_foreign(held);
    if (error == 0) self.held[id] = std::move(held);
  }
  return {info.Env(), convert::ticks_or_errno(info.Env(), error, ticks)};
}

Napi::Value pipes(const Napi::CallbackInfo &info) {
  int fds[3] = {-1, -1, -1};
  if (auto held = find(info)) {
    held->given = std::make_unique<std::array<Held::Given, 3>>();
    for (size_t i = 0; i < 3; i++) {
      fds[i] = held->pipes[i].take();
      (*held->given)[i] = {fds[i], inode_of(fds[i])};
    }
  }
  return {info.Env(), convert::descriptors(info.Env(), fds)};
}

void pipes_taken(const Napi::CallbackInfo &info) {
  if (auto held = find(info)) held->given.reset();
}

Napi::Value signal(const Napi::CallbackInfo &info) {
  auto held = find(info);
  int result = held == nullptr ? -ESRCH
                               : Watch::signal(*held, info[1].As<Napi::Number>().Int32Value(),
                                               info[2].As<Napi::Number>().Int32Value() != 0);
  return Napi::Number::New(info.Env(), result);
}

void close(const Napi::CallbackInfo &info) {
  auto held = find(info);
  if (held == nullptr) return;
  environment(info).held.erase(held->id);
  Watch::instance().close(std::move(held), info[1].ToBoolean().Value());
}

void remove_leaf(const Napi::CallbackInfo &info) {
  Watch::instance().remove_leaf(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::String>().Utf8Value());
}

// A scan has a thread of its own: the pool of the event loop may be busy for long, and a read of /proc may hang.
struct Scan {
  std::shared_ptr<Environment> environment;
  uint32_t id;
  sys::ScanRequest request;

  static void *run(void *data) {
    std::unique_ptr<Scan> scan(static_cast<Scan *>(data));
    // Of everybody: that takes long enough for an event loop to notice. One of the members of a group is over before,
    // and took half as long again with it (measured).
    const sys::ScanRequest &request = scan->request;
    if (!request.by_pid && request.pgid == 0 && request.sid == 0) sys::yield_to_wakers();
    auto table = std::make_unique<sys::ScanTable>();
    const char *syscall = "";
    int error = sys::scan(scan->request, table.get(), &syscall);
    Event event(error == 0 ? Event::Type::kScanned : Event::Type::kScanFailed, scan->id);
    event.error = -error;
    event.syscall = syscall;
    if (error == 0) event.table = std::move(table);
    scan->environment->post(std::move(event));
    return nullptr;
  }
};

void scan(const Napi::CallbackInfo &info) {
  auto scan = std::make_unique<Scan>();
  if (!convert::scan_request(info.Env(), info[0], &scan->id, &scan->request)) return;
  scan->environment = environment(info).shared_from_this();
  int error = sys::start_thread(Scan::run, scan.get(), 512 * 1024);
  if (error == 0) {
    (void)scan.release();
    return;
  }
  Event event(Event::Type::kScanFailed, scan->id);
  event.error = -error;
  event.syscall = "pthread_create";
  scan->environment->post(std::move(event));
}

Napi::Value start_ticks(const Napi::CallbackInfo &info) {
  uint64_t ticks = 0;
  int error = sys::start_ticks(info[0].As<Napi::Number>().Int32Value(), &ticks);
  return {info.Env(), convert::ticks_or_errno(info.Env(), error, ticks)};
}

Napi::Value lineage(const Napi::CallbackInfo &info) {
  std::vector<int32_t> ids;
  int error = sys::lineage(&ids);
  return {info.Env(), convert::numbers_or_errno(info.Env(), error, ids)};
}

Napi::Value kernel(const Napi::CallbackInfo &info) {
  return {info.Env(), convert::kernel_report(info.Env(), sys::kernel())};
}

Napi::Value try_kernel(const Napi::CallbackInfo &info) {
  return {info.Env(), convert::kernel_trial(info.Env())};
}

Napi::Value local_time(const Napi::CallbackInfo &info) {
  return Napi::String::New(info.Env(), sys::local_time(info[0].As<Napi::Number>().Int64Value()));
}

// Undefined where it can not be mapped, or the environment allows no memory of others (Electron).
Napi::Value map_file(const Napi::CallbackInfo &info) {
  const int fd = info[0].As<Napi::Number>().Int32Value();
  const auto size = static_cast<size_t>(info[1].As<Napi::Number>().Int64Value());
  void *start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
  if (start == MAP_FAILED) return info.Env().Undefined();
  const auto unmap = [](napi_env, void *data, void *size) { (void)munmap(data, reinterpret_cast<size_t>(size)); };
  napi_value buffer = nullptr;
  if (napi_create_external_buffer(info.Env(), size, start, unmap, reinterpret_cast<void *>(size), &buffer) == napi_ok)
    return {info.Env(), buffer};
  (void)munmap(start, size);
  return info.Env().Undefined();
}

Napi::Value ended_children(const Napi::CallbackInfo &info) {
  std::vector<corral_member> children;
  int error = sys::ended_children(&children);
  if (error < 0) return Napi::Number::New(info.Env(), error);
  return {info.Env(), convert::members(info.Env(), children)};
}

Napi::Value reap_adopted(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), sys::reap_adopted(info[0].As<Napi::Number>().Int32Value()));
}

Napi::Value set_subreaper(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), sys::set_subreaper(info[0].As<Napi::Boolean>().Value()));
}

Napi::Value get_env(const Napi::CallbackInfo &info) {
  const char *value = getenv(info[0].As<Napi::String>().Utf8Value().c_str());
  return value == nullptr ? info.Env().Null() : Napi::Value(Napi::String::New(info.Env(), value));
}

Napi::Value lookup_user(const Napi::CallbackInfo &info) {
  sys::UserIds ids;
  if (sys::lookup_user(info[0].As<Napi::String>().Utf8Value().c_str(), &ids) <= 0) return info.Env().Null();
  return {info.Env(), convert::user_ids(info.Env(), ids)};
}

Napi::Value lookup_group(const Napi::CallbackInfo &info) {
  uint32_t gid = 0;
  if (sys::lookup_group(info[0].As<Napi::String>().Utf8Value().c_str(), &gid) <= 0) return info.Env().Null();
  return Napi::Number::New(info.Env(), gid);
}

Napi::Value terminal_group(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), sys::terminal_group(info[0].As<Napi::Number>().Int32Value()));
}

Napi::Value set_terminal_group(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), sys::set_terminal_group(info[0].As<Napi::Number>().Int32Value(),
                                                               info[1].As<Napi::Number>().Int32Value()));
}

Napi::Value terminal_modes(const Napi::CallbackInfo &info) {
  struct termios modes = {}; // its padding, too
  if (sys::terminal_modes(info[0].As<Napi::Number>().Int32Value(), &modes) < 0) return info.Env().Null();
  return Napi::Buffer<char>::Copy(info.Env(), reinterpret_cast<const char *>(&modes), sizeof modes);
}

Napi::Value set_terminal_modes(const Napi::CallbackInfo &info) {
  const auto bytes = info[1].As<Napi::Buffer<char>>();
  struct termios modes;
  if (bytes.Length() != sizeof modes) return Napi::Number::New(info.Env(), -EINVAL);
  memcpy(&modes, bytes.Data(), sizeof modes);
  return Napi::Number::New(info.Env(), sys::set_terminal_modes(info[0].As<Napi::Number>().Int32Value(), modes));
}

Napi::Value suspend(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(),
                           sys::suspend(info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::Boolean>().Value()));
}

void leave(const Napi::CallbackInfo &info) {
  sys::leave(info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::Number>().Int32Value(),
             info[2].As<Napi::Boolean>().Value());
}

void watchdog_arm(const Napi::CallbackInfo &info) {
  int error = watchdog::arm(info[0].As<Napi::Number>().Int64Value(), info[1].As<Napi::Number>().Int32Value(),
                            info[2].As<Napi::String>().Utf8Value(), info[3].As<Napi::Number>().Int32Value());
  if (error < 0)
    Napi::Error::New(info.Env(), "corral: the watchdog thread could not be started").ThrowAsJavaScriptException();
}

Napi::Value watchdog_disarm(const Napi::CallbackInfo &info) {
  return Napi::Boolean::New(info.Env(), watchdog::disarm());
}

// By template: a function given as a value would have data of its own, freed by a finalizer, for each export.
struct Exports {
  template <auto function> void add(const char *name) {
    exports.Set(name, Napi::Function::New<function>(env, name, state));
  }

  Napi::Env env;
  Napi::Object exports;
  State *state;
};

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto *state = new State(new Environment());
  env.AddCleanupHook([](State *ending) { delete ending; }, state); // after Environment::shut, whose hook is newer
  Exports all{env, exports, state};
  all.add<listen>("listen");
  all.add<ref>("ref");
  all.add<unref>("unref");
  all.add<spawn>("spawn");
  all.add<stop>("stop");
  all.add<kill>("kill");
  all.add<open>("open");
  all.add<pipes>("pipes");
  all.add<pipes_taken>("pipesTaken");
  all.add<signal>("signal");
  all.add<close>("close");
  all.add<remove_leaf>("removeLeaf");
  all.add<scan>("scan");
  all.add<start_ticks>("startTicks");
  all.add<lineage>("lineage");
  all.add<kernel>("kernel");
  all.add<try_kernel>("tryKernel");
  all.add<local_time>("localTime");
  all.add<map_file>("mapFile");
  all.add<ended_children>("endedChildren");
  all.add<reap_adopted>("reapAdopted");
  all.add<set_subreaper>("setSubreaper");
  all.add<get_env>("getenv");
  all.add<lookup_user>("lookupUser");
  all.add<lookup_group>("lookupGroup");
  all.add<terminal_group>("terminalGroup");
  all.add<set_terminal_group>("setTerminalGroup");
  all.add<terminal_modes>("terminalModes");
  all.add<set_terminal_modes>("setTerminalModes");
  all.add<suspend>("suspend");
  all.add<leave>("leave");
  all.add<watchdog_arm>("watchdogArm");
  all.add<watchdog_disarm>("watchdogDisarm");
#ifdef CORRAL_UNVERIFIED_MARK
  exports.Set("unverified", CORRAL_UNVERIFIED_MARK);
#endif
  return exports;
}

} // namespace

} // namespace corral

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  return corral::init(env, exports);
}

NODE_API_MODULE(corral, Init)
