// What an owner may send, received as the keeper does: any sequence of packets comes out of the socket as those of them
// that are well-formed, unchanged and in order, and nothing else does. Descriptors that come along are not kept.
//
// An input is a sequence of packets, each with its length before it; the first is meant to be START.
#include "input.h"

extern "C" {
#include "../../native/keeper/packets.h"
}

#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace {

constexpr size_t kLongest = 2 * sizeof(owner_packet), kMostPackets = 16;

// The far end; the near one is the keeper's descriptor.
int owner_end() {
  static const int end = [] {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    // Wherever the two came out, neither may be overwritten by the other.
    const int ours = dup(ends[0]), theirs = dup(ends[1]);
    (void)close(ends[0]);
    (void)close(ends[1]);
    CHECK(ours != CORRAL_CONTROL_FD);
    CHECK(dup2(theirs, CORRAL_CONTROL_FD) == CORRAL_CONTROL_FD);
    if (theirs != CORRAL_CONTROL_FD) (void)close(theirs);
    return ours;
  }();
  return end;
}

void send_packet(const std::string &packet, bool with_descriptor) {
  iovec part = {const_cast<char *>(packet.data()), packet.size()};
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (with_descriptor) {
    message.msg_control = ancillary;
    message.msg_controllen = sizeof ancillary;
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = owner_end();
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  CHECK(sendmsg(owner_end(), &message, MSG_DONTWAIT) == static_cast<ssize_t>(packet.size()));
}

void check_signal(int32_t signal) {
  CHECK(signal >= 1 && signal <= 64);
}

void check_start(const corral_start &start) {
  check_signal(start.kill_signal);
  CHECK(start.grace_ms >= -1 && start.timeout_ms >= 0);
  CHECK(start.on_leader_exit <= CORRAL_POLICY_LEAVE && start.on_owner_exit <= CORRAL_POLICY_LEAVE);
  CHECK(start.on_owner_exit != CORRAL_POLICY_WAIT);
  CHECK(start.settings.limit_count <= CORRAL_MAX_LIMITS && start.settings.group_count <= CORRAL_MAX_GROUPS);
}

size_t size_of(const owner_packet &packet) {
  switch (packet.header.type) {
  case CORRAL_STOP:
    check_signal(packet.stop.signal);
    CHECK(packet.stop.grace_ms >= -1);
    return sizeof packet.stop;
  case CORRAL_KILL:
    return sizeof packet.header;
  default:
    CHECK(!"a type that the keeper knows");
    return 0;
  }
}

} // namespace

// Before the engine opens files of its own, which would get the number that the keeper uses.
extern "C" int LLVMFuzzerInitialize(int *, char ***) {
  (void)owner_end();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input input(data, size);
  std::vector<std::string> sent;
  do {
    const bool with_descriptor = (input.byte() & 1) != 0;
    sent.push_back(input.piece(kLongest));
    send_packet(sent.back(), with_descriptor);
  } while (!input.is_empty() && sent.size() < kMostPackets);

  corral_start start;
  int leaf = 0; // the descriptor that START may bring
  const bool is_start = packets_receive_start(&start, &leaf) == 0;
  if (leaf > 0) (void)close(leaf);
  if (is_start) {
    CHECK(sent[0].size() == sizeof start && memcmp(sent[0].data(), &start, sizeof start) == 0);
    check_start(start);
  }
  // A packet of no length ends a round, as the end of the file would; the next begins behind it.
  owner_packet packet;
  size_t next = 1;
  for (size_t round = 0; round < sent.size(); round++) {
    while (packets_receive(&packet)) {
      CHECK(packet.header.version == CORRAL_PROTOCOL_VERSION);
      const size_t length = size_of(packet);
      CHECK(packet.header.size == length);
      while (next < sent.size() && (sent[next].size() != length || memcmp(sent[next].data(), &packet, length) != 0))
        next++;
      CHECK(next < sent.size());
      next++;
    }
  }
  char byte;
  CHECK(recv(CORRAL_CONTROL_FD, &byte, 1, MSG_DONTWAIT) < 0);
  // The lowest free number, which grows when a descriptor was kept.
  const int lowest_free = dup(CORRAL_CONTROL_FD);
  (void)close(lowest_free);
  static const int lowest_at_first = lowest_free;
  CHECK(lowest_free == lowest_at_first);
  return 0;
}
