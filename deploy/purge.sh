# purge_kiosk: delete what the agent has made on this box, but for its identity. The program itself is gone already.
purge_kiosk() {
  rm -f /etc/kiosk-agent/agent.toml
  rm -f /etc/systemd/system/multi-user.target.wants/kiosk-agent.service
  rm -rf /etc/systemd/system/kiosk-agent.service.d /var/cache/kiosk-agent /run/kiosk-agent

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

  # Keys that were put there by hand stay for whoever put them there to remove.
  rmdir /etc/kiosk-agent 2>/dev/null || [ ! -d /etc/kiosk-agent ] ||
    echo "kiosk-agent: in /etc/kiosk-agent was left: $(ls -A /etc/kiosk-agent | tr '\n' ' ')"
  if getent passwd kiosk-agent >/dev/null; then
    userdel kiosk-agent
  fi
}
