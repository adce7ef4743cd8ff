// What a keeper may say, understood as the watch thread does: a sequence of packets becomes events in an order that the
// protocol allows, and whatever else comes changes nothing. Every input is a sequence of packets, each with its length
// before it.
#include "../../native/keeper_events.h"
#include "input.h"

#include <cstring>
#include <memory>

using corral::Event;

namespace {

constexpr size_t kMostPackets = 64;

void check(const Event &event, const std::string &packet) {
  switch (event.type) {
  case Event::Type::kStarted:
    CHECK(event.pid > 0);
    break;
  case Event::Type::kTerminated:
  case Event::Type::kSurvivors:
    CHECK(event.members.size() <= CORRAL_MEMBERS_PER_PACKET);
    CHECK(offsetof(corral_members, members) + event.members.size() * sizeof(corral_member) == packet.size());
    for (const corral_member &member : event.members) {
      CHECK(member.pid > 0);
      CHECK(strnlen(member.name, sizeof member.name) < sizeof member.name);
    }
    break;
  case Event::Type::kFailed:
  case Event::Type::kExited:
  case Event::Type::kEmpty:
  case Event::Type::kStopped:
  case Event::Type::kHungUp:
    break;
  default:
    CHECK(!"an event that a keeper can cause");
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input input(data, size);
  corral::KeeperSaid said;
  for (size_t count = 0; !input.is_empty() && count < kMostPackets; count++) {
    const std::string packet = input.piece(sizeof(corral_members) + 8);
    // Of exactly its size, so that a sanitizer sees a read one byte too far.
    const std::unique_ptr<char[]> bytes(new char[packet.size()]);
    memcpy(bytes.get(), packet.data(), packet.size());
    Event event(Event::Type::kLost, 7);
    if (!corral::event_of_packet(bytes.get(), packet.size(), said, &event)) {
      CHECK(event.type == Event::Type::kLost && event.id == 7 && event.pid == 0 && event.members.empty());
      continue;
    }
    const bool is_answer = event.type == Event::Type::kStarted || event.type == Event::Type::kFailed;
    CHECK(!said.finished && said.answered != is_answer);
    check(event, packet);
    said.answered = true;
    said.finished = event.type == Event::Type::kFailed || event.type == Event::Type::kEmpty;
  }
  return 0;
}
