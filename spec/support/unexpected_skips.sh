#!/bin/sh
# Prints the lines 'skipped NAME: REASON' of a file that no line of expected_skips (or of the file named second) allows.
#
# A line there is a part of the name, a colon and the reason, both as they are printed; * stands for anything.
set -u

list=${2:-$(dirname "$0")/expected_skips}

expected() { # name, reason
  while IFS= read -r line; do
    case $line in '' | '#'*) continue ;; esac
    # shellcheck disable=SC2254 # patterns they are
    case $1 in *${line%%: *}*) case $2 in ${line#*: }) return 0 ;; esac ;; esac
  done <"$list"
  return 1
}

while IFS= read -r skip; do
  rest=${skip#skipped }
  expected "${rest%%: *}" "${rest#*: }" || echo "$skip"
done <"$1"
