#!/bin/sh
# install.sh [--dry-run] [--tree FOLDER] [--python FILE]    put kiosk-agent on this machine, or bring it up to date
# install.sh --uninstall [--purge] [--dry-run]              take it off again; state stays unless it is purged
#
# For systems with systemd that take no Debian packages. It may be run again at any time and changes what differs.
#   --dry-run   say what would be done, and do nothing
#   --tree      a virtual environment that was built elsewhere; without it one is built of this project (needs make
#               and a package index)
#   --python    the interpreter that it runs on, root's own; default /usr/bin/python3
set -eu
umask 022 # root's own may be narrower: the agent's user reads what is put here
project=$(cd "$(dirname "$0")/.." && pwd)
. "$project/deploy/layout.sh"
. "$project/deploy/purge.sh"
home=/opt/kiosk-agent
list=$home/installed-files
unfinished=$home/unfinished
settings=/etc/kiosk-agent/agent.toml

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
fail() { echo "install.sh: $*" >&2; exit 1; }

dry='' uninstall='' purge='' tree='' python=/usr/bin/python3
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) dry=yes ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    --tree) [ $# -gt 1 ] || usage; tree=$(cd "$2" && pwd); shift ;;
    --python) [ $# -gt 1 ] || usage; python=$2; shift ;;
    *) usage ;;
  esac
  shift
done
[ -z "$purge" ] || [ -n "$uninstall" ] || usage

changed=''
# act COMMAND...: do it, or say that it would be done.
act() {
  [ -n "$changed$dry$uninstall" ] || begin
  changed=yes
  if [ -n "$dry" ]; then echo "would: $*"; else "$@"; fi
}
# begin: before the first change, note what may be there from now on, and that it is not whole: another run goes on to the
# end, and --uninstall finds it all.
begin() {
  mkdir -p "$home"
  cat "$work/list" "$list" 2>/dev/null | sort -u >"$work/both"
  install -m 0644 "$work/both" "$list.new"
  mv -f "$list.new" "$list"
  : >"$unfinished"
}
running() { [ -d /run/systemd/system ]; }

[ -n "$dry" ] || [ "$(id -u)" = 0 ] || fail "only root can do this; --dry-run is for everybody"
case $(dpkg-query -W -f '${db:Status-Status}' kiosk-agent 2>/dev/null || :) in
  '' | not-installed | config-files) ;;
  *) fail "kiosk-agent was installed as a Debian package: use apt-get" ;;
esac

work=$(mktemp -d)
finish() {
  status=$?
  rm -rf "$work"
  [ $status = 0 ] || [ -n "$dry$uninstall" ] || [ ! -e "$unfinished" ] || echo "install.sh: broken off: run it again" >&2
}
trap finish EXIT
layout_rows >"$work/rows"
while read -r _ _ place; do echo "$place"; done <"$work/rows" >"$work/list"

stop() { # whatever of it is there
  if running && [ -e /usr/lib/systemd/system/kiosk-agent.service ]; then
    # A unit that systemd cannot read, for a drop-in, is not stopped, and does not run either.
    act systemctl stop kiosk-agent-housekeeping.timer kiosk-agent-housekeeping.service kiosk-agent.service ||
      ! systemctl --quiet is-active kiosk-agent.service || fail "kiosk-agent cannot be stopped"
  fi
}

if [ -n "$uninstall" ]; then
  if [ -d "$home" ]; then
    stop
    if [ -e /usr/lib/systemd/system/kiosk-agent.service ]; then act systemctl --quiet disable kiosk-agent.service; fi
    if [ -e "$list" ]; then cp "$list" "$work/list"; fi # else what this version lays out comes nearest
    while read -r file; do act rm -f "$file"; done <"$work/list"
    act rm -rf "$home"
    for folder in /usr/lib/systemd/journald.conf.d /usr/lib/systemd/system/timers.target.wants; do
      [ ! -d "$folder" ] || act rmdir --ignore-fail-on-non-empty "$folder"
    done
    if running; then act systemctl daemon-reload; fi
  fi
  [ -z "$purge" ] || act purge_kiosk
  [ -n "$changed" ] || echo "kiosk-agent is not installed here"
  exit 0
fi

command -v systemctl >/dev/null || fail "there is no systemd here"
case $python in /*) ;; *) fail "--python wants a whole path" ;; esac
minor=$("$python" -I -c 'import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else 0)') ||
  fail "$python cannot be run: Python 3.11 to 3.14 is needed"
{ [ "$minor" -ge 11 ] && [ "$minor" -le 14 ]; } || fail "$python is Python 3.$minor: 3.11 to 3.14 is needed"

if [ -e "$unfinished" ]; then # what was broken off before goes on now, also where no file differs any more
  [ -n "$dry" ] || begin
  changed=yes
fi
if [ -d "$home" ] && [ "$(stat -c %a "$home")" != 755 ]; then # put here with a narrower umask: nobody else can read any of it
  act rm -f "$home/venv.sum"
  act chmod 0755 "$home"
fi

# -- the virtual environment: replaced whole, and only where it differs

if [ -z "$tree" ] && [ -n "$dry" ]; then
  echo "would: build the virtual environment of $project for Python 3.$minor, and put it in $home/venv if it differs"
else
  if [ -z "$tree" ]; then
    tree=$work/venv
    layout_tree "$tree" "$python"
  fi
  [ -d "$tree/lib/python3.$minor/site-packages/agent" ] ||
    fail "$tree is no environment of kiosk-agent for Python 3.$minor, which $python is"
  sum=$(cd "$tree" && find . -type f ! -name pyvenv.cfg -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
  sum="${sum%% *} $python"
  if [ "$sum" != "$(cat "$home/venv.sum" 2>/dev/null)" ]; then
    act rm -rf "$home/venv.new" "$home/venv.old"
    act mkdir -p "$home"
    act cp -R -p "$tree" "$home/venv.new" # takes a while: the running agent goes on meanwhile
    if [ -z "$dry" ]; then
      chown -R root:root "$home/venv.new"
      chmod -R u=rwX,go=rX "$home/venv.new" # whatever the umask was where it was built
      ln -sfn "$python" "$home/venv.new/bin/python"
      printf 'home = %s\ninclude-system-site-packages = false\n' "${python%/*}" >"$home/venv.new/pyvenv.cfg"
    fi
    act sync -f "$home" # whole on disk before it is needed
    stop
    # Two renames, a blink apart: where the power goes between them, this script run again puts it right.
    [ ! -e "$home/venv" ] || act mv "$home/venv" "$home/venv.old"
    act mv "$home/venv.new" "$home/venv"
    if [ -z "$dry" ]; then
      layout_release "$home/venv" "$python" >"$work/release.json"
      install -m 0644 "$work/release.json" "$home/release.json"
      sync -f "$home"
      echo "$sum" >"$home/venv.sum" # the last: what it stands for is there
    fi
    act rm -rf "$home/venv.old"
  fi
fi

# -- the other files

while read -r mode source place; do
  if [ "$mode" = link ]; then
    if [ "$(readlink "$place" || :)" != "$source" ]; then
      [ -d "${place%/*}" ] || act mkdir -p "${place%/*}"
      act ln -sfn "$source" "$place"
    fi
  elif ! cmp -s "$project/$source" "$place" || [ "0$(stat -c %a "$place" 2>/dev/null)" != "$mode" ]; then
    act install -D -m "$mode" "$project/$source" "$place"
  fi
done <"$work/rows"
if [ -e "$list" ]; then # what an earlier version brought and this one does not
  while read -r file; do
    grep -qxF "$file" "$work/list" || act rm -f "$file"
  done <"$list"
fi

if [ -z "$changed" ] && cmp -s "$work/list" "$list"; then
  echo "kiosk-agent is installed and up to date"
  exit 0
fi

# -- the user, folders and settings

act systemd-sysusers kiosk-agent.conf
if [ "$(stat -c %U /var/lib/kiosk-agent 2>/dev/null || echo kiosk-agent)" != kiosk-agent ]; then
  act chown -hR kiosk-agent:kiosk-agent /var/lib/kiosk-agent # an identity that a purge left belongs to root
fi
act systemd-tmpfiles --create --remove kiosk-agent.conf
new=''
if [ ! -e "$settings" ]; then
  new=yes
  act install -m 0640 -o root -g kiosk-agent "$home/share/agent.toml" "$settings"
fi
if running; then
  act systemctl daemon-reload
  # What does not start, with settings that are wrong or masked, is no fault of the installation.
  act systemctl start kiosk-agent-housekeeping.timer || :
  if systemctl --quiet is-enabled kiosk-agent.service 2>/dev/null; then
    act systemctl restart kiosk-agent.service ||
      echo "kiosk-agent: it does not start yet (systemctl status kiosk-agent says why); it is tried again by itself"
  fi
fi
act install -m 0644 "$work/list" "$list"
act rm -f "$unfinished" # the last
if [ -n "$new" ]; then
  cat <<TEXT
Next:
  1. edit $settings, then: kiosk-agent check $settings
  2. kiosk-agent provision request > kiosk.csr, have it signed, kiosk-agent provision install ...
  3. systemctl restart systemd-journald; systemctl enable --now kiosk-agent
TEXT
fi
