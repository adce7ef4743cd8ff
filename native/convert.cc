#include "convert.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>

#include "sys/keeper_image.h"

extern char **environ;

namespace corral::convert {

namespace {

// Empty when it is none.
std::string string_of(napi_env env, napi_value value) {
  std::string result;
  char bytes[1024]; // mostly enough, and then there is no need to ask for the size
  size_t size = 0;
  if (napi_get_value_string_utf8(env, value, bytes, sizeof bytes, &size) != napi_ok) return result;
  // What does not fit is cut off between characters, of at most 4 bytes.
  if (size + 4 < sizeof bytes) return result.assign(bytes, size);
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &size) != napi_ok) return result;
  result.resize(size);
  (void)napi_get_value_string_utf8(env, value, &result[0], size + 1, &size);
  return result;
}

// Strings, each ended by NUL, being read one after the other.
class Strings {
public:
  explicit Strings(const std::string &text) : text_(text) {}

  std::string next() {
    std::string one = next_block(1);
    if (!one.empty()) one.pop_back();
    return one;
  }

  // So many of them, their NULs included.
  std::string next_block(size_t count) {
    size_t end = at_;
    for (; count > 0 && end < text_.size(); count--) {
      const size_t nul = text_.find('\0', end);
      end = nul == std::string::npos ? text_.size() : nul + 1;
    }
    complete_ = complete_ && count == 0;
    std::string block = text_.substr(at_, end - at_);
    at_ = end;
    return block;
  }

  std::string rest() {
    std::string block = text_.substr(at_);
    at_ = text_.size();
    return block;
  }

  // Nothing was missing, to the last NUL.
  bool complete() const { return complete_ && !text_.empty() && text_.back() == '\0'; }

private:
  const std::string &text_;
  size_t at_ = 0;
  bool complete_ = true;
};

// An object being read.
class Reader {
public:
  Reader(napi_env env, napi_value object) : env_(env), object_(object) {}

  // Null when there is none.
  napi_value get(const char *name, napi_valuetype type) const {
    napi_value value = nullptr;
    napi_valuetype actual;
    if (napi_get_named_property(env_, object_, name, &value) != napi_ok || napi_typeof(env_, value, &actual) != napi_ok)
      return nullptr;
    return actual == type ? value : nullptr;
  }

  double number(const char *name, double otherwise) const {
    double result = otherwise;
    if (napi_value value = get(name, napi_number)) (void)napi_get_value_double(env_, value, &result);
    return result;
  }

  int32_t integer(const char *name, int32_t otherwise) const { return static_cast<int32_t>(number(name, otherwise)); }

  bool flag(const char *name) const {
    bool result = false;
    if (napi_value value = get(name, napi_boolean)) (void)napi_get_value_bool(env_, value, &result);
    return result;
  }

  // False when there is no such array.
  bool numbers(const char *name, std::vector<double> *ret_numbers) const {
    napi_value array = get(name, napi_object);
    uint32_t length = 0;
    if (array == nullptr || napi_get_array_length(env_, array, &length) != napi_ok) return false;
    ret_numbers->assign(length, 0);
    for (uint32_t i = 0; i < length; i++) {
      napi_value element;
      if (napi_get_element(env_, array, i, &element) == napi_ok)
        (void)napi_get_value_double(env_, element, &(*ret_numbers)[i]);
    }
    return true;
  }

private:
  napi_env env_;
  napi_value object_;
};

// An object being made.
class Writer {
public:
  explicit Writer(napi_env env) : env_(env) { (void)napi_create_object(env, &object_); }

  void set(const char *name, napi_value value) {
    if (value != nullptr) (void)napi_set_named_property(env_, object_, name, value);
  }
  void number(const char *name, double number) {
    napi_value value = nullptr;
    (void)napi_create_double(env_, number, &value);
    set(name, value);
  }
  void flag(const char *name, bool flag) {
    napi_value value = nullptr;
    (void)napi_get_boolean(env_, flag, &value);
    set(name, value);
  }
  void bigint(const char *name, uint64_t number) {
    napi_value value = nullptr;
    (void)napi_create_bigint_uint64(env_, number, &value);
    set(name, value);
  }
  void text(const char *name, const char *text, size_t size = NAPI_AUTO_LENGTH) {
    napi_value value = nullptr;
    (void)napi_create_string_utf8(env_, text, size, &value);
    set(name, value);
  }
  void null(const char *name) {
    napi_value value = nullptr;
    (void)napi_get_null(env_, &value);
    set(name, value);
  }
  napi_value done() const { return object_; }

private:
  napi_env env_;
  napi_value object_ = nullptr;
};

// An array with an element for each of `items`.
template <typename Items, typename Make> napi_value array_of(napi_env env, Items &items, Make make) {
  napi_value array = nullptr;
  (void)napi_create_array_with_length(env, std::size(items), &array);
  uint32_t i = 0;
  for (auto &item : items) (void)napi_set_element(env, array, i++, make(item));
  return array;
}

bool refuse(napi_env env, const char *message) {
  (void)napi_throw_type_error(env, nullptr, message);
  return false;
}

bool is_object(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_object;
}

// Which tree a process was started in, and the trees around that one, innermost first, separated by colons.
constexpr char kTreeMark[] = "CORRAL_TREE";
constexpr char kOuterTreesMark[] = "CORRAL_TREE_PARENTS";

// `environ` without its marks, and with the entries of `changes` laid over it: "KEY=VALUE" replaces, "KEY" deletes.
// Called on the JavaScript thread, which is also the one that writes `environ` when process.env is assigned to.
std::string inherited_env(const std::string &changes) {
  struct Change {
    const char *text;
    size_t name_size;
    bool deletes;
  };
  std::vector<Change> list{{kTreeMark, sizeof kTreeMark - 1, true},
                           {kOuterTreesMark, sizeof kOuterTreesMark - 1, true}};
  for (size_t at = 0; at < changes.size(); at += strlen(&changes[at]) + 1) {
    const char *entry = &changes[at];
    const char *equals = strchr(entry, '=');
    list.push_back({entry, equals == nullptr ? strlen(entry) : static_cast<size_t>(equals - entry), equals == nullptr});
  }
  const auto changed = [&](const char *entry) {
    for (const Change &one : list) {
      if (*entry == *one.text && strncmp(entry, one.text, one.name_size) == 0 && entry[one.name_size] == '=')
        return true;
    }
    return false;
  };
  std::string result;
  result.reserve(changes.size() + 4096);
  for (char **entry = environ; entry != nullptr && *entry != nullptr; entry++) {
    if (!changed(*entry)) result.append(*entry, strlen(*entry) + 1);
  }
  for (const Change &one : list) {
    if (!one.deletes) result.append(one.text, strlen(one.text) + 1);
  }
  return result;
}

// What surrounds us never changes, and is asked for when the addon is loaded: later other threads may write `environ`.
const std::string outer_trees = [] {
  const char *innermost = getenv(kTreeMark), *others = getenv(kOuterTreesMark);
  std::string list = innermost == nullptr ? "" : innermost;
  if (!list.empty() && others != nullptr && *others != '\0') list.append(":").append(others);
  return list;
}();

void mark_env(const std::string &tree, std::string *env) {
  env->append(kTreeMark).append("=").append(tree).push_back('\0');
  if (!outer_trees.empty()) env->append(kOuterTreesMark).append("=").append(outer_trees).push_back('\0');
}

bool settings(napi_env env, const Reader &from, corral_settings *to) {
  const auto flagged = [&](const char *name, uint32_t flag, auto set) {
    const double absent = std::numeric_limits<double>::quiet_NaN();
    const double value = from.number(name, absent);
    if (std::isnan(value)) return;
    to->flags |= flag;
    set(value);
  };
  flagged("uid", CORRAL_SET_UID, [&](double v) { to->uid = static_cast<uint32_t>(v); });
  flagged("gid", CORRAL_SET_GID, [&](double v) { to->gid = static_cast<uint32_t>(v); });
  flagged("umask", CORRAL_SET_UMASK, [&](double v) { to->umask = static_cast<uint32_t>(v); });
  flagged("nice", CORRAL_SET_NICE, [&](double v) { to->nice = static_cast<int32_t>(v); });
  flagged("oomScoreAdj", CORRAL_SET_OOM, [&](double v) { to->oom_score_adj = static_cast<int32_t>(v); });
  if (from.flag("noNewPrivs")) to->flags |= CORRAL_SET_NO_NEW_PRIVS;

  std::vector<double> list;
  if (from.numbers("groups", &list)) {
    if (list.size() > CORRAL_MAX_GROUPS) return refuse(env, "corral: too many supplementary groups");
    to->flags |= CORRAL_SET_GROUPS;
    to->group_count = static_cast<uint32_t>(list.size());
    for (size_t i = 0; i < list.size(); i++) to->groups[i] = static_cast<uint32_t>(list[i]);
  }
  if (from.numbers("limits", &list)) {
    if (list.size() > 3 * CORRAL_MAX_LIMITS || list.size() % 3 != 0)
      return refuse(env, "corral: malformed resource limits");
    const auto amount = [](double v) {
      return v >= 18446744073709551615.0 ? std::numeric_limits<uint64_t>::max() : static_cast<uint64_t>(v);
    };
    to->limit_count = static_cast<uint32_t>(list.size() / 3);
    for (size_t i = 0; i < to->limit_count; i++) {
      to->limits[i].resource = static_cast<uint32_t>(list[3 * i]);
      to->limits[i].soft = amount(list[3 * i + 1]);
      to->limits[i].hard = amount(list[3 * i + 2]);
    }
  }
  return true;
}

// The block is copied once; every column is a view of the copy.
napi_value scan_columns(napi_env env, const sys::ScanTable &table) {
  Writer columns(env);
  columns.number("count", table.count);
  columns.bigint("nowTicks", static_cast<uint64_t>(table.now_ticks));
  columns.number("nowMs", table.now_ms);
  void *bytes = nullptr;
  napi_value memory = nullptr;
  if (napi_create_arraybuffer(env, table.block_size(), &bytes, &memory) != napi_ok) return columns.done();
  if (table.block_size() > 0) memcpy(bytes, table.block(), table.block_size());
  for (int i = 0; i < sys::kColumnCount; i++) {
    const sys::ScanTable::Slice &slice = table.columns[i];
    if (!slice.present) continue;
    napi_typedarray_type type = napi_uint8_array;
    switch (sys::kColumnTypes[i].element) {
    case sys::Element::kUint8:
      type = napi_uint8_array;
      break;
    case sys::Element::kInt32:
      type = napi_int32_array;
      break;
    case sys::Element::kUint32:
    case sys::Element::kText:
      type = napi_uint32_array;
      break;
    case sys::Element::kUint64:
      type = napi_biguint64_array;
      break;
    case sys::Element::kDouble:
      type = napi_float64_array;
      break;
    }
    napi_value view = nullptr;
    (void)napi_create_typedarray(env, type, slice.length, memory, slice.offset, &view);
    columns.set(sys::kColumnTypes[i].name, view);
  }
  return columns.done();
}

napi_value leaf_report(napi_env env, const Event &event) {
  Writer report(env);
  report.number("flags", event.leaf);
  report.number("stage", static_cast<int>(event.leaf_failure.stage));
  report.number("errno", -event.leaf_failure.error);
  report.text("directory", event.leaf_failure.directory.c_str());
  return report.done();
}

napi_value described(napi_env env, Event &event) {
  Writer object(env);
  object.number("id", event.id);
  switch (event.type) {
  case Event::Type::kStarted:
    object.text("type", "started");
    object.number("pid", event.pid);
    object.bigint("startTicks", event.start_ticks);
    object.number("keeperPid", event.keeper_pid);
    object.flag("hasPipes", event.has_pipes);
    if (event.wants_leaf) object.set("leaf", leaf_report(env, event));
    break;
  case Event::Type::kFailed:
    object.text("type", "failed");
    object.number("stage", event.stage);
    object.number("errno", -event.error);
    if (event.wants_leaf) object.set("leaf", leaf_report(env, event));
    break;
  case Event::Type::kExited:
    object.text("type", "exited");
    object.number("status", event.status);
    object.number("flags", event.flags);
    object.number("elapsedUs", static_cast<double>(event.elapsed_us));
    object.bigint("atTicks", static_cast<uint64_t>(event.at_ticks));
    object.number("userUs", static_cast<double>(event.user_us));
    object.number("systemUs", static_cast<double>(event.system_us));
    object.number("maxRssBytes", static_cast<double>(event.max_rss_bytes));
    break;
  case Event::Type::kTerminated:
  case Event::Type::kSurvivors:
    object.text("type", event.type == Event::Type::kTerminated ? "terminated" : "survivors");
    object.set("members", members(env, event.members));
    break;
  case Event::Type::kEmpty:
    object.text("type", "empty");
    object.number("flags", event.flags);
    object.number("durationUs", static_cast<double>(event.duration_us));
    break;
  case Event::Type::kStopped:
    object.text("type", "stopped");
    object.number("signal", event.status);
    break;
  case Event::Type::kHungUp:
    object.text("type", "hungUp");
    break;
  case Event::Type::kLost:
    object.text("type", "lost");
    object.number("status", event.status);
    object.bigint("atTicks", static_cast<uint64_t>(event.at_ticks));
    break;
  case Event::Type::kGone:
    object.text("type", "gone");
    if (event.has_status) {
      object.number("status", event.status);
    } else {
      object.null("status");
    }
    break;
  case Event::Type::kScanned:
    object.text("type", "scanned");
    object.set("table", scan_columns(env, *event.table));
    break;
  case Event::Type::kScanFailed:
    object.text("type", "scanFailed");
    object.number("errno", -event.error);
    object.text("syscall", event.syscall);
    break;
  }
  return object.done();
}

} // namespace

// As requestSpawn() of src/native.ts fills them.
enum SpawnNumber {
  kId,
  kContainment,
  kTerminal,
  kStdin,
  kStdout,
  kStderr,
  kKillSignal,
  kGraceMs,
  kTimeoutMs,
  kOnLeaderExit,
  kOnOwnerExit,
  kMark,
  kInheritEnv,
  kArgc,
  kSpawnNumbers
};

bool spawn_request(napi_env env, napi_value numbers, napi_value text, napi_value given_settings, uint32_t *ret_id,
                   sys::SpawnRequest *ret_request) {
  napi_typedarray_type type;
  size_t length = 0;
  void *data = nullptr;
  if (napi_get_typedarray_info(env, numbers, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_float64_array || length != kSpawnNumbers) {
    return refuse(env, "corral: spawn needs a request");
  }
  const auto *number = static_cast<const double *>(data);
  const auto integer = [&](SpawnNumber which) { return static_cast<int32_t>(number[which]); };
  const std::string all = string_of(env, text);
  Strings strings(all);
  sys::SpawnRequest &request = *ret_request;
  *ret_id = static_cast<uint32_t>(number[kId]);
  request.containment = static_cast<sys::Containment>(integer(kContainment));
  request.terminal = static_cast<sys::Terminal>(integer(kTerminal));
  request.file = strings.next();
  request.cwd = strings.next();
  request.leaf = strings.next();
  const std::string tree = strings.next();
  request.argv = strings.next_block(static_cast<size_t>(number[kArgc]));
  request.env = strings.rest();
  if (!strings.complete() || tree.empty()) return refuse(env, "corral: malformed text of a spawn request");
  if (request.containment == sys::Containment::kCgroup && !sys::is_leaf_name(request.leaf))
    return refuse(env, "corral: malformed name of a leaf");
  if (number[kInheritEnv] != 0) request.env = inherited_env(request.env);
  mark_env(tree, &request.env);
  request.kill_signal = integer(kKillSignal);
  request.grace_ms = static_cast<int64_t>(number[kGraceMs]);
  request.timeout_ms = static_cast<int64_t>(number[kTimeoutMs]);
  request.on_leader_exit = static_cast<uint32_t>(integer(kOnLeaderExit));
  request.on_owner_exit = static_cast<uint32_t>(integer(kOnOwnerExit));
  for (int i = 0; i < 3; i++) {
    const int wanted = static_cast<int32_t>(number[kStdin + i]);
    request.stdio[i] = wanted;
    if (wanted <= 2) continue;
    request.lent[i].reset(fcntl(wanted, F_DUPFD_CLOEXEC, 3));
    if (!request.lent[i]) {
      return refuse(env, errno == EBADF ? "corral: a stdio descriptor is not open"
                                        : "corral: a stdio descriptor can not be duplicated");
    }
    request.stdio[i] = request.lent[i].get();
  }
  if (is_object(env, given_settings) && !settings(env, Reader(env, given_settings), &request.settings)) return false;
  if (number[kMark] <= 0) return true;
  corral_settings &to = request.settings;
  if (to.limit_count == CORRAL_MAX_LIMITS) return refuse(env, "corral: too many resource limits");
  auto &limit = to.limits[to.limit_count++];
  limit.resource = RLIMIT_RTTIME;
  limit.soft = static_cast<uint64_t>(number[kMark]);
  limit.hard = RLIM_INFINITY;
  return true;
}

bool scan_request(napi_env env, napi_value value, uint32_t *ret_id, sys::ScanRequest *ret_request) {
  if (!is_object(env, value)) return refuse(env, "corral: scan needs a request");
  const Reader object(env, value);
  *ret_id = static_cast<uint32_t>(object.number("id", 0));
  ret_request->fields = static_cast<uint32_t>(object.integer("fields", sys::kFieldStat));
  ret_request->pgid = object.integer("pgid", 0);
  ret_request->sid = object.integer("sid", 0);
  if (napi_value pids = object.get("pids", napi_object)) {
    napi_typedarray_type type;
    size_t length = 0;
    void *data = nullptr;
    if (napi_get_typedarray_info(env, pids, &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_int32_array) {
      return refuse(env, "corral: pids must be an Int32Array");
    }
    ret_request->by_pid = true;
    const auto *list = static_cast<const int32_t *>(data);
    ret_request->pids.assign(list, list + length);
  }
  return true;
}

napi_value events(napi_env env, std::vector<Event> &events) {
  napi_value array = array_of(env, events, [env](Event &event) { return described(env, event); });
  bool is_pending = true;
  if (array == nullptr || napi_is_exception_pending(env, &is_pending) != napi_ok || is_pending) return nullptr;
  return array;
}

napi_value members(napi_env env, const std::vector<corral_member> &members) {
  return array_of(env, members, [env](const corral_member &member) {
    Writer row(env);
    row.number("pid", member.pid);
    row.bigint("startTicks", member.start_ticks);
    row.text("name", member.name, strnlen(member.name, sizeof member.name));
    row.number("detail", member.detail);
    return row.done();
  });
}

napi_value kernel_report(napi_env env, const sys::Kernel &kernel) {
  Writer report(env);
  report.text("release", kernel.release.c_str());
  report.text("bootId", sys::boot_id().c_str());
  report.number("clockTicksPerSecond", static_cast<double>(kernel.ticks_per_second));
  report.number("pageSize", static_cast<double>(kernel.page_size));
  report.flag("pidfd", kernel.pidfd);
  report.flag("pidfdGroupSignal", kernel.pidfd_group_signal);
  report.flag("procChildren", kernel.proc_children);
  report.flag("closeRange", kernel.close_range);
  report.flag("subreaper", kernel.subreaper);
  return report.done();
}

napi_value kernel_trial(napi_env env) {
  Writer report(env);
  report.flag("pidfdExitInfo", sys::has_pidfd_exit_info());
  sys::KeeperForm form = sys::KeeperForm::kNone;
  int error = sys::probe_keeper(&form);
  report.text("keeper", form == sys::KeeperForm::kMemfd ? "memfd" : form == sys::KeeperForm::kFile ? "file" : "");
  report.number("keeperErrno", error);
  return report.done();
}

napi_value descriptors(napi_env env, const int (&fds)[3]) {
  return array_of(env, fds, [env](int fd) {
    napi_value value = nullptr;
    (void)napi_create_int32(env, fd, &value);
    return value;
  });
}

napi_value user_ids(napi_env env, const sys::UserIds &ids) {
  Writer result(env);
  result.number("uid", ids.uid);
  result.number("gid", ids.gid);
  result.set("groups", array_of(env, ids.groups, [env](uint32_t gid) {
               napi_value value = nullptr;
               (void)napi_create_uint32(env, gid, &value);
               return value;
             }));
  return result.done();
}

napi_value numbers_or_errno(napi_env env, int error, const std::vector<int32_t> &numbers) {
  const auto number = [env](int32_t number) {
    napi_value value = nullptr;
    (void)napi_create_int32(env, number, &value);
    return value;
  };
  return error < 0 ? number(error) : array_of(env, numbers, number);
}

napi_value ticks_or_errno(napi_env env, int error, uint64_t ticks) {
  napi_value value = nullptr;
  if (error < 0) {
    (void)napi_create_int32(env, error, &value);
  } else {
    (void)napi_create_bigint_uint64(env, ticks, &value);
  }
  return value;
}

} // namespace corral::convert
