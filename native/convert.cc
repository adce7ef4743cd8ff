#include "convert.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "sys/keeper_image.h"

extern char **environ;

namespace corral::convert {

namespace {

double number(const Napi::Object &object, const char *name, double otherwise) {
  Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : otherwise;
}

int32_t integer(const Napi::Object &object, const char *name, int32_t otherwise) {
  return static_cast<int32_t>(number(object, name, otherwise));
}

std::string text(const Napi::Object &object, const char *name) {
  Napi::Value value = object.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

bool refuse(Napi::Env env, const char *message) {
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return false;
}

// `environ` with the entries of `overrides` laid over it: "KEY=VALUE" replaces, "KEY" deletes. Called on the JavaScript
// thread, which is also the one that writes `environ` when process.env is assigned to.
std::string inherited_env(const std::string &overrides) {
  struct Override {
    const char *text;
    size_t name_size;
    bool deletes;
  };
  std::vector<Override> list;
  size_t size = overrides.size();
  for (size_t at = 0; at < overrides.size(); at += strlen(&overrides[at]) + 1) {
    const char *entry = &overrides[at];
    const char *equals = strchr(entry, '=');
    list.push_back({entry, equals == nullptr ? strlen(entry) : static_cast<size_t>(equals - entry), equals == nullptr});
  }
  const auto overridden = [&](const char *entry) {
    for (const Override &one : list) {
      if (strncmp(entry, one.text, one.name_size) == 0 && entry[one.name_size] == '=') return true;
    }
    return false;
  };
  for (char **entry = environ; entry != nullptr && *entry != nullptr; entry++) size += strlen(*entry) + 1;
  std::string result;
  result.reserve(size);
  for (char **entry = environ; entry != nullptr && *entry != nullptr; entry++) {
    if (!overridden(*entry)) result.append(*entry, strlen(*entry) + 1);
  }
  for (const Override &one : list) {
    if (!one.deletes) result.append(one.text, strlen(one.text) + 1);
  }
  return result;
}

bool settings(Napi::Env env, const Napi::Object &from, corral_settings *to) {
  const auto flagged = [&](const char *name, uint32_t flag, auto set) {
    Napi::Value value = from.Get(name);
    if (!value.IsNumber()) return;
    to->flags |= flag;
    set(value.As<Napi::Number>().DoubleValue());
  };
  flagged("uid", CORRAL_SET_UID, [&](double v) { to->uid = static_cast<uint32_t>(v); });
  flagged("gid", CORRAL_SET_GID, [&](double v) { to->gid = static_cast<uint32_t>(v); });
  flagged("umask", CORRAL_SET_UMASK, [&](double v) { to->umask = static_cast<uint32_t>(v); });
  flagged("nice", CORRAL_SET_NICE, [&](double v) { to->nice = static_cast<int32_t>(v); });
  flagged("oomScoreAdj", CORRAL_SET_OOM, [&](double v) { to->oom_score_adj = static_cast<int32_t>(v); });
  Napi::Value no_new_privs = from.Get("noNewPrivs");
  if (no_new_privs.IsBoolean() && no_new_privs.As<Napi::Boolean>().Value()) to->flags |= CORRAL_SET_NO_NEW_PRIVS;

  if (Napi::Value value = from.Get("groups"); value.IsArray()) {
    Napi::Array groups = value.As<Napi::Array>();
    if (groups.Length() > CORRAL_MAX_GROUPS) return refuse(env, "corral: too many supplementary groups");
    to->flags |= CORRAL_SET_GROUPS;
    to->group_count = groups.Length();
    for (uint32_t i = 0; i < groups.Length(); i++) to->groups[i] = Napi::Value(groups[i]).As<Napi::Number>().Uint32Value();
  }
  if (Napi::Value value = from.Get("limits"); value.IsArray()) {
    Napi::Array limits = value.As<Napi::Array>();
    if (limits.Length() > 3 * CORRAL_MAX_LIMITS || limits.Length() % 3 != 0) return refuse(env, "corral: malformed resource limits");
    const auto at = [&](uint32_t i) { return Napi::Value(limits[i]).As<Napi::Number>().DoubleValue(); };
    const auto amount = [](double v) { return std::isinf(v) || v >= 18446744073709551615.0 ? std::numeric_limits<uint64_t>::max() : static_cast<uint64_t>(v); };
    to->limit_count = limits.Length() / 3;
    for (uint32_t i = 0; i < to->limit_count; i++) {
      to->limits[i].resource = static_cast<uint32_t>(at(3 * i));
      to->limits[i].soft = amount(at(3 * i + 1));
      to->limits[i].hard = amount(at(3 * i + 2));
    }
  }
  return true;
}

// The block is copied once; every column is a view of the copy.
Napi::Object scan_columns(Napi::Env env, const sys::ScanTable &table) {
  Napi::Object columns = Napi::Object::New(env);
  columns["count"] = Napi::Number::New(env, table.count);
  columns["nowTicks"] = Napi::BigInt::New(env, table.now_ticks);
  columns["nowMs"] = Napi::Number::New(env, table.now_ms);
  Napi::ArrayBuffer memory = Napi::ArrayBuffer::New(env, table.block_size());
  if (table.block_size() > 0) memcpy(memory.Data(), table.block(), table.block_size());
  for (int i = 0; i < sys::kColumnCount; i++) {
    const sys::ScanTable::Slice &slice = table.columns[i];
    if (!slice.present) continue;
    const auto view = [&](napi_typedarray_type type) {
      napi_value array = nullptr;
      (void)napi_create_typedarray(env, type, slice.length, memory, slice.offset, &array);
      columns.Set(sys::kColumnTypes[i].name, Napi::Value(env, array));
    };
    switch (sys::kColumnTypes[i].element) {
    case sys::Element::kUint8: view(napi_uint8_array); break;
    case sys::Element::kInt32: view(napi_int32_array); break;
    case sys::Element::kUint32:
    case sys::Element::kText: view(napi_uint32_array); break;
    case sys::Element::kUint64: view(napi_biguint64_array); break;
    case sys::Element::kDouble: view(napi_float64_array); break;
    }
  }
  return columns;
}

Napi::Object described(Napi::Env env, Event &event) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char *name, double value) { object[name] = Napi::Number::New(env, value); };
  const auto type = [&](const char *name) { object["type"] = Napi::String::New(env, name); };
  set("id", event.id);
  switch (event.type) {
  case Event::Type::kStarted:
    type("started");
    set("pid", event.pid);
    object["startTicks"] = Napi::BigInt::New(env, event.start_ticks);
    set("keeperPid", event.keeper_pid);
    set("stdin", event.pipes[0].take());
    set("stdout", event.pipes[1].take());
    set("stderr", event.pipes[2].take());
    break;
  case Event::Type::kFailed:
    type("failed");
    set("stage", event.stage);
    set("errno", -event.error);
    break;
  case Event::Type::kExited:
    type("exited");
    set("status", event.status);
    set("flags", event.flags);
    set("elapsedUs", static_cast<double>(event.elapsed_us));
    set("userUs", static_cast<double>(event.user_us));
    set("systemUs", static_cast<double>(event.system_us));
    set("maxRssBytes", static_cast<double>(event.max_rss_bytes));
    break;
  case Event::Type::kTerminated:
  case Event::Type::kSurvivors: {
    type(event.type == Event::Type::kTerminated ? "terminated" : "survivors");
    Napi::Array members = Napi::Array::New(env, event.members.size());
    for (size_t i = 0; i < event.members.size(); i++) {
      const corral_member &member = event.members[i];
      Napi::Object row = Napi::Object::New(env);
      row["pid"] = Napi::Number::New(env, member.pid);
      row["startTicks"] = Napi::BigInt::New(env, static_cast<uint64_t>(member.start_ticks));
      row["name"] = Napi::String::New(env, member.name, strnlen(member.name, sizeof member.name));
      row["detail"] = Napi::Number::New(env, member.detail);
      members[static_cast<uint32_t>(i)] = row;
    }
    object["members"] = members;
    break;
  }
  case Event::Type::kEmpty:
    type("empty");
    set("flags", event.flags);
    set("durationUs", static_cast<double>(event.duration_us));
    break;
  case Event::Type::kLost:
    type("lost");
    set("status", event.status);
    break;
  case Event::Type::kGone:
    type("gone");
    if (event.has_status) {
      set("status", event.status);
    } else {
      object["status"] = env.Null();
    }
    break;
  case Event::Type::kScanned:
    type("scanned");
    object["table"] = scan_columns(env, *event.table);
    break;
  case Event::Type::kScanFailed:
    type("scanFailed");
    set("errno", -event.error);
    object["syscall"] = Napi::String::New(env, event.syscall);
    break;
  }
  return object;
}

} // namespace

bool spawn_request(Napi::Env env, Napi::Value value, uint32_t *ret_id, sys::SpawnRequest *ret_request) {
  if (!value.IsObject()) return refuse(env, "corral: spawn needs a request");
  Napi::Object object = value.As<Napi::Object>();
  sys::SpawnRequest &request = *ret_request;
  *ret_id = static_cast<uint32_t>(number(object, "id", 0));
  request.containment = integer(object, "containment", 1) == 0 ? sys::Containment::kGroup : sys::Containment::kTree;
  request.file = text(object, "file");
  request.cwd = text(object, "cwd");
  request.argv = text(object, "argv");
  request.env = text(object, "env");
  if (Napi::Value inherit = object.Get("inheritEnv"); inherit.IsBoolean() && inherit.As<Napi::Boolean>().Value()) {
    request.env = inherited_env(request.env);
  }
  request.kill_signal = integer(object, "killSignal", 15);
  request.grace_ms = static_cast<int64_t>(number(object, "graceMs", 5000));
  request.timeout_ms = static_cast<int64_t>(number(object, "timeoutMs", 0));
  request.on_leader_exit = static_cast<uint32_t>(integer(object, "onLeaderExit", 0));
  request.on_owner_exit = static_cast<uint32_t>(integer(object, "onOwnerExit", 0));
  const char *const names[3] = {"stdin", "stdout", "stderr"};
  for (int i = 0; i < 3; i++) {
    int wanted = integer(object, names[i], sys::kStdioIgnore);
    request.stdio[i] = wanted;
    if (wanted <= 2) continue;
    request.lent[i].reset(fcntl(wanted, F_DUPFD_CLOEXEC, 3));
    if (!request.lent[i]) return refuse(env, errno == EBADF ? "corral: a stdio descriptor is not open" : "corral: a stdio descriptor can not be duplicated");
    request.stdio[i] = request.lent[i].get();
  }
  Napi::Value given = object.Get("settings");
  return !given.IsObject() || settings(env, given.As<Napi::Object>(), &request.settings);
}

bool scan_request(Napi::Env env, Napi::Value value, uint32_t *ret_id, sys::ScanRequest *ret_request) {
  if (!value.IsObject()) return refuse(env, "corral: scan needs a request");
  Napi::Object object = value.As<Napi::Object>();
  *ret_id = static_cast<uint32_t>(number(object, "id", 0));
  ret_request->fields = static_cast<uint32_t>(integer(object, "fields", sys::kFieldStat));
  ret_request->pgid = integer(object, "pgid", 0);
  ret_request->sid = integer(object, "sid", 0);
  if (Napi::Value pids = object.Get("pids"); pids.IsTypedArray()) {
    if (pids.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) return refuse(env, "corral: pids must be an Int32Array");
    Napi::Int32Array list = pids.As<Napi::Int32Array>();
    ret_request->by_pid = true;
    ret_request->pids.assign(list.Data(), list.Data() + list.ElementLength());
  }
  return true;
}

Napi::Array events(Napi::Env env, std::vector<Event> &events) {
  Napi::Array array = Napi::Array::New(env, events.size());
  for (size_t i = 0; i < events.size(); i++) array[static_cast<uint32_t>(i)] = described(env, events[i]);
  return array;
}

Napi::Object kernel_report(Napi::Env env, const sys::Kernel &kernel) {
  Napi::Object report = Napi::Object::New(env);
  report["release"] = Napi::String::New(env, kernel.release);
  report["bootId"] = Napi::String::New(env, kernel.boot_id);
  report["clockTicksPerSecond"] = Napi::Number::New(env, static_cast<double>(kernel.ticks_per_second));
  report["pageSize"] = Napi::Number::New(env, static_cast<double>(kernel.page_size));
  report["pid"] = Napi::Number::New(env, getpid());
  report["pidfd"] = Napi::Boolean::New(env, kernel.pidfd);
  report["pidfdGroupSignal"] = Napi::Boolean::New(env, kernel.pidfd_group_signal);
  report["pidfdExitInfo"] = Napi::Boolean::New(env, kernel.pidfd_exit_info);
  report["procChildren"] = Napi::Boolean::New(env, kernel.proc_children);
  report["closeRange"] = Napi::Boolean::New(env, kernel.close_range);
  report["subreaper"] = Napi::Boolean::New(env, kernel.subreaper);
  sys::KeeperForm form = sys::KeeperForm::kNone;
  int error = sys::probe_keeper(&form);
  report["keeper"] = Napi::String::New(env, form == sys::KeeperForm::kMemfd ? "memfd" : form == sys::KeeperForm::kFile ? "file" : "");
  report["keeperErrno"] = Napi::Number::New(env, error);
  return report;
}

Napi::Value ticks_or_errno(Napi::Env env, int error, uint64_t ticks) {
  if (error < 0) return Napi::Number::New(env, error);
  return Napi::BigInt::New(env, ticks);
}

} // namespace corral::convert
