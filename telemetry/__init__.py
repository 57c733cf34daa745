"""What leaves the kiosk: health and alarms, the durable outbox, the MQTT link."""
