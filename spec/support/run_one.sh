#!/bin/sh
# Runs one C test or spec for test.sh: `run_one.sh BUILD LOGS FILE`. What it says goes to LOGS/NAME.log, and when it has
# ended, its exit code to LOGS/NAME.code; then FILE is printed.
set -u

# Tests send Ctrl-C, which whoever runs this in the background lets it ignore. One that hangs is ended after TEST_LIMIT
# seconds and fails with exit code 124, so that the others are still heard.
run() { timeout -k 10 "${TEST_LIMIT:-900}" env --default-signal=INT,QUIT "$@"; }

name=$(basename "${3%.*}")
case $3 in
*.c) run "$1/spec/$name" ;;
*) run "$1/orrery" spec/support/run.lua "$3" ;;
esac >"$2/$name.log" 2>&1 </dev/null
echo $? >"$2/$name.code.new"
mv "$2/$name.code.new" "$2/$name.code"
echo "$3"
