#include "keeper_events.h"

#include <cstddef>
#include <cstring>

namespace corral {

namespace {

// As docs/architecture.md says; who changes one raises the version.
static_assert(sizeof(corral_start) == 1488 + CORRAL_LEAF_NAME && sizeof(corral_stop) == 24 &&
              sizeof(corral_header) == 8);
static_assert(sizeof(corral_started) == 32 && sizeof(corral_failed) == 16 && sizeof(corral_exited) == 40);
static_assert(sizeof(corral_member) == 32 && sizeof(corral_empty) == 24 && sizeof(corral_stopped) == 16);

// The packet as what its type says it is. Its size has to be that of the type, no more and no less.
template <typename Packet> bool read_packet(const char *bytes, size_t size, Packet *ret_packet) {
  if (size != sizeof *ret_packet) return false;
  memcpy(ret_packet, bytes, size);
  return true;
}

bool read_members(const char *bytes, size_t size, std::vector<corral_member> *ret_members) {
  constexpr size_t head = offsetof(corral_members, members);
  corral_members packet;
  if (size < head || size > sizeof packet) return false;
  memcpy(&packet, bytes, size);
  if (packet.count > CORRAL_MEMBERS_PER_PACKET || size != head + packet.count * sizeof(corral_member)) return false;
  for (uint32_t i = 0; i < packet.count; i++) {
    const corral_member &member = packet.members[i];
    if (member.pid <= 0 || memchr(member.name, '\0', sizeof member.name) == nullptr) return false;
  }
  ret_members->assign(packet.members, packet.members + packet.count);
  return true;
}

} // namespace

bool event_of_packet(const char *bytes, size_t size, const KeeperSaid &said, Event *event) {
  corral_header header;
  if (size < sizeof header) return false;
  memcpy(&header, bytes, sizeof header);
  if (header.version != CORRAL_PROTOCOL_VERSION || header.size != size) return false;
  const bool is_answer = header.type == CORRAL_STARTED || header.type == CORRAL_FAILED;
  if (said.finished || said.answered == is_answer) return false;

  switch (header.type) {
  case CORRAL_STARTED: {
    corral_started packet;
    if (!read_packet(bytes, size, &packet) || packet.pid <= 0) return false;
    event->type = Event::Type::kStarted;
    event->pid = packet.pid;
    event->start_ticks = packet.start_ticks;
    event->leaf = packet.leaf;
    event->error = packet.leaf_error;
    return true;
  }
  case CORRAL_FAILED: {
    corral_failed packet;
    if (!read_packet(bytes, size, &packet)) return false;
    event->type = Event::Type::kFailed;
    event->stage = packet.stage;
    event->error = packet.error;
    return true;
  }
  case CORRAL_EXITED: {
    corral_exited packet;
    if (!read_packet(bytes, size, &packet)) return false;
    event->type = Event::Type::kExited;
    event->status = packet.wait_status;
    event->flags = packet.flags;
    event->user_us = packet.user_us;
    event->system_us = packet.system_us;
    event->max_rss_bytes = packet.max_rss_bytes;
    return true;
  }
  case CORRAL_TERMINATED:
  case CORRAL_SURVIVORS:
    if (!read_members(bytes, size, &event->members)) return false;
    event->type = header.type == CORRAL_TERMINATED ? Event::Type::kTerminated : Event::Type::kSurvivors;
    return true;
  case CORRAL_EMPTY: {
    corral_empty packet;
    if (!read_packet(bytes, size, &packet)) return false;
    event->type = Event::Type::kEmpty;
    event->flags = packet.flags;
    event->duration_us = packet.duration_us;
    return true;
  }
  case CORRAL_STOPPED: {
    corral_stopped packet;
    if (!read_packet(bytes, size, &packet)) return false;
    event->type = Event::Type::kStopped;
    event->status = packet.signal;
    return true;
  }
  case CORRAL_HUNG_UP:
    if (size != sizeof header) return false;
    event->type = Event::Type::kHungUp;
    return true;
  default:
    return false;
  }
}

} // namespace corral
