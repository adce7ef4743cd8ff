#include "cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "cgroup_leaf.h"
#include "kernel.h"

namespace corral::sys {

namespace {

constexpr long kCgroup2Magic = 0x63677270; // CGROUP2_SUPER_MAGIC
constexpr int64_t kTidyEveryMs = 60000;

std::string read_all(const char *path) {
  std::string text;
  Fd fd(open(path, O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  for (ssize_t length; fd && (length = read(fd.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(length));
  return text;
}

int open_below(int at, const char *path) {
  const int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

// What is mounted over the place we look for is something else.
int open_cgroup(const std::string &directory) {
  Fd fd(open_below(AT_FDCWD, directory.c_str()));
  struct statfs stat;
  if (!fd) return fd.get();
  if (fstatfs(fd.get(), &stat) < 0) return -errno;
  return static_cast<long>(stat.f_type) == kCgroup2Magic ? fd.take() : -ENOENT;
}

// The list of mounts may be long and seldom changes, so it is read again only when it does not lead anywhere; the
// cgroup we are in may change at any time.
CgroupPlace own_cgroup(Fd *ret_fd) {
  static std::string &mountinfo = *new std::string(); // never destroyed: the thread outlives static destruction
  const std::string cgroup = read_all("/proc/self/cgroup");
  bool is_fresh = mountinfo.empty();
  for (;;) {
    if (is_fresh) mountinfo = read_all("/proc/self/mountinfo");
    CgroupPlace place = find_own_cgroup(mountinfo, cgroup);
    if (place.failure == LeafStage::kNone) {
      ret_fd->reset(open_cgroup(place.directory));
      if (!*ret_fd) place.failure = LeafStage::kOutside;
    }
    if (is_fresh || place.failure == LeafStage::kNone) return place;
    is_fresh = true;
  }
}

// Opens and locks what has just been made. -EWOULDBLOCK and -ENOENT: somebody who tidies up was quicker.
int take_leaf(int directory, const char *name, Fd *ret_leaf) {
  Fd leaf(open_below(directory, name));
  if (!leaf) return leaf.get();
  if (flock(leaf.get(), LOCK_EX | LOCK_NB) < 0) return -errno;
  Fd type(openat(leaf.get(), "cgroup.type", O_RDONLY | O_CLOEXEC));
  char text[32];
  const ssize_t length = type ? read(type.get(), text, sizeof text) : -1;
  if (length < 0) return -ENOENT;
  // "domain invalid" and "threaded" do not take processes.
  if (std::string_view(text, static_cast<size_t>(length)) != "domain\n") return -EOPNOTSUPP;
  *ret_leaf = std::move(leaf);
  return 0;
}

// 0 and the locked leaf, or -errno; -EOPNOTSUPP: it would not hold processes.
int make_leaf_in(int directory, const char *name, Fd *ret_leaf) {
  int error = -EBUSY;
  for (int attempt = 0; attempt < 3; attempt++) {
    const bool is_made = mkdirat(directory, name, 0755) == 0;
    if (!is_made && (errno != EEXIST || attempt == 0)) return -errno;
    error = take_leaf(directory, name, ret_leaf);
    if (error == 0) return 0;
    if (error != -EWOULDBLOCK && error != -ENOENT) break;
  }
  (void)unlinkat(directory, name, AT_REMOVEDIR);
  return error;
}

std::string parent_of(const std::string &directory) {
  const size_t slash = directory.find_last_of('/');
  return slash == 0 ? "/" : directory.substr(0, slash);
}

// Reading a directory of many leaves costs as much as a spawn.
void tidy(const std::string &path, int directory) {
  static std::string &last = *new std::string();
  static int64_t next_ms = 0;
  if (path == last && monotonic_ms() < next_ms) return;
  last = path;
  next_ms = monotonic_ms() + kTidyEveryMs;
  (void)remove_stale_leaves(directory);
}

} // namespace

bool make_leaf(const std::string &name, Leaf *ret_leaf, LeafFailure *ret_failure) {
  Fd directory;
  CgroupPlace place = own_cgroup(&directory);
  ret_failure->directory = place.directory;
  if (place.failure != LeafStage::kNone) {
    *ret_failure = {place.failure, place.failure == LeafStage::kHierarchy ? ENOSYS : ENOENT, place.directory};
    return false;
  }
  tidy(place.directory, directory.get());
  Fd leaf;
  int error = make_leaf_in(directory.get(), name.c_str(), &leaf);
  if (error == -EOPNOTSUPP && !place.is_top) {
    // A cgroup that hands out threaded controllers, or is threaded itself, can not have ours below it; its parent may.
    place.directory = parent_of(place.directory);
    directory.reset(open_cgroup(place.directory));
    tidy(place.directory, directory.get());
    const int beside = directory ? make_leaf_in(directory.get(), name.c_str(), &leaf) : directory.get();
    if (beside == 0) error = 0;
  }
  if (error < 0) {
    ret_failure->stage = error == -EOPNOTSUPP ? LeafStage::kThreaded : LeafStage::kMake;
    ret_failure->error = -error;
    return false;
  }
  *ret_leaf = {place.directory, name, std::move(leaf)};
  return true;
}

void remove_leaf(const std::string &directory, const std::string &name) {
  if (!is_leaf_name(name)) return;
  Fd leaf(open_below(AT_FDCWD, (directory + '/' + name).c_str()));
  if (leaf) (void)leaf_remove(leaf.get(), name.c_str());
}

int remove_stale_leaves(int directory) {
  const int own = open_below(directory, ".");
  DIR *list = own < 0 ? nullptr : fdopendir(own);
  int removed = 0;
  while (const dirent *entry = list == nullptr ? nullptr : readdir(list)) {
    if (!is_leaf_name(entry->d_name)) continue;
    Fd leaf(open_below(directory, entry->d_name));
    if (!leaf || flock(leaf.get(), LOCK_EX | LOCK_NB) < 0) continue;
    Fd events(openat(leaf.get(), "cgroup.events", O_RDONLY | O_CLOEXEC));
    if (!events || leaf_is_populated(events.get()) != 0) continue;
    removed += leaf_remove(leaf.get(), entry->d_name) == 0;
  }
  if (list != nullptr) {
    (void)closedir(list);
  } else if (own >= 0) {
    (void)close(own);
  }
  return removed;
}

void Leaf::discard() {
  fd.reset();
  if (!name.empty()) remove_leaf(directory, name);
  name.clear();
}

} // namespace corral::sys
