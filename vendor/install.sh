#!/bin/sh
# Installs the Debian packages of the named parts of manifest.tsv (`install.sh build test`), asking nothing.
#
# What is there already is left alone, however it came: a package is installed only where its probe finds nothing,
# so on a machine that has everything this starts no package manager and needs no rights. `install.sh --missing
# PART...` only prints the packages that would be installed.
set -eu

here=$(dirname "$0")
dry=no
if [ "${1:-}" = --missing ]; then dry=yes; shift; fi
if [ $# -eq 0 ]; then
  echo "install.sh: expected the parts to install: $(awk -F'\t' '!/^#/ && !seen[$1]++ {printf "%s ", $1}' "$here/manifest.tsv")" >&2
  exit 2
fi

present() { # probe: a file pattern where it begins with a slash, a command otherwise
  case $1 in
    /*) for file in $1; do [ -e "$file" ] && return 0; done; return 1 ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

missing=
tab=$(printf '\t')
for part in "$@"; do
  known=no
  while IFS=$tab read -r its_part package _version _licence probe _why; do
    [ "$its_part" = "$part" ] || continue
    known=yes
    present "$probe" || missing="$missing $package"
  done <"$here/manifest.tsv"
  if [ $known = no ]; then
    echo "install.sh: no part is called '$part' in $here/manifest.tsv" >&2
    exit 2
  fi
done

[ -n "$missing" ] || exit 0
if [ $dry = yes ]; then
  echo $missing
  exit 0
fi

# One at a time: make may ask for two parts at once. The next one looks again at what is missing.
if [ -z "${ORRERY_INSTALLING:-}" ]; then
  ORRERY_INSTALLING=yes exec flock "$0" "$0" "$@"
fi

if ! command -v apt-get >/dev/null 2>&1; then
  echo "install.sh: this machine has no apt-get; install what these Debian packages hold, then try again:$missing" >&2
  exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "install.sh: neither root nor sudo is at hand; as root, run: apt-get install$missing" >&2
    exit 1
  fi
  as_root=sudo
fi

apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o=Dpkg::Use-Pty=0 "$@"
}

# A package that brings a server (nginx) starts it when it is installed. The tests start their own, on a port of their
# own, so for the time of the installation services are told not to start, as invoke-rc.d(8) describes.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap '$as_root rm -f $policy' EXIT INT TERM
  printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
  $as_root chmod 755 $policy
fi

# Lists of packages that are there and good enough are not fetched again.
echo "installing:$missing"
# shellcheck disable=SC2086 # a list of words
if ! apt install -y --no-install-recommends $missing >/dev/null 2>&1; then
  apt update
  apt install -y --no-install-recommends $missing >/dev/null
fi
