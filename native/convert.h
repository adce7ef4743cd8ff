// JavaScript values <-> C++ values; the only place that knows both. The shapes are those of src/native.ts.
//
// The plain C calls of Node-API are used here, not their C++ wrappers: a worker can be terminated between any two of
// them, from then on each answers "can not run JavaScript", and that is a normal status and not an error to be raised.
// What could not be made is left out; nobody will look at it.
#pragma once

#include <node_api.h>

#include <vector>

#include "event.h"
#include "sys/kernel.h"
#include "sys/proc_scan.h"
#include "sys/spawn.h"
#include "sys/users.h"

namespace corral::convert {

// False with a pending TypeError (or because the environment is ending) when this is not what requestSpawn() of
// src/native.ts packs. Descriptors the caller lends are duplicated here, on its thread, because it may close them as
// soon as the call returns.
bool spawn_request(napi_env env, napi_value numbers, napi_value text, napi_value settings, uint32_t *ret_id,
                   sys::SpawnRequest *ret_request);
bool scan_request(napi_env env, napi_value value, uint32_t *ret_id, sys::ScanRequest *ret_request);

// Null when the environment is ending.
napi_value events(napi_env env, std::vector<Event> &events);
napi_value members(napi_env env, const std::vector<corral_member> &members);
napi_value kernel_report(napi_env env, const sys::Kernel &kernel);
napi_value kernel_trial(napi_env env);
napi_value descriptors(napi_env env, const int (&fds)[3]);
napi_value user_ids(napi_env env, const sys::UserIds &ids);
napi_value numbers_or_errno(napi_env env, int error, const std::vector<int32_t> &numbers);
napi_value ticks_or_errno(napi_env env, int error, uint64_t ticks);

} // namespace corral::convert
