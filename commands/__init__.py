"""What comes in: verify, record, run once, answer."""
