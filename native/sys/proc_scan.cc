#include "proc_scan.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "fd.h"

namespace corral::sys {

const ColumnType kColumnTypes[kColumnCount] = {
    {"pid", Element::kInt32, 0},
    {"startTicks", Element::kUint64, 0},
    {"ppid", Element::kInt32, kFieldStat},
    {"pgid", Element::kInt32, kFieldStat},
    {"sid", Element::kInt32, kFieldStat},
    {"tty", Element::kInt32, kFieldStat},
    {"state", Element::kUint8, kFieldStat},
    {"cpuTicks", Element::kDouble, kFieldStat},
    {"childCpuTicks", Element::kDouble, kFieldStat},
    {"rssPages", Element::kDouble, kFieldStat},
    {"threads", Element::kInt32, kFieldStat},
    {"flags", Element::kUint32, kFieldStat},
    {"name", Element::kText, kFieldStat},
    {"uid", Element::kUint32, kFieldUid},
    {"args", Element::kText, kFieldArgs},
    {"cwd", Element::kText, kFieldCwd},
    {"exe", Element::kText, kFieldExe},
    {"env", Element::kText, kFieldEnv},
    {"cgroup", Element::kText, kFieldCgroup},
    {"unread", Element::kUint8, 0},
    {"text", Element::kUint8, 0},
};

namespace {

constexpr size_t kMaxFile = 2u << 20;   // of one file of one process
constexpr size_t kMaxText = 256u << 20; // of all that one thread reads
constexpr size_t kReadRoom = 4096;      // at least this much is offered to read(2), so that one call nearly always does
constexpr size_t kListing = kMostAtOnce * 24; // of a directory; no entry takes less than 24 bytes

// A malloc'ed array that grows; false means out of memory and leaves it as it was.
template <typename T> class Buffer {
public:
  Buffer() = default;
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { free(data); }

  bool reserve(size_t more) {
    if (capacity - size >= more) return true;
    size_t wanted = std::max({capacity * 2, size + more, size_t{64}});
    auto *grown = static_cast<T *>(realloc(data, wanted * sizeof(T)));
    if (grown == nullptr) return false;
    data = grown;
    capacity = wanted;
    return true;
  }

  T *data = nullptr;
  size_t size = 0, capacity = 0;
};

// Strings of a process, in the order in which they are read: last what lies in the memory of the process, for that can
// block.
constexpr Column kStrings[] = {kColumnName, kColumnCwd, kColumnExe, kColumnCgroup, kColumnArgs, kColumnEnv};
constexpr size_t kStringCount = sizeof kStrings / sizeof kStrings[0];

struct Row {
  StatNumbers stat;
  uint32_t uid = 0;
  uint32_t sizes[kStringCount] = {}; // of kStrings, one after the other in Reader::text
  uint8_t unread = 0;
};

bool is_gone(int error) {
  return error == -ESRCH || error == -ENOENT;
}

// Shortage is our trouble, not a property of the process read from: it ends the scan instead of passing for "unread".
bool is_shortage(int error) {
  return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

int open_at(int directory, const char *path, int flags) {
  int fd;
  do fd = openat(directory, path, flags | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}

ssize_t read_some(int fd, char *to, size_t size) {
  ssize_t got;
  do got = read(fd, to, size);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

// "PID/file" or "/proc/PID/file", with the pid written once for all files of a process; after `enter` the files are
// those of one of its threads.
class Path {
public:
  explicit Path(int32_t pid, bool absolute = false) {
    if (absolute) {
      memcpy(path_, kProc, sizeof kProc);
      size_ = sizeof kProc;
    }
    number(pid);
  }

  void enter(int32_t tid) {
    memcpy(path_ + size_, kTask, sizeof kTask);
    size_ += sizeof kTask;
    number(tid);
  }

  const char *directory() {
    path_[size_] = '\0';
    return path_;
  }

  template <size_t N> const char *file(const char (&name)[N]) {
    static_assert(N <= kLongestName);
    path_[size_] = '/';
    memcpy(path_ + size_ + 1, name, N);
    return path_;
  }

private:
  void number(int32_t id) {
    char digits[10];
    size_t count = 0;
    for (auto rest = static_cast<uint32_t>(id); rest != 0; rest /= 10)
      digits[count++] = static_cast<char>('0' + rest % 10);
    while (count > 0) path_[size_++] = digits[--count];
    path_[size_] = '\0';
  }

  static constexpr char kProc[] = {'/', 'p', 'r', 'o', 'c', '/'};
  static constexpr char kTask[] = {'/', 't', 'a', 's', 'k', '/'};
  static constexpr size_t kLongestName = 8; // "environ" and "cmdline", with the end
  char path_[sizeof kProc + 10 + sizeof kTask + 10 + 1 + kLongestName];
  size_t size_ = 0;
};

// Reads stat from a descriptor of it. 0, -ESRCH for what has ended, -EBADMSG for what we do not understand.
int read_stat_row(int fd, int32_t pid, StatRow *ret_row) {
  char line[2048]; // 52 fields of at most 20 digits, and the name
  ssize_t size = read_some(fd, line, sizeof line);
  if (size < 0) return is_gone(static_cast<int>(size)) ? -ESRCH : static_cast<int>(size);
  StatRow row;
  if (!parse_stat(line, static_cast<size_t>(size), &row) || row.pid != pid) return -EBADMSG;
  // A process whose parent has reaped it while we read: group and session are -1 (dangerous in the hands of kill(2)),
  // or state X.
  if (row.pgid < 0 || row.sid < 0 || row.state == 'X' || row.state == 'x') return -ESRCH;
  *ret_row = row;
  return 0;
}

// The next pids in a directory of /proc, at most kMostAtOnce; 0: there are no more. Threads that share the descriptor
// may ask at the same time, and each gets others: its position is locked for the duration of the call.
int list_some(int directory, int32_t *pids) {
  // struct linux_dirent64: inode, offset, length of the entry, type, name.
  constexpr size_t kLength = 16, kName = 19;
  alignas(8) char listing[kListing];
  int count = 0;
  while (count == 0) {
    const long size = syscall(SYS_getdents64, directory, listing, sizeof listing);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return size < 0 ? -errno : 0;
    for (size_t at = 0; at < static_cast<size_t>(size);) {
      const char *entry = listing + at;
      uint16_t length;
      memcpy(&length, entry + kLength, sizeof length);
      at += length;
      if (const int32_t pid = parse_pid(entry + kName); pid != 0) pids[count++] = pid;
    }
  }
  return count;
}

// tgkill(2) with signal 0. The kernel answers to the id of any thread as if it were a process, here and in /proc; with
// the id as its own thread group it says ESRCH for those, as for what does not exist.
bool is_no_process(int32_t pid) {
  return syscall(SYS_tgkill, pid, pid, 0) < 0 && errno == ESRCH;
}

// hidepid=2: not in /proc, and yet we are told that it is not ours to signal.
bool is_hidden(int32_t pid) {
  return syscall(SYS_tgkill, pid, pid, 0) < 0 && errno == EPERM;
}

// Who is to be looked at, handed out in batches of ascending pids to whichever thread asks for the next: so both are
// done at the same time, and one reads while the other lists.
class Source {
public:
  Source(int proc, const ScanRequest &request) : proc_(proc), request_(request) {}

  // For a request by pid. False: out of memory.
  bool take_wanted() {
    if (!wanted_.reserve(request_.pids.size())) return false;
    for (int32_t pid : request_.pids) {
      if (pid > 0 && !is_no_process(pid)) wanted_.data[wanted_.size++] = pid;
    }
    std::sort(wanted_.data, wanted_.data + wanted_.size);
    wanted_.size = static_cast<size_t>(std::unique(wanted_.data, wanted_.data + wanted_.size) - wanted_.data);
    return true;
  }

  // At most kMostAtOnce; 0: there are no more.
  int next(int32_t *pids) {
    if (!request_.by_pid) return list_some(proc_, pids);
    const size_t from = std::min(given_.fetch_add(request_.batch), wanted_.size);
    const size_t count = std::min(request_.batch, wanted_.size - from);
    if (count > 0) memcpy(pids, wanted_.data + from, count * sizeof *pids);
    return static_cast<int>(count);
  }

private:
  const int proc_;
  const ScanRequest &request_;
  Buffer<int32_t> wanted_;
  std::atomic<size_t> given_{0};
};

// Reads one batch after the other, and holds what it found.
class Reader {
public:
  Reader(int proc, const ScanRequest &request, Source *source) : proc_(proc), request_(request), source_(source) {}

  // To the end, or to an error; called again after one, it begins with what failed.
  void read_all() {
    while (take_batch() && read_batch()) continue;
  }

  // The next batch, unless the last one is not finished. False: there is none.
  bool take_batch() {
    error = 0;
    if (next_ < count_) return true;
    const int count = source_->next(batch_);
    if (count < 0) error = failed("getdents64", count);
    if (count <= 0) return false;
    taken += static_cast<size_t>(count);
    next_ = 0;
    count_ = keep_members(static_cast<size_t>(count));
    return true;
  }

  bool read_batch() {
    for (; next_ < count_; next_++) {
      error = add(batch_[next_]);
      if (error < 0) return false;
    }
    return true;
  }

  Buffer<Row> rows;
  Buffer<char> text;
  size_t taken = 0; // processes, members or not
  int error = 0;    // what ended it early, and in which call
  const char *failed_call = "";

private:
  // Drops who is surely not a member, ten times cheaper than by reading stat. Where a security module refuses the
  // question the process stays, and its stat decides.
  size_t keep_members(size_t count) {
    const auto differs = [](int32_t id, int32_t wanted) { return id < 0 ? errno == ESRCH : id != wanted; };
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
      const int32_t pid = batch_[i];
      if (request_.pgid != 0 && differs(getpgid(pid), request_.pgid)) continue;
      if (request_.sid != 0 && differs(getsid(pid), request_.sid)) continue;
      batch_[kept++] = pid;
    }
    return kept;
  }

  // 0 when the process has a row or needs none.
  int add(int32_t pid) {
    if (!rows.reserve(1)) return failed("malloc", -ENOMEM);
    Path path(pid);
    StatRow stat;
    stat.pid = pid;

    const size_t text_before = text.size;
    const timespec started = coarse_now();
    const int opened = open_at(proc_, path.file("stat"), O_RDONLY);
    if (is_shortage(opened)) return failed("open", opened);
    if (is_gone(opened) && !(request_.by_pid && is_hidden(pid))) return 0;
    const Fd file(opened);
    const int refused = file ? read_stat_row(file.get(), pid, &stat) : opened;
    if (is_shortage(refused)) return failed("read", refused);
    if (refused == -ESRCH) return 0;
    Row &row = rows.data[rows.size];
    row = Row();
    if (refused < 0) {
      stat.start_ticks = UINT64_MAX;
      row.unread = kFieldStat;
    } else if (!is_member(stat)) {
      return 0;
    }
    row.stat = stat;
    if ((request_.fields & kFieldStat) != 0) {
      if (!text.reserve(sizeof stat.name)) return failed("malloc", -ENOMEM);
      memcpy(text.data + text.size, stat.name, stat.name_size);
      row.sizes[0] = stat.name_size;
      text.size += stat.name_size;
    }

    if ((request_.fields & ~uint32_t{kFieldStat}) != 0) {
      const int shortage = read_rest(&path, &row);
      if (shortage < 0 || (file && ticked_since(started) && !still_that_process(file.get()))) {
        text.size = text_before;
        return shortage;
      }
    }
    rows.size++;
    return 0;
  }

  int failed(const char *call, int why) {
    failed_call = call;
    return why;
  }

  // Asked again although getpgid has been: it may have moved to another group since.
  bool is_member(const StatNumbers &stat) const {
    return (request_.pgid == 0 || stat.pgid == request_.pgid) && (request_.sid == 0 || stat.sid == request_.sid);
  }

  // A zombie has no memory to hold arguments, a kernel thread never had. State Z with more than one thread is
  // no zombie: the main thread has ended and the process lives on.
  static bool may_have_args(const StatNumbers &stat) {
    return (stat.state != 'Z' || stat.threads > 1) && (stat.flags & kKernelThread) == 0;
  }

  // The files of one process are opened by pid, one after the other, and the pid could be given to another process in
  // between. For that the whole pid space has to be used up first, which takes far longer than a clock tick; so only a
  // row during which the clock has ticked (we were preempted, or a read blocked) has to be checked. A descriptor of
  // /proc/PID/stat is bound to the process, not to the number: as long as it can be read the number was not free.
  bool still_that_process(int stat) const {
    char byte;
    ssize_t got;
    do got = pread(stat, &byte, 1, 0);
    while (got < 0 && errno == EINTR);
    return got == 1;
  }

  static timespec coarse_now() {
    timespec now = {};
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now;
  }

  static bool ticked_since(const timespec &then) {
    timespec now = coarse_now();
    return now.tv_nsec != then.tv_nsec || now.tv_sec != then.tv_sec;
  }

  int read_rest(Path *path, Row *row) {
    if ((request_.fields & kFieldUid) != 0) {
      struct stat owner;
      // Raw: fstatat is a symbol of glibc 2.33. The structure is the kernel's on the 64-bit architectures we support.
      if (syscall(SYS_newfstatat, proc_, path->directory(), &owner, 0) == 0) {
        row->uid = owner.st_uid;
      } else {
        row->unread |= kFieldUid;
      }
    }
    bool may_be_headless = row->stat.threads > 1;
    for (size_t i = 1; i < kStringCount; i++) {
      const ColumnType &type = kColumnTypes[kStrings[i]];
      if ((request_.fields & type.field) == 0) continue;
      const size_t before = text.size;
      int refused = append(kStrings[i], path);
      if (may_be_headless && text.size == before && (refused >= 0 || is_gone(refused))) {
        may_be_headless = false;
        if (enter_living_thread(path, row->stat.pid)) refused = append(kStrings[i], path);
      }
      if (is_shortage(refused)) return refused;
      row->sizes[i] = static_cast<uint32_t>(text.size - before);
      const bool nothing = kStrings[i] == kColumnArgs && row->sizes[i] == 0 && may_have_args(row->stat);
      if (refused < 0 || nothing) row->unread |= type.field;
    }
    return 0;
  }

  // When the main thread ends before the others, PID/environ and the like are empty, shortly before the state says Z
  // and from then on. The files of another thread show what the process still has.
  bool enter_living_thread(Path *path, int32_t pid) const {
    const Fd task(open_at(proc_, path->file("task"), O_RDONLY | O_DIRECTORY));
    int32_t tids[kMostAtOnce];
    const int count = task ? list_some(task.get(), tids) : 0;
    for (int i = 0; i < count; i++) {
      if (tids[i] == pid) continue;
      path->enter(tids[i]);
      return true;
    }
    return false;
  }

  int append(Column column, Path *path) {
    switch (column) {
    case kColumnArgs:
      return append_file(path->file("cmdline"));
    case kColumnEnv:
      return append_file(path->file("environ"));
    case kColumnCgroup:
      return append_file(path->file("cgroup"));
    case kColumnCwd:
      return append_link(path->file("cwd"));
    default:
      return append_link(path->file("exe"));
    }
  }

  // Appends a whole file; -EFBIG when it is longer than we take, with its beginning appended.
  int append_file(const char *path) {
    const int opened = open_at(proc_, path, O_RDONLY);
    if (opened < 0) return failed("open", opened);
    const Fd fd(opened);
    const size_t start = text.size, limit = std::min(start + kMaxFile, kMaxText);
    for (;;) {
      if (text.size >= limit) return failed("read", -EFBIG);
      if (!text.reserve(kReadRoom)) return failed("malloc", -ENOMEM);
      const size_t room = std::min(text.capacity, limit) - text.size;
      const ssize_t got = read_some(fd.get(), text.data + text.size, room);
      if (got < 0) {
        text.size = start;
        return failed("read", static_cast<int>(got));
      }
      text.size += static_cast<size_t>(got);
      if (static_cast<size_t>(got) < room) return 0; // these files give all they have at once
    }
  }

  int append_link(const char *path) {
    if (text.size + kReadRoom > kMaxText) return failed("readlink", -EFBIG);
    if (!text.reserve(kReadRoom)) return failed("malloc", -ENOMEM);
    const ssize_t got = readlinkat(proc_, path, text.data + text.size, kReadRoom); // the kernel uses one page
    if (got < 0) return failed("readlink", -errno);
    text.size += static_cast<size_t>(got);
    return 0;
  }

  const int proc_;
  const ScanRequest &request_;
  Source *const source_;
  int32_t batch_[kMostAtOnce];
  size_t next_ = 0, count_ = 0;
};

// Opens /proc and makes sure that its numbers are the ones getpid and kill use.
int open_proc(Fd *ret_proc, const char **ret_syscall) {
  *ret_syscall = "open";
  const int opened = open_at(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY);
  if (opened < 0) return opened;
  Fd proc(opened);
  *ret_syscall = "readlink";
  char self[16];
  const ssize_t size = readlinkat(proc.get(), "self", self, sizeof self - 1);
  if (size < 0 && errno != ENOENT) return -errno;
  if (size > 0) self[size] = '\0';
  if (size <= 0 || parse_pid(self) != getpid()) return -EXDEV;
  *ret_proc = std::move(proc);
  return 0;
}

// With every signal blocked: handlers of the program we live in do not expect this thread.
bool start_thread(pthread_t *ret_thread, void *(*run)(void *), void *argument) {
  sigset_t all, before;
  (void)sigfillset(&all);
  if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
  const bool started = pthread_create(ret_thread, nullptr, run, argument) == 0;
  (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

// Starts a thread on another core than ours. False when there is none that we may use, or no thread can be started.
//
// Where the scheduler packs its tasks (virtual machines), a new thread begins beside the one that made it, and is moved
// to an idle core later than most scans last. So it is put there, and then left to the scheduler. If it has ended by
// then its number is 0, which means ourselves: done and undone.
bool start_elsewhere(pthread_t *ret_thread, void *(*run)(void *), void *argument) {
  cpu_set_t allowed;
  const int here = sched_getcpu();
  if (here < 0 || sched_getaffinity(0, sizeof allowed, &allowed) < 0) return false;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<size_t>(here), &others);
  if (CPU_COUNT(&others) == 0 || !start_thread(ret_thread, run, argument)) return false;
  (void)pthread_setaffinity_np(*ret_thread, sizeof others, &others);
  (void)pthread_setaffinity_np(*ret_thread, sizeof allowed, &allowed);
  return true;
}

// Reads it all: the first reader here, and when a batch was not all the second on a thread of its own.
void read_in_two(size_t batch, Reader *first, Reader *second) {
  const auto run = [](void *reader) -> void * {
    static_cast<Reader *>(reader)->read_all();
    return nullptr;
  };
  pthread_t thread;
  bool tried = false, threaded = false;
  while (first->take_batch()) {
    if (!tried && first->taken >= batch) {
      tried = true;
      threaded = start_elsewhere(&thread, run, second);
    }
    if (!first->read_batch()) break;
  }
  if (!threaded) return;
  (void)pthread_join(thread, nullptr);
  // One may have lacked the descriptors that the other had.
  for (Reader *reader : {first, second}) {
    if (is_shortage(reader->error)) reader->read_all();
  }
}

} // namespace

// Turns the rows of both readers into columns, in one block of exactly the right size.
class TableBuilder {
public:
  TableBuilder(uint32_t fields, const Reader &first, const Reader &second, ScanTable *table)
      : fields_(fields), first_(first), second_(second), table_(table) {}

  // -ENOMEM, with the table untouched.
  int build() {
    if (!merge() || !layout()) return -ENOMEM;
    fill<int32_t>(kColumnPid, [](const Row &row) { return row.stat.pid; });
    fill<uint64_t>(kColumnStartTicks, [](const Row &row) { return row.stat.start_ticks; });
    fill<int32_t>(kColumnPpid, [](const Row &row) { return row.stat.ppid; });
    fill<int32_t>(kColumnPgid, [](const Row &row) { return row.stat.pgid; });
    fill<int32_t>(kColumnSid, [](const Row &row) { return row.stat.sid; });
    fill<int32_t>(kColumnTty, [](const Row &row) { return row.stat.tty; });
    fill<uint8_t>(kColumnState, [](const Row &row) { return static_cast<uint8_t>(row.stat.state); });
    fill<double>(kColumnCpuTicks, [](const Row &row) { return row.stat.cpu_ticks; });
    fill<double>(kColumnChildCpuTicks, [](const Row &row) { return row.stat.child_cpu_ticks; });
    fill<double>(kColumnRssPages, [](const Row &row) { return row.stat.rss_pages; });
    fill<int32_t>(kColumnThreads, [](const Row &row) { return row.stat.threads; });
    fill<uint32_t>(kColumnFlags, [](const Row &row) { return row.stat.flags; });
    fill<uint32_t>(kColumnUid, [](const Row &row) { return row.uid; });
    fill<uint8_t>(kColumnUnread, [](const Row &row) { return row.unread; });
    for (size_t i = 0; i < kStringCount; i++) fill_strings(i);
    return 0;
  }

private:
  struct Found {
    const Row *row;
    const char *text; // its strings that are not in a column yet
  };

  // Each reader has its rows in ascending order of pid; both together have not.
  bool merge() {
    if (!found_.reserve(first_.rows.size + second_.rows.size)) return false;
    Run left(first_), right(second_);
    while (left.row != left.end && right.row != right.end) {
      found_.data[found_.size++] = (left.row->stat.pid < right.row->stat.pid ? left : right).take();
    }
    while (left.row != left.end) found_.data[found_.size++] = left.take();
    while (right.row != right.end) found_.data[found_.size++] = right.take();
    return true;
  }

  struct Run {
    explicit Run(const Reader &reader)
        : row(reader.rows.data), end(reader.rows.data + reader.rows.size), text(reader.text.data) {}

    Found take() {
      const Found found = {row, text};
      for (const uint32_t size : row->sizes) text += size;
      row++;
      return found;
    }

    const Row *row, *end;
    const char *text;
  };

  bool layout() {
    const size_t count = found_.size, text_size = first_.text.size + second_.text.size;
    size_t size = 0;
    ScanTable::Slice slices[kColumnCount];
    for (size_t i = 0; i < kColumnCount; i++) {
      const ColumnType &type = kColumnTypes[i];
      if (type.field != 0 && (fields_ & type.field) == 0) continue;
      slices[i].present = true;
      slices[i].offset = size;
      slices[i].length = i == kColumnText ? text_size : type.element == Element::kText ? count + 1 : count;
      size += (slices[i].length * width(type.element) + 7) & ~size_t{7};
    }
    auto *block = static_cast<unsigned char *>(malloc(size > 0 ? size : 1));
    if (block == nullptr) return false;
    free(table_->block_);
    table_->block_ = block;
    table_->block_size_ = size;
    table_->count = static_cast<uint32_t>(count);
    memset(block, 0, size); // the gaps between columns reach JavaScript too
    memcpy(table_->columns, slices, sizeof slices);
    return true;
  }

  static size_t width(Element element) {
    switch (element) {
    case Element::kUint8:
      return 1;
    case Element::kUint64:
    case Element::kDouble:
      return 8;
    default:
      return 4;
    }
  }

  template <typename T> T *at(Column column) { return const_cast<T *>(table_->column<T>(column)); }

  template <typename T, typename Value> void fill(Column column, Value value) {
    T *to = at<T>(column);
    if (to == nullptr) return;
    for (size_t i = 0; i < found_.size; i++) to[i] = value(*found_.data[i].row);
  }

  void fill_strings(size_t string) {
    auto *offsets = at<uint32_t>(kStrings[string]);
    if (offsets == nullptr) return;
    auto *text = at<char>(kColumnText);
    for (size_t i = 0; i < found_.size; i++) {
      Found &found = found_.data[i];
      const uint32_t size = found.row->sizes[string];
      if (size > 0) memcpy(text + text_used_, found.text, size);
      found.text += size;
      offsets[i] = text_used_;
      text_used_ += size;
    }
    offsets[found_.size] = text_used_;
  }

  const uint32_t fields_;
  const Reader &first_, &second_;
  ScanTable *table_;
  Buffer<Found> found_;
  uint32_t text_used_ = 0;
};

ScanTable::ScanTable(ScanTable &&other) noexcept {
  *this = std::move(other);
}

ScanTable &ScanTable::operator=(ScanTable &&other) noexcept {
  if (this == &other) return *this;
  free(block_);
  count = std::exchange(other.count, 0);
  now_ticks = other.now_ticks;
  now_ms = other.now_ms;
  memcpy(columns, other.columns, sizeof columns);
  for (Slice &slice : other.columns) slice = Slice();
  block_ = std::exchange(other.block_, nullptr);
  block_size_ = std::exchange(other.block_size_, 0);
  return *this;
}

ScanTable::~ScanTable() {
  free(block_);
}

int scan(const ScanRequest &request, ScanTable *ret_table, const char **ret_syscall) {
  ScanTable table;
  table.now_ticks = boottime_ticks();
  timespec now;
  (void)clock_gettime(CLOCK_REALTIME, &now);
  table.now_ms = static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;

  Fd proc;
  if (int error = open_proc(&proc, ret_syscall); error < 0) return error;

  Source source(proc.get(), request);
  *ret_syscall = "malloc";
  if (request.by_pid && !source.take_wanted()) return -ENOMEM;

  Reader first(proc.get(), request, &source), second(proc.get(), request, &source);
  read_in_two(request.batch, &first, &second);
  for (const Reader *reader : {&first, &second}) {
    *ret_syscall = reader->failed_call;
    if (reader->error < 0) return reader->error;
  }
  *ret_syscall = "malloc";
  if (int error = TableBuilder(request.fields, first, second, &table).build(); error < 0) return error;
  *ret_table = std::move(table);
  return 0;
}

int read_stat(int proc_fd, int32_t pid, StatRow *ret_row) {
  if (pid <= 0) return -ESRCH;
  const bool by_path = proc_fd < 0;
  const int opened = open_at(by_path ? AT_FDCWD : proc_fd, Path(pid, by_path).file("stat"), O_RDONLY);
  if (opened < 0) return is_gone(opened) ? -ESRCH : opened;
  const Fd fd(opened);
  return read_stat_row(fd.get(), pid, ret_row);
}

int lineage(std::vector<int32_t> *ret_ids) {
  Fd proc;
  const char *ignored;
  if (int error = open_proc(&proc, &ignored); error < 0) return error;
  StatRow row;
  if (int error = read_stat(proc.get(), getpid(), &row); error < 0) return error;
  *ret_ids = {row.pgid, row.sid};
  const auto is_new = [&](int32_t pid) {
    return std::find(ret_ids->begin() + 2, ret_ids->end(), pid) == ret_ids->end();
  };
  while (row.ppid > 0 && is_new(row.ppid)) {
    ret_ids->push_back(row.ppid);
    const int error = read_stat(proc.get(), row.ppid, &row);
    if (error == -ESRCH || error == -EACCES || error == -EPERM) break;
    if (error < 0) return error;
  }
  return 0;
}

int64_t boottime_ticks() {
  timespec now;
  (void)clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * 100 + now.tv_nsec / 10000000;
}

} // namespace corral::sys
