#!/usr/bin/env bash
# A leader and five children, each with its own way of outliving the usual kill. Prints READY when all are there.
#
#   leader            exits on SIGTERM by itself, and leaves the others
#   ignores-term      same group, ignores SIGTERM
#   job-control       a group of its own in the same session, as every job of an interactive shell
#   daemon            double fork and setsid: own session, its parent is gone
#   cleared-daemon    the same with an empty environment
#   zombie            has exited, and its parent does not reap it
trap 'exit 0' TERM

(trap '' TERM; exec -a ignores-term sleep 1000) &
set -m
(exec -a job-control sleep 1001) &
set +m
setsid bash -c '(exec -a daemon sleep 1002) &'
setsid env -i bash -c '(exec -a cleared-daemon sleep 1003) &'
# exec replaces the shell that would have reaped its child.
bash -c 'sleep 0.2 & exec -a parent-of-a-zombie sleep 1004' &

echo READY
while :; do wait; done
