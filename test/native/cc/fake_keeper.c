/* In the place of a keeper: says to its owner what the words of its command tell, whatever the protocol may think of
 * it, once START has come.
 *
 *   [N:]HEX   a packet of these bytes ("-" = none), with N descriptors of /dev/null
 *   exit      ends at once; otherwise it ends when its owner has closed the socket
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../native/keeper/protocol.h"

#define MOST_FDS 8

static void say(const char *hex, int fd_count) {
  static unsigned char bytes[16384];
  size_t size = 0;
  unsigned byte;
  for (; size < sizeof bytes && sscanf(hex, "%2x", &byte) == 1; hex += 2) bytes[size++] = (unsigned char)byte;
  int fds[MOST_FDS];
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof fds)];
  } ancillary = {.bytes = {0}};
  struct iovec part = {bytes, size};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  const size_t payload = (size_t)fd_count * sizeof(int);
  for (int i = 0; i < fd_count; i++) fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd_count > 0) {
    ancillary.header.cmsg_len = CMSG_LEN(payload);
    ancillary.header.cmsg_level = SOL_SOCKET;
    ancillary.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&ancillary.header), fds, payload);
    message.msg_control = &ancillary;
    message.msg_controllen = CMSG_SPACE(payload);
  }
  (void)sendmsg(CORRAL_CONTROL_FD, &message, MSG_NOSIGNAL);
  for (int i = 0; i < fd_count; i++) (void)close(fds[i]);
}

int main(int argc, char **argv) {
  char ignored[4096];
  (void)!recv(CORRAL_CONTROL_FD, ignored, sizeof ignored, 0); /* START */
  for (int i = 4; i < argc; i++) {
    const char *colon = strchr(argv[i], ':');
    if (strcmp(argv[i], "exit") == 0) return 0;
    say(colon == NULL ? argv[i] : colon + 1, colon == NULL ? 0 : atoi(argv[i]));
  }
  while (recv(CORRAL_CONTROL_FD, ignored, sizeof ignored, 0) > 0) continue;
  return 0;
}
