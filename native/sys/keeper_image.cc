#include "keeper_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fd.h"
#include "kernel.h"

namespace corral::sys {

namespace {

alignas(16) const unsigned char kImage[] = {
#include "keeper_elf.inc"
};

int fd_ = -1;
KeeperForm form_ = KeeperForm::kNone;

bool write_all(int fd, const unsigned char *bytes, size_t size) {
  while (size > 0) {
    ssize_t written = write(fd, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

int open_memfd() {
  int fd = memfd_executable("corral-keeper");
  if (fd < 0) return fd;
  Fd image(fd);
  if (!write_all(fd, kImage, sizeof kImage) || fchmod(fd, 0500) < 0) return -errno;
  return image.take();
}

// An executable must not be open for writing anywhere (ETXTBSY), so the file is opened again read-only before its name
// goes.
int open_file_in(const char *directory) {
  std::string path = std::string(directory) + "/corral-keeper-XXXXXX";
  Fd writer(mkostemp(path.data(), O_CLOEXEC));
  if (!writer) return -errno;
  int result = write_all(writer.get(), kImage, sizeof kImage) && fchmod(writer.get(), 0500) == 0 ? 0 : -errno;
  writer.reset();
  if (result == 0) {
    result = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (result < 0) result = -errno;
  }
  (void)unlink(path.c_str());
  // Not by faccessat, which takes a descriptor only since Linux 5.8.
  struct statvfs mount;
  if (result >= 0 && fstatvfs(result, &mount) == 0 && (mount.f_flag & ST_NOEXEC) != 0) {
    (void)close(result);
    return -EACCES;
  }
  return result;
}

int open_file() {
  int last = -EACCES;
  for (const char *directory : {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), static_cast<char *>(nullptr)}) {
    if (directory == nullptr || *directory != '/') continue;
    last = open_file_in(directory);
    if (last >= 0) return last;
  }
  for (const char *directory : {"/tmp", "/dev/shm", "/var/tmp"}) {
    last = open_file_in(directory);
    if (last >= 0) return last;
  }
  return last;
}

int open_image(KeeperForm *ret_form) {
  *ret_form = KeeperForm::kMemfd;
  int fd = open_memfd();
  if (fd >= 0) return fd;
  *ret_form = KeeperForm::kFile;
  fd = open_file();
  if (fd < 0) *ret_form = KeeperForm::kNone;
  return fd;
}

} // namespace

int keeper_fd() {
  if (fd_ >= 0) return fd_;
  fd_ = open_image(&form_);
  return fd_;
}

bool keeper_refused() {
  if (form_ != KeeperForm::kMemfd) return false;
  int fd = open_file();
  if (fd < 0) return false;
  (void)close(fd_);
  fd_ = fd;
  form_ = KeeperForm::kFile;
  return true;
}

int probe_keeper(KeeperForm *ret_form) {
  Fd image(open_image(ret_form));
  return image ? 0 : image.get();
}

} // namespace corral::sys
