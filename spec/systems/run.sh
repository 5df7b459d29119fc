#!/bin/sh
# run.sh FOLDER QEMU HOST [TEST...]: tests what was built into FOLDER for another system, under QEMU,
# beside HOST, the command of this system. TEST: names of C tests (test_json) and specs (json_spec);
# without them, those that spec/systems/tested names, and an exchange of stores with HOST.
#
# qemu translates a program's calls but starts others by this system's own means, so each program
# gets a script that starts it, and the tests run as ever (spec/support/test.sh).
set -eu

folder=$1 qemu=$2 host=$3
shift 3
systems=spec/systems
run=$folder/run
rm -rf "$run/spec" "$run/orrery"
mkdir -p "$run/spec"
here=$(cd "$folder" && pwd)

starter() { # name: a script that starts FOLDER/name under its own name
  printf '#!/bin/sh\nexec %s -L %s -0 "$0" %s "$@"\n' "$qemu" "$here/root" "$here/$1" >"$run/$1"
  chmod +x "$run/$1"
}
starter orrery
for program in "$folder"/spec/test_*; do
  starter "spec/$(basename "$program")"
done

exchange=no
if [ $# -eq 0 ]; then
  # shellcheck disable=SC2046 # a list of words
  set -- $(cat "$systems/tested")
  exchange=yes
fi
for name in "$@"; do
  shift
  case $name in
    test_*) set -- "$@" "spec/c/$name.c" ;;
    *) set -- "$@" "spec/$name.lua" ;;
  esac
done

spec/support/test.sh "$run" "$@"
if [ "$exchange" = yes ]; then
  "$host" "$systems/exchange.lua" "$run/orrery"
  "$run/orrery" "$systems/exchange.lua" "$host"
fi
