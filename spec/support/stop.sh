#!/bin/sh
# Stops a process that has runs in a store, but never while it holds the lock under which the store is written, which
# others would wait for in vain: `stop.sh PID STORE`.
set -u

lock=$(stat -c %i "$2-lock")

# A thread that waits for the disk stops later than the others.
stopped() { ! grep -L '^State:.T' /proc/"$1"/task/*/status | grep -q .; }
writes() { grep -q "WRITE .*:$lock 0 [01]$" /proc/locks; }

while kill -STOP "$1" || exit 1; do
  until stopped "$1"; do sleep 0.01; done
  writes || exit 0
  kill -CONT "$1"
  sleep 0.02
done
