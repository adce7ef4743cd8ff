// One look at /proc: which processes there are, and of each exactly the fields that were asked for.
//
// A scan reports what it saw and decides nothing. It opens no file that was not asked for, and it never takes "could
// not be read" for "empty". May be called on any thread; a read can block for as long as the process read from holds
// its memory map (FIELD_ARGS, FIELD_ENV), so never call it where that matters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "proc_parse.h"

namespace corral::sys {

// Bits of ScanRequest::fields and of the column unread; the same values as FIELD_* in src/native.ts.
enum : uint8_t {
  kFieldStat = 1u << 0,   // the columns of /proc/PID/stat
  kFieldArgs = 1u << 1,   // /proc/PID/cmdline
  kFieldUid = 1u << 2,    // effective user id
  kFieldCwd = 1u << 3,    // readlink /proc/PID/cwd
  kFieldExe = 1u << 4,    // readlink /proc/PID/exe
  kFieldEnv = 1u << 5,    // /proc/PID/environ
  kFieldCgroup = 1u << 6, // /proc/PID/cgroup
};

constexpr size_t kMostAtOnce = 16;

struct ScanRequest {
  uint32_t fields = kFieldStat;
  // Only these, where they exist, when by_pid is set. Numbers that are no process (thread ids, 0) are skipped.
  std::vector<int32_t> pids;
  bool by_pid = false;
  // Only members of this process group and of this session; 0 = any. Files of other processes are not opened.
  int32_t pgid = 0, sid = 0;
  // How many a thread takes at a time; kMostAtOnce or fewer. When that was not all a second thread takes part, which is
  // 0.6 of the time where a core is idle.
  size_t batch = kMostAtOnce;
};

// The order is also the order of the strings of one process in the scan's memory.
enum Column : uint8_t {
  kColumnPid,           // int32
  kColumnStartTicks,    // uint64
  kColumnPpid,          // int32, this and the following with kFieldStat
  kColumnPgid,          // int32
  kColumnSid,           // int32
  kColumnTty,           // int32
  kColumnState,         // uint8
  kColumnCpuTicks,      // double
  kColumnChildCpuTicks, // double
  kColumnRssPages,      // double
  kColumnThreads,       // int32
  kColumnFlags,         // uint32
  kColumnName,          // text
  kColumnUid,           // uint32
  kColumnArgs,          // text
  kColumnCwd,           // text
  kColumnExe,           // text
  kColumnEnv,           // text
  kColumnCgroup,        // text
  kColumnUnread,        // uint8: bits of the fields that could not be read, or not in full
  kColumnText,          // uint8: the bytes of all text columns
  kColumnCount,
};

// kText: uint32 offsets into kColumnText, count + 1 of them; string i is text[offset[i] .. offset[i + 1]).
enum class Element : uint8_t { kUint8, kInt32, kUint32, kUint64, kDouble, kText };

struct ColumnType {
  const char *name; // as in ScanColumns of src/native.ts
  Element element;
  uint8_t field; // the bit that asks for it; 0 = always there
};
extern const ColumnType kColumnTypes[kColumnCount];

// The result: one block of memory that holds every column, to be copied as it is, and where in it each column lies.
// Rows are in ascending order of pid.
//
// A process that exists but whose stat we are refused (hidepid, a security module) or can not parse has a row all the
// same, so that "hidden" is not taken for "gone": unread has kFieldStat, start_ticks is UINT64_MAX, which
// belongs to no process, and everything from stat is zero.
class ScanTable {
public:
  struct Slice {
    size_t offset = 0; // bytes from block(); a multiple of 8
    size_t length = 0; // elements (text: count + 1 offsets)
    bool present = false;
  };

  ScanTable() = default;
  ScanTable(ScanTable &&other) noexcept;
  ScanTable &operator=(ScanTable &&other) noexcept;
  ScanTable(const ScanTable &) = delete;
  ScanTable &operator=(const ScanTable &) = delete;
  ~ScanTable();

  uint32_t count = 0;
  int64_t now_ticks = 0; // CLOCK_BOOTTIME when the scan began, in clock ticks
  double now_ms = 0;     // CLOCK_REALTIME at the same time
  Slice columns[kColumnCount];

  const unsigned char *block() const { return block_; }
  size_t block_size() const { return block_size_; }

  // The elements of a column in the type named above, or null when it was not asked for.
  template <typename T> const T *column(Column column) const {
    return columns[column].present ? reinterpret_cast<const T *>(block_ + columns[column].offset) : nullptr;
  }

private:
  friend class TableBuilder;
  unsigned char *block_ = nullptr; // malloc'ed
  size_t block_size_ = 0;
};

// Fills *ret_table and returns 0; or -errno, with *ret_syscall naming the call (a static string), when /proc itself can
// not be read or resources are short: -EMFILE, -ENFILE, -ENOMEM, -EACCES; -EXDEV when the /proc mounted here is that of
// another pid namespace, so that its numbers mean other processes than ours. What ends while we look is left out.
//
// A file of a process is read up to 2 MiB, all text together up to 256 MiB (twice that when two threads
// share them); what is longer is cut and marked unread. An empty command line of a process that is neither
// a zombie nor a kernel thread is marked unread too: that is what a process shows in the middle of execve(2).
//
// The uid is the owner of the directory /proc/PID: the effective user id, always. Not that of the files in it: those of
// a zombie and of a process that is not dumpable belong to root, which for a scan by root would turn another's process
// into its own.
//
// proc(5), getdents64(2), openat(2), getpgid(2), getsid(2).
int scan(const ScanRequest &request, ScanTable *ret_table, const char **ret_syscall);

// /proc/PID/stat of one process, zombies included. proc_fd: a descriptor of /proc, or -1 to go by the path.
// 0; -ESRCH there is none (any more); -EACCES, -EPERM it is hidden from us; -EMFILE...; -EBADMSG unintelligible.
int read_stat(int proc_fd, int32_t pid, StatRow *ret_row);

// Our process group, our session, our parent, its parent and so on, as far as /proc shows them. 0, or -errno as of a
// scan: who can not look does not know whom he descends from.
int lineage(std::vector<int32_t> *ret_ids);

// CLOCK_BOOTTIME in clock ticks (1/100 s): the clock start_ticks is on, time namespace included.
int64_t boottime_ticks();

} // namespace corral::sys
