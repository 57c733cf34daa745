# purge_kiosk: delete what the agent has made on this box, but for its identity. The program itself is gone already.
purge_kiosk() {
  rm -f /etc/kiosk-agent/agent.toml
  rm -f /etc/systemd/system/multi-user.target.wants/kiosk-agent.service
  rm -f /var/lib/systemd/timers/stamp-kiosk-agent-housekeeping.timer /var/lib/systemd/linger/kiosk-agent
  rm -rf /var/cache/kiosk-agent /run/kiosk-agent

  # The device key makes this box the kiosk that the centre knows, and cannot be had again.
  identity=
  if [ -d /var/lib/kiosk-agent ]; then
    for kept in identity kiosk-key.jwk; do
      [ ! -e "/var/lib/kiosk-agent/$kept" ] || identity="$identity /var/lib/kiosk-agent/$kept"
    done
    find /var/lib/kiosk-agent -xdev -mindepth 1 -maxdepth 1 ! -name identity ! -name kiosk-key.jwk -exec rm -rf {} +
  fi
  if [ -n "$identity" ]; then
    chown -hR root:root /var/lib/kiosk-agent
    chmod 0700 /var/lib/kiosk-agent
    echo "kiosk-agent: this box's identity was kept:$identity"
    echo "kiosk-agent: a new installation goes on with it. A box that leaves service: delete it"
    echo "kiosk-agent: (rm -r /var/lib/kiosk-agent), and have its certificate revoked (kioskctl ca revoke)."
  else
    rm -rf /var/lib/kiosk-agent
  fi

  # What was put there by hand is for whoever did it to remove.
  rmdir /etc/kiosk-agent 2>/dev/null || [ ! -d /etc/kiosk-agent ] || chown -hR root:root /etc/kiosk-agent
  for left in /etc/kiosk-agent /etc/credstore/kiosk-agent.* /etc/credstore.encrypted/kiosk-agent.* \
    /etc/systemd/system/kiosk-agent.service.d; do
    [ ! -e "$left" ] || echo "kiosk-agent: was put there by hand, and left: $left"
  done
  if getent passwd kiosk-agent >/dev/null; then
    userdel kiosk-agent
  fi
}
