"""The state of the kiosk's business: sessions, locks, maintenance, announcements."""
