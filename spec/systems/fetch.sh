#!/bin/sh
# fetch.sh ARCHITECTURE FOLDER PACKAGE...: unpacks Debian packages of another architecture, and all
# that they depend on, into FOLDER/root.
#
# apt runs with a configuration, lists and a state of its own in FOLDER, where nothing is installed:
# the system's packages and architectures stay as they are. Its sources are the system's. The C
# library's headers are left out: the cross compiler brings them.
set -eu

architecture=$1 folder=$2
shift 2
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
here=$(cd "$folder" && pwd)

# The sources of the system's apt, for whatever architecture.
etc=$(apt-config shell etc Dir::Etc/d | sed "s/^etc='\(.*\)'$/\1/")
rm -rf "$here/apt/sources"
mkdir -p "$here/apt/sources"
for file in "$etc"/sources.list "$etc"/sources.list.d/*.list "$etc"/sources.list.d/*.sources; do
  [ -f "$file" ] || continue
  sed -e '/^Architectures:/d' -e 's/arch=[^] ]*//' "$file" >"$here/apt/sources/${file##*/}"
  case $file in */sources.list) mv "$here/apt/sources/sources.list" "$here/apt/sources/system.list" ;; esac
done

: >"$here/apt/status"
cat >"$here/apt/apt.conf" <<END
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "";
Dir::State "$here/apt";
Dir::State::lists "$here/apt/lists";
Dir::State::status "$here/apt/status";
Dir::Cache "$here/apt/cache";
Dir::Etc::sourcelist "-";
Dir::Etc::sourceparts "$here/apt/sources";
END
apt() {
  apt-get -qq -c "$here/apt/apt.conf" "$@"
}
apt update
apt install --download-only --yes --no-install-recommends "$@" >/dev/null

rm -rf "$here/root"
mkdir -p "$here/root"
for package in "$here"/apt/cache/archives/*.deb; do
  case ${package##*/} in
    libc6-dev_* | linux-libc-dev_* | libcrypt-dev_*) ;;
    *) dpkg -x "$package" "$here/root" ;;
  esac
done
