/* See packets.h. */
#define _GNU_SOURCE
#include "packets.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "runtime.h"

/* What waits for an owner that does not read (stopped, or busy): some 16,000 members beyond what the socket holds.
 * Untouched until needed, so it costs address space only. The last part is kept for packets that are not lists. */
#define QUEUE_BYTES (512 * 1024)
#define QUEUE_RESERVE (16 * 1024)

static int control_fd;
static char queue[QUEUE_BYTES];
static uint32_t queue_start, queue_end;
static struct corral_members batch;

static bool is_signal(int32_t number) {
  return number >= 1 && number <= 64;
}

/* A name in a directory, or nothing. */
static bool is_valid_leaf(const char *name) {
  if (name[0] == '.') return false;
  for (int i = 0; i < CORRAL_LEAF_NAME && name[i] != '/'; i++)
    if (name[i] == '\0') return true;
  return false;
}

static bool is_valid_start(const struct corral_start *start) {
  return is_signal(start->kill_signal) && start->on_leader_exit <= CORRAL_POLICY_LEAVE &&
         (start->on_owner_exit == CORRAL_POLICY_STOP || start->on_owner_exit == CORRAL_POLICY_LEAVE) &&
         start->grace_ms >= -1 && start->timeout_ms >= 0 && start->settings.limit_count <= CORRAL_MAX_LIMITS &&
         start->settings.group_count <= CORRAL_MAX_GROUPS && is_valid_leaf(start->leaf);
}

bool packet_is_valid(const union owner_packet *packet, long length) {
  if (length < (long)sizeof packet->header || packet->header.version != CORRAL_PROTOCOL_VERSION) return false;
  if (packet->header.size != (uint64_t)length) return false;
  switch (packet->header.type) {
  case CORRAL_START:
    return length == (long)sizeof packet->start && is_valid_start(&packet->start);
  case CORRAL_STOP:
    return length == (long)sizeof packet->stop && is_signal(packet->stop.signal) && packet->stop.grace_ms >= -1;
  case CORRAL_KILL:
    return length == (long)sizeof packet->header;
  default:
    return false;
  }
}

union passed_fd {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

/* MSG_TRUNC makes the result the real length, so that a longer packet is seen as one. An owner that closes with replies
 * unread leaves an error before the packets it has sent; it is reported once. */
static long receive(union owner_packet *packet, int flags, union passed_fd *ancillary) {
  struct iovec part = {packet, sizeof *packet};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (ancillary != NULL) {
    ancillary->header.cmsg_len = 0;
    message.msg_control = ancillary;
    message.msg_controllen = CMSG_LEN(sizeof(int)); /* room for one, and not for a second one in the padding */
  }
  long length;
  do length = raw_syscall(SYS_recvmsg, control_fd, &message, flags | MSG_TRUNC | MSG_CMSG_CLOEXEC);
  while (length == -EINTR || length == -ECONNRESET);
  return length;
}

long packets_receive_start(struct corral_start *ret_start, int *ret_leaf) {
  union owner_packet packet;
  union passed_fd ancillary;
  control_fd = CORRAL_CONTROL_FD;
  const long length = receive(&packet, 0, &ancillary);
  const struct cmsghdr *passed = &ancillary.header;
  const bool has_fd = length >= 0 && passed->cmsg_len == CMSG_LEN(sizeof(int)) && passed->cmsg_type == SCM_RIGHTS;
  *ret_leaf = has_fd ? *(const int *)CMSG_DATA(passed) : 0;
  if (length < 0) return length;
  if (!packet_is_valid(&packet, length) || packet.header.type != CORRAL_START) return -EPROTO;
  *ret_start = packet.start;
  return 0;
}

bool packets_receive(union owner_packet *ret_packet) {
  for (;;) {
    const long length = receive(ret_packet, MSG_DONTWAIT, NULL);
    if (length <= 0) return false; /* nothing there, or an end that poll reports as well */
    if (packet_is_valid(ret_packet, length) && ret_packet->header.type != CORRAL_START) return true;
  }
}

int packets_fd(void) {
  return control_fd;
}
bool packets_waiting(void) {
  return queue_start < queue_end;
}

void packets_close(void) {
  if (control_fd >= 0) (void)raw_syscall(SYS_close, control_fd);
  control_fd = -1;
  queue_start = queue_end = 0;
}

/* 0 when sent, or -errno. */
static long transmit(const void *packet, uint32_t size, int passed_fd) {
  struct iovec part = {(void *)(uintptr_t)packet, size};
  union passed_fd ancillary = {.bytes = {0}};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (passed_fd >= 0) {
    ancillary.header.cmsg_len = CMSG_LEN(sizeof(int));
    ancillary.header.cmsg_level = SOL_SOCKET;
    ancillary.header.cmsg_type = SCM_RIGHTS;
    *(int *)CMSG_DATA(&ancillary.header) = passed_fd;
    message.msg_control = &ancillary;
    message.msg_controllen = sizeof ancillary.bytes;
  }
  long sent;
  do sent = raw_syscall(SYS_sendmsg, control_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent == -EINTR);
  return sent < 0 ? sent : 0;
}

void packets_continue(void) {
  while (control_fd >= 0 && packets_waiting()) {
    uint32_t size;
    memcpy(&size, queue + queue_start, sizeof size);
    const long error = transmit(queue + queue_start + sizeof size, size, -1);
    if (error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM) return;
    queue_start += (uint32_t)sizeof size + size;
  }
  queue_start = queue_end = 0;
}

void packets_send(enum corral_packet type, void *packet, uint32_t size, int passed_fd) {
  struct corral_header *header = packet;
  *header = (struct corral_header){CORRAL_PROTOCOL_VERSION, (uint8_t)type, 0, size};
  if (control_fd < 0) return;
  packets_continue();
  if (!packets_waiting()) {
    const long error = transmit(packet, size, passed_fd);
    /* Any other error means that the owner is going away; poll says so too. */
    if (error != -EAGAIN && error != -ENOBUFS && error != -ENOMEM) return;
  }
  const bool is_list = type == CORRAL_TERMINATED || (type == CORRAL_SURVIVORS && batch.count > 0);
  if (queue_end + sizeof size + size > QUEUE_BYTES - (is_list ? QUEUE_RESERVE : 0)) return;
  memcpy(queue + queue_end, &size, sizeof size);
  memcpy(queue + queue_end + sizeof size, packet, size);
  queue_end += (uint32_t)sizeof size + size;
}

static enum corral_packet batch_type;

void packets_flush_members(void) {
  if (batch.count == 0) return;
  packets_send(batch_type, &batch,
               (uint32_t)(offsetof(struct corral_members, members) + batch.count * sizeof batch.members[0]), -1);
  batch.count = 0;
}

void packets_add_member(enum corral_packet type, const struct corral_member *member) {
  if (batch.count == CORRAL_MEMBERS_PER_PACKET || batch_type != type) packets_flush_members();
  batch_type = type;
  batch.members[batch.count++] = *member;
}
