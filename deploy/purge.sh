# purge_kiosk: delete what the agent has made on this box, but for its identity. The program itself is gone already.
purge_kiosk() {
  rm -f /etc/kiosk-agent/agent.toml
  rm -f /etc/systemd/system/multi-user.target.wants/kiosk-agent.service
  rm -f /var/lib/systemd/timers/stamp-kiosk-agent-housekeeping.timer /var/lib/systemd/linger/kiosk-agent
  rm -rf /run/kiosk-agent
  purge_folder /var/cache/kiosk-agent
  # The device key makes this box the kiosk that the centre knows, and cannot be had again.
  purge_folder /var/lib/kiosk-agent identity kiosk-key.jwk

  # What was put there by hand is for whoever did it to remove.
  rmdir /etc/kiosk-agent 2>/dev/null || [ ! -d /etc/kiosk-agent ] || chown -hR root:root /etc/kiosk-agent
  for left in /etc/kiosk-agent /etc/credstore/kiosk-agent.* /etc/credstore.encrypted/kiosk-agent.* \
    /etc/systemd/system/kiosk-agent.service.d; do
    [ ! -e "$left" ] || echo "kiosk-agent: was put there by hand, and left: $left"
  done
  if getent passwd kiosk-agent >/dev/null; then
    userdel kiosk-agent
  fi
  # userdel leaves a group that has members, such as the business application.
  if getent group kiosk-agent >/dev/null; then
    groupdel kiosk-agent || :
  fi
}

# purge_folder PLACE [KEPT KEPT]: delete it with all that is in it, but for two names. What has to stay becomes root's: the
# number of the agent's user goes to whoever is made next.
purge_folder() {
  folder=$(readlink -f "$1") && [ -d "$folder" ] || return 0
  # A link that somebody made to another disk; it must not lead root into somebody else's folder.
  if [ -L "$1" ] && [ "$(stat -c %U "$folder")" != kiosk-agent ]; then
    echo "kiosk-agent: $1 leads to what is not the agent's own, and was left: $folder"
    return 0
  fi
  kept=
  for name in "${2:-}" "${3:-}"; do
    [ -z "$name" ] || [ ! -e "$folder/$name" ] || kept="$kept $folder/$name"
  done

  # Where a disk is mounted, here or below, an empty folder stays, which is no fault; a file that stays is one.
  find "$folder" -mindepth 1 -maxdepth 1 ! -name "${2:-}" ! -name "${3:-}" -exec rm -rf {} + || :
  if [ -n "$(cd "$folder" && find . -mindepth 1 \( -path "${2:+./$2}" -o -path "${3:+./$3}" \) -prune -o ! -type d -print -quit)" ]; then
    echo "kiosk-agent: cannot be deleted: what is in $folder" >&2
    return 1
  fi
  if [ -n "$kept" ] || [ -L "$1" ] || ! rmdir "$folder" 2>/dev/null; then
    chown -hR root:root "$folder" "$1"
    chmod 0700 "$folder"
  fi
  if [ -n "$kept" ]; then
    echo "kiosk-agent: this box's identity was kept:$kept"
    echo "kiosk-agent: a new installation goes on with it. A box that leaves service: delete it"
    echo "kiosk-agent: (rm -r $folder), and have its certificate revoked (kioskctl ca revoke)."
  elif [ -d "$folder" ]; then
    echo "kiosk-agent: was emptied, and left, as a disk is mounted there or a link leads there: $folder"
  fi
}
