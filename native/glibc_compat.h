// Keeps the addon loadable on glibc 2.28 when it is linked on a newer one. Included before everything else in
// every source file (-include in binding.gyp); does nothing with other C libraries.
//
// glibc 2.34 moved libpthread and libdl into libc and gave their functions new symbol versions; a plain link picks
// those. The old versions are still there, in every glibc, and mean the same functions. When the prebuild test names
// a symbol above the floor, add it here if it has an older version (objdump -T libc.so.6), or do not use it.
#ifndef CORRAL_GLIBC_COMPAT_H
#define CORRAL_GLIBC_COMPAT_H

// features.h settles what the system headers show, before the source file can ask for it.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <features.h>

#if defined(__GLIBC__) && defined(__x86_64__)
#define CORRAL_BIND(name, x86_64, aarch64) __asm__(".symver " #name "," #name "@GLIBC_" x86_64)
#elif defined(__GLIBC__) && defined(__aarch64__)
#define CORRAL_BIND(name, x86_64, aarch64) __asm__(".symver " #name "," #name "@GLIBC_" aarch64)
#endif

#ifdef CORRAL_BIND
CORRAL_BIND(pthread_create, "2.2.5", "2.17");
CORRAL_BIND(pthread_join, "2.2.5", "2.17");
CORRAL_BIND(pthread_detach, "2.2.5", "2.17");
CORRAL_BIND(pthread_once, "2.2.5", "2.17");
CORRAL_BIND(pthread_kill, "2.2.5", "2.17");
CORRAL_BIND(pthread_sigmask, "2.2.5", "2.17");
CORRAL_BIND(pthread_setname_np, "2.12", "2.17");
CORRAL_BIND(pthread_setaffinity_np, "2.3.4", "2.17");
CORRAL_BIND(pthread_attr_setstacksize, "2.2.5", "2.17");
CORRAL_BIND(pthread_condattr_setclock, "2.3.3", "2.17");
CORRAL_BIND(pthread_mutex_trylock, "2.2.5", "2.17");
CORRAL_BIND(dladdr, "2.2.5", "2.17");
CORRAL_BIND(dlsym, "2.2.5", "2.17");
#undef CORRAL_BIND
#endif

#endif
