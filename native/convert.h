// JavaScript values <-> C++ values; the only place that knows both. The shapes are those of src/native.ts.
#pragma once

#include <napi.h>

#include <vector>

#include "event.h"
#include "sys/kernel.h"
#include "sys/proc_scan.h"
#include "sys/spawn.h"

namespace corral::convert {

// False with a pending TypeError when the object is not a SpawnRequest. Descriptors the caller lends are duplicated here, on its
// thread, because it may close them as soon as the call returns.
bool spawn_request(Napi::Env env, Napi::Value value, uint32_t *ret_id, sys::SpawnRequest *ret_request);
bool scan_request(Napi::Env env, Napi::Value value, uint32_t *ret_id, sys::ScanRequest *ret_request);

Napi::Array events(Napi::Env env, std::vector<Event> &events);
Napi::Object kernel_report(Napi::Env env, const sys::Kernel &kernel);

Napi::Value ticks_or_errno(Napi::Env env, int error, uint64_t ticks);

} // namespace corral::convert
