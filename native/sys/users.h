// User and group names, from the name service (passwd, LDAP, whatever nsswitch says): getpwnam_r(3), getgrouplist(3).
#pragma once

#include <cstdint>
#include <vector>

namespace corral::sys {

struct UserIds {
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups; // primary group included
};

// 1 found, 0 no such user, -errno.
int lookup_user(const char *name, UserIds *ret_ids);
int lookup_group(const char *name, uint32_t *ret_gid);

} // namespace corral::sys
