#include "users.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>

namespace corral::sys {

namespace {

// Calls a *_r function with a buffer that grows until the entry fits. 1 found, 0 not found, -errno.
template <typename Entry, typename Lookup> int with_buffer(std::vector<char> *buffer, Entry *entry, Lookup lookup) {
  for (buffer->resize(1024);; buffer->resize(buffer->size() * 2)) {
    Entry *found = nullptr;
    int error = lookup(entry, buffer->data(), buffer->size(), &found);
    if (error == ERANGE && buffer->size() < (1u << 20)) continue;
    if (found != nullptr) return 1;
    // "Not found" has many faces, getpwnam_r(3).
    return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM ? 0 : -error;
  }
}

} // namespace

int lookup_user(const char *name, UserIds *ret_ids) {
  std::vector<char> buffer;
  struct passwd entry;
  int found = with_buffer(&buffer, &entry, [name](struct passwd *e, char *b, size_t n, struct passwd **r) {
    return getpwnam_r(name, e, b, n, r);
  });
  if (found <= 0) return found;
  ret_ids->uid = entry.pw_uid;
  ret_ids->gid = entry.pw_gid;
  int count = 32;
  std::vector<gid_t> groups;
  do groups.resize(static_cast<size_t>(count));
  while (getgrouplist(name, entry.pw_gid, groups.data(), &count) < 0 && count > static_cast<int>(groups.size()));
  ret_ids->groups.assign(groups.begin(), groups.begin() + count);
  return 1;
}

int lookup_group(const char *name, uint32_t *ret_gid) {
  std::vector<char> buffer;
  struct group entry;
  int found = with_buffer(&buffer, &entry, [name](struct group *e, char *b, size_t n, struct group **r) {
    return getgrnam_r(name, e, b, n, r);
  });
  if (found > 0) *ret_gid = entry.gr_gid;
  return found;
}

} // namespace corral::sys
