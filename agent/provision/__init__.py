"""Who this kiosk is to the broker: its key, its certificate, the roots that it trusts."""
