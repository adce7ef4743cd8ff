{
  "targets": [
    {
      "target_name": "corral",
      "sources": [
        "native/addon.cc",
        "native/convert.cc",
        "native/environment.cc",
        "native/glibc_compat.cc",
        "native/keeper_events.cc",
        "native/watch.cc",
        "native/watchdog.cc",
        "native/sys/cgroup.cc",
        "native/sys/cgroup_leaf.c",
        "native/sys/cgroup_parse.cc",
        "native/sys/child_setup.c",
        "native/sys/keeper_image.cc",
        "native/sys/kernel.cc",
        "native/sys/orphans.cc",
        "native/sys/proc_parse.cc",
        "native/sys/proc_scan.cc",
        "native/sys/process_ref.cc",
        "native/sys/reap.cc",
        "native/sys/spawn.cc",
        "native/sys/terminal.cc",
        "native/sys/thread.cc",
        "native/sys/users.cc"
      ],
      "include_dirs": [
        "<!(node -p \"require('node-addon-api').include_dir\")",
        "<(SHARED_INTERMEDIATE_DIR)"
      ],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "actions": [
        {
          "action_name": "embed_keeper",
          "inputs": [
            "scripts/embed-keeper.mjs",
            "native/sys/cgroup_leaf.h",
            "native/sys/cgroup_leaf.c",
            "native/sys/child_setup.h",
            "native/sys/identity_checks.h",
            "native/sys/child_setup.c",
            "native/sys/raw_syscall.h",
            "<!@(ls native/keeper/*)"
          ],
          "outputs": ["<(SHARED_INTERMEDIATE_DIR)/keeper_elf.inc"],
          "action": ["node", "scripts/embed-keeper.mjs", "<(SHARED_INTERMEDIATE_DIR)/keeper_elf.inc"]
        }
      ],
      "cflags": ["-include", "<(module_root_dir)/native/glibc_compat.h", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-cast-function-type", "-O2", "-ffunction-sections", "-fdata-sections", "-fstack-protector-strong"],
      "cflags!": ["-O3", "-fno-omit-frame-pointer"],
      "cflags_c": ["-std=c11", "-fvisibility=hidden"],
      "cflags_cc": ["-std=c++17", "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-fno-exceptions", "-fno-rtti"],
      "cflags_cc!": ["-std=gnu++20", "-std=gnu++17"],
      "ldflags": ["-Wl,--gc-sections", "-Wl,-z,relro,-z,now", "-Wl,-z,nodelete", "-Wl,--version-script=<(module_root_dir)/native/exports.map"]
    }
  ]
}
