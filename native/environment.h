// One JavaScript environment (main thread or worker) as the native threads see it: a mailbox that may close at any
// time.
//
// Everything per environment lives here and in the objects it lists; it is handed to each export as callback data, so
// that several environments and several copies of the addon can live in one program.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "event.h"

namespace corral {

struct Held;

// The inode of an open file, which no other has while it is open; 0 when there is none.
uint64_t inode_of(int fd);

class Environment : public std::enable_shared_from_this<Environment> {
public:
  // JavaScript thread. Creates the mailbox; `receive` gets arrays of events.
  bool listen(Napi::Env env, Napi::Function receive);
  // JavaScript thread. Keeps the event loop alive while the count is above zero.
  void ref(Napi::Env env);
  void unref(Napi::Env env);
  // JavaScript thread, at the end of the environment: no event is delivered any more, everything held is let go to its
  // policy.
  void shut();

  // Any thread. Dropped when the environment has ended.
  void post(Event &&event);

  // JavaScript thread only.
  std::unordered_map<uint32_t, std::shared_ptr<Held>> held;

private:
  static void deliver(napi_env env, napi_value receive, void *context, void *data);

  std::mutex mutex_;
  std::vector<Event> mail_;
  napi_threadsafe_function wake_ = nullptr; // null once shut; guarded by mutex_
  uint32_t refs_ = 0;
};

} // namespace corral
