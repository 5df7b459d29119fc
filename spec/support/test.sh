#!/bin/sh
# Runs what was built and adds the counts up: `test.sh BUILD [c|lua|FILE...]`, everything where nothing is named.
#
# Each C test and each spec is a process of its own, and some run at once: TEST_JOBS of them, twice the number of
# processors where that is not set, as many tests wait more than they compute. The longest begin first (`longest` names
# them). What one says is printed whole, in the order in which they began; what failed is printed again at the end.
# That all of a file passed is printed only where files are named, or with V=1.
#
# Each skipped test is printed with its reason; where CI is set, one that expected_skips does not name counts as
# failed. The last line is 'N passed, N failed', alone; a program that ends without saying how many tests it ran (a
# crash, a sanitizer's report) counts as one failure. Exit code 1 where anything failed or nothing ran.
set -u

build=$1
shift
support=spec/support
jobs=${TEST_JOBS:-$((2 * $(nproc)))}
# Of its own, as another run may go on here; that of the last stays.
mkdir -p "$build"
logs=$(mktemp -d "$build/test-logs.XXXXXX")
trap 'rm -rf "$build/test-logs"; mv "$logs" "$build/test-logs"' EXIT
skips=$logs/skips
failures=$logs/failures
: >"$skips"
: >"$failures"
passed=0
failed=0
skipped=0
export CMOCKA_MESSAGE_OUTPUT=stdout
# Specs that are not about stores leave none behind; those that are name theirs.
export ORRERY_STORE=memory:
# A test may run make itself, which must not look for the jobs of the one that runs the tests.
unset MAKEFLAGS MFLAGS MAKELEVEL T

# ---- which, and in which order -------------------------------------------------------------------

all_c() {
  for source in spec/c/test_*.c; do
    [ ! -x "$build/spec/$(basename "$source" .c)" ] || echo "$source"
  done
}

case ${1:-} in
'') all_c; ls spec/*_spec.lua ;;
c) all_c ;;
lua) ls spec/*_spec.lua ;;
*) printf '%s\n' "$@" ;;
esac >"$logs/chosen"

{ grep -xFf "$logs/chosen" $support/longest; grep -vxFf $support/longest "$logs/chosen"; } >"$logs/order"

quiet=
case ${1:-} in '' | c | lua) [ -n "${V:-}" ] || quiet=1 ;; esac

# ---- what they said ------------------------------------------------------------------------------

count() { # passed, failed, skipped
  passed=$((passed + $1)); failed=$((failed + $2)); skipped=$((skipped + $3))
}

# A C test's own words are printed only where it failed.
show_c() { # name, log, exit code
  # shellcheck disable=SC2046 # three words
  set -- "$1" "$2" "$3" $(awk '
    /^\[==========\] [0-9]+ test\(s\) run/ { run += $2 }
    /^\[  PASSED  \] [0-9]+ test/ { passed += $4 }
    /^\[  SKIPPED \] [0-9]+ test/ { skipped += $4 }
    END { print passed + 0, run - passed - skipped, skipped + 0 }' "$2")
  bad=$5
  if [ "$3" -ne 0 ]; then
    [ "$bad" -gt 0 ] || bad=1
    { echo "FAILED $1 (exit code $3):"
      # what has passed only hides what has not
      grep -vE '^\[ (RUN     |      OK) \]' "$2" | tail -n 100; } | tee -a "$failures"
  elif [ -z "$quiet" ]; then
    printf '%-32s %d passed, %d failed\n' "$1" "$4" "$bad"
  fi
  sed -n "s/^skipped /skipped $1 /p" "$2" | tee -a "$skips"
  if [ "$(grep -c '^skipped ' "$2")" -lt "$6" ]; then
    echo "FAILED $1: a test was skipped without a reason" | tee -a "$failures"
    bad=$((bad + 1))
  fi
  count "$4" "$bad" "$6"
}

PASSED='^[^ ]* *[0-9]* passed, 0 failed\(, [0-9]* skipped\)\{0,1\} ([0-9.]* s)$'
SUMMARY='^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)\{0,1\}$'

show_spec() { # name, log, exit code
  grep -v "$SUMMARY" "$2" | { if [ -n "$quiet" ]; then grep -v "$PASSED"; else cat; fi; }
  grep '^skipped ' "$2" >>"$skips"
  # shellcheck disable=SC2046 # three words
  set -- "$1" "$2" "$3" $(sed -n "s/$SUMMARY/\\1 \\2 \\4/p" "$2" | tail -n 1)
  bad=${5:-1}
  if [ "$3" -ne 0 ]; then
    [ "$bad" -gt 0 ] || bad=1
    grep -q '^FAILED ' "$2" || echo "FAILED $1 (exit code $3)" | tee -a "$failures"
    grep -v "$SUMMARY" "$2" >>"$failures"
  fi
  count "${4:-0}" "$bad" "${6:-0}"
}

# ---- running them --------------------------------------------------------------------------------

shown=0

# The first that has not been shown yet.
next() {
  file=$(sed -n "$((shown + 1))p" "$logs/order")
  name=$(basename "${file%.*}")
  [ -n "$file" ]
}

show() {
  shown=$((shown + 1))
  touch "$logs/$name.log"
  code=$(cat "$logs/$name.code" 2>/dev/null) || code=1
  case $file in
  *.c) show_c "$name" "$logs/$name.log" "$code" ;;
  *) show_spec "$file" "$logs/$name.log" "$code" ;;
  esac
}

report() {
  if [ -n "${CI:-}" ]; then
    unexpected=$($support/unexpected_skips.sh "$skips")
    if [ -n "$unexpected" ]; then
      echo
      echo "FAILED these were skipped, and spec/support/expected_skips does not name them:"
      echo "$unexpected"
      failed=$((failed + $(echo "$unexpected" | wc -l)))
    fi
  fi

  # Where there is one file, this has just been read.
  if [ "$(wc -l <"$logs/order")" -gt 1 ] && [ -s "$failures" ]; then
    echo
    echo "---- what failed ----"
    cat "$failures"
  fi
  echo
  if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
  else
    echo "$passed passed, $failed failed"
  fi
  [ $failed -eq 0 ] && [ $passed -gt 0 ]
}

# run_one.sh says which has ended.
xargs -P "$jobs" -n 1 $support/run_one.sh "$build" "$logs" <"$logs/order" | {
  while read -r _; do
    while next && [ -e "$logs/$name.code" ]; do show; done
  done
  while next; do show; done # xargs was ended
  report
}
