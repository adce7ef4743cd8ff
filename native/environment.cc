#include "environment.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "convert.h"
#include "watch.h"

namespace corral {

namespace {

// A worker can be terminated after it was given descriptors and before its streams own them, which would close them.
// What streams owned has been closed when we get here, and its number may be another's by now.
void close_untaken(const Held &held) {
  if (!held.given) return;
  for (const Held::Given &given : *held.given) {
    if (given.inode != 0 && inode_of(given.fd) == given.inode) (void)close(given.fd);
  }
}

} // namespace

uint64_t inode_of(int fd) {
  struct stat file; // the raw call, since fstat is a symbol of glibc 2.33
  return fd >= 0 && syscall(SYS_fstat, fd, &file) == 0 ? file.st_ino : 0;
}

bool Environment::listen(Napi::Env env, Napi::Function receive) {
  if (wake_ != nullptr) return false;
  napi_value name = Napi::String::New(env, "corral");
  if (napi_create_threadsafe_function(env, receive, nullptr, name, 0, 1, nullptr, nullptr, this, deliver, &wake_) !=
      napi_ok)
    return false;
  // Hooks run newest first: this one before the function's own, so that no thread ever sees a function being torn down.
  env.AddCleanupHook([](Environment *self) { self->shut(); }, this);
  return napi_unref_threadsafe_function(env, wake_) == napi_ok;
}

void Environment::ref(Napi::Env env) {
  if (refs_++ == 0 && wake_ != nullptr) (void)napi_ref_threadsafe_function(env, wake_);
}

void Environment::unref(Napi::Env env) {
  if (refs_ > 0 && --refs_ == 0 && wake_ != nullptr) (void)napi_unref_threadsafe_function(env, wake_);
}

void Environment::post(Event &&event) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (wake_ == nullptr) return;
  mail_.push_back(std::move(event));
  // One wake-up carries everything that came until it is served. The call does not block (unlimited queue), and the
  // lock keeps shut() from releasing the function meanwhile.
  if (mail_.size() == 1) (void)napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Environment::shut() {
  napi_threadsafe_function wake;
  std::vector<Event> unread;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    wake = wake_;
    wake_ = nullptr;
    unread.swap(mail_); // freed outside the lock
  }
  if (wake != nullptr) (void)napi_release_threadsafe_function(wake, napi_tsfn_abort);
  for (auto &entry : held) {
    close_untaken(*entry.second);
    Watch::instance().close(entry.second);
  }
  held.clear();
}

void Environment::deliver(napi_env env, napi_value receive, void *context, void *) {
  if (env == nullptr) return; // the environment is ending; shut() has emptied the mailbox
  auto *self = static_cast<Environment *>(context);
  std::vector<Event> mail;
  {
    std::lock_guard<std::mutex> lock(self->mutex_);
    mail.swap(self->mail_);
  }
  if (mail.empty()) return;
  napi_value events = convert::events(env, mail), undefined = nullptr;
  if (events == nullptr || napi_get_undefined(env, &undefined) != napi_ok) return; // ending
  (void)napi_call_function(env, undefined, receive, 1, &events, nullptr);
}

} // namespace corral
