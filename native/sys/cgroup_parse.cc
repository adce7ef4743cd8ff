#include "cgroup_parse.h"

namespace corral::sys {

namespace {

constexpr std::string_view kPrefix = "corral-";
constexpr size_t kTreeIdDigits = 32;

// Cuts the part before `separator` (or all of it) off the front of `rest`.
std::string_view cut(std::string_view *rest, char separator) {
  const size_t end = rest->find(separator);
  std::string_view part = rest->substr(0, end);
  rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
  return part;
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// Space, tab, newline and backslash are written as \040 and so on.
std::string unescape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); i++) {
    const auto digit = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      result += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

// The part of `path` below `root`, "" or beginning with a slash. False when it is not below, or leads out of the
// namespace.
bool below(std::string_view path, std::string_view root, std::string_view *ret_rest) {
  if (root == "/") root = "";
  if (!starts_with(path, root)) return false;
  path.remove_prefix(root.size());
  if (path == "/") path = "";
  if (!path.empty() && path.front() != '/') return false;
  *ret_rest = path;
  return path != "/.." && !starts_with(path, "/../");
}

struct Mount {
  std::string root, point;
  bool is_cgroup2 = false, is_writable = false;
};

Mount parse_mount(std::string_view line) {
  Mount mount;
  for (int field = 0; field < 6; field++) {
    const std::string_view text = cut(&line, ' ');
    if (field == 3) mount.root = unescape(text);
    if (field == 4) mount.point = unescape(text);
    if (field == 5) mount.is_writable = starts_with(text, "rw") && (text.size() == 2 || text[2] == ',');
  }
  while (!line.empty() && cut(&line, ' ') != "-") {
  }
  mount.is_cgroup2 = cut(&line, ' ') == "cgroup2";
  return mount;
}

} // namespace

CgroupPlace find_own_cgroup(std::string_view mountinfo, std::string_view cgroup) {
  CgroupPlace place;
  std::string_view path;
  while (!cgroup.empty() && path.empty()) {
    std::string_view line = cut(&cgroup, '\n');
    if (starts_with(line, "0::/")) path = line.substr(3);
  }
  place.failure = LeafStage::kHierarchy;
  if (path.empty()) return place;

  bool is_writable = false;
  while (!mountinfo.empty()) {
    const Mount mount = parse_mount(cut(&mountinfo, '\n'));
    std::string_view rest;
    if (!mount.is_cgroup2) continue;
    if (place.failure == LeafStage::kHierarchy) place.failure = LeafStage::kOutside;
    if (!below(path, mount.root, &rest)) continue;
    // Of two mounts at one place the later one is on top.
    const bool is_better = place.failure != LeafStage::kNone || mount.is_writable || !is_writable;
    if (!is_better) continue;
    place.failure = LeafStage::kNone;
    place.directory = mount.point + std::string(rest);
    place.is_top = rest.empty();
    is_writable = mount.is_writable;
  }
  return place;
}

bool is_leaf_name(std::string_view name) {
  if (!starts_with(name, kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  const std::string_view tree = cut(&name, '.');
  const bool is_tree = tree.size() == kTreeIdDigits && tree.find_first_not_of("0123456789abcdef") == tree.npos;
  return is_tree && !name.empty() && name.find_first_not_of("0123456789") == name.npos;
}

} // namespace corral::sys
