// What a keeper says (keeper/protocol.h), checked and understood. Pure: bytes in, an event out; it has no descriptor,
// no clock and changes nothing. A keeper is our own program, and still nothing it sends is believed unseen: it lives in
// another process, which may be of another version or no keeper at all by the time somebody has attached a debugger.
#pragma once

#include <cstddef>

#include "event.h"

namespace corral {

// What a keeper has said so far.
struct KeeperSaid {
  bool answered = false; // STARTED or FAILED: comes first, and once
  bool finished = false; // FAILED or EMPTY: nothing comes after it
};

// False: not a packet that is exactly known, or not at this point; *event is then unchanged. The event's id stays as it
// is; elapsed_us, keeper_pid and has_pipes are the caller's to add.
bool event_of_packet(const char *bytes, size_t size, const KeeperSaid &said, Event *event);

} // namespace corral
