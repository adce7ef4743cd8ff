/* Whether signals are verified to reach the process they are meant for. Always, in what is shipped.
 *
 * One build, for the tests only (scripts/build.mjs unverified), defines CORRAL_TEST_NO_IDENTITY: it signals by number,
 * as most programs do, so that the tests of identity can show that they would notice. Its export `unverified` says so,
 * and a binary that contains the text of it is refused by scripts/prebuild.mjs and by the tests of what is shipped.
 */
#ifndef CORRAL_IDENTITY_CHECKS_H
#define CORRAL_IDENTITY_CHECKS_H

#ifdef CORRAL_TEST_NO_IDENTITY
#define CORRAL_CHECKS_IDENTITY 0
#define CORRAL_UNVERIFIED_MARK "corral test build: signals by number, unverified"
#else
#define CORRAL_CHECKS_IDENTITY 1
#endif

#endif
