#!/bin/sh
# Runs what was built and adds the counts up: `test.sh BUILD [c|lua]`, both where none is named.
#
# C tests print only when one fails. The last line is 'N passed, N failed', alone; a program that ends without saying
# how many tests it ran (a crash, a sanitizer's report) counts as one failure. Exit code 1 where anything failed
# or nothing ran.
set -u

build=$1
which=${2:-all}
logs=$build/test-logs
mkdir -p "$logs"
passed=0
failed=0
skipped=0
export CMOCKA_MESSAGE_OUTPUT=stdout
# Specs that are not about stores leave none behind; those that are name theirs.
export ORRERY_STORE=memory:
# A test may run make itself, which must not look for the jobs of the one that runs the tests.
unset MAKEFLAGS MFLAGS MAKELEVEL

run_c() { # program
  name=${1##*/}
  log=$logs/$name.log
  "$1" >"$log" 2>&1
  code=$?
  # shellcheck disable=SC2046 # three words
  set -- $(awk '
    /^\[==========\] [0-9]+ test\(s\) run/ { run += $2 }
    /^\[  PASSED  \] [0-9]+ test/ { passed += $4 }
    /^\[  SKIPPED \] [0-9]+ test/ { skipped += $4 }
    END { print passed + 0, run - passed - skipped, skipped + 0 }' "$log")
  good=$1; bad=$2; omitted=$3
  if [ $code -ne 0 ]; then
    [ "$bad" -gt 0 ] || bad=1
    echo "FAILED $name (exit code $code):"
    tail -n 200 "$log"
  else
    printf '%-32s %d passed, %d failed\n' "$name" "$good" "$bad"
    grep '^skipped: ' "$log"
  fi
  passed=$((passed + good)); failed=$((failed + bad)); skipped=$((skipped + omitted))
}

run_specs() {
  log=$logs/specs.log
  { "$build/orrery" spec/support/run.lua 2>&1; echo "exit code $?"; } | tee "$log" |
    grep --line-buffered -vE '^(exit code [0-9]+|[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?)$'
  counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)\{0,1\}$/\1 \2 \4/p' "$log" | tail -n 1)
  # shellcheck disable=SC2086 # three words
  set -- $counts
  bad=${2:-1}
  tail -n 1 "$log" | grep -qx 'exit code 0' || { [ "$bad" -gt 0 ] || bad=1; }
  passed=$((passed + ${1:-0})); failed=$((failed + bad)); skipped=$((skipped + ${3:-0}))
}

if [ "$which" != lua ]; then
  for source in spec/c/test_*.c; do
    program=$build/spec/$(basename "$source" .c)
    [ ! -x "$program" ] || run_c "$program"
  done
fi
[ "$which" = c ] || run_specs

echo
if [ $skipped -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ] && [ $passed -gt 0 ]
