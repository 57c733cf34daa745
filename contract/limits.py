"""Size limits of the wire, in bytes of MQTT payload. Both ends refuse what is larger."""

MAX_MESSAGE_BYTES = 64 * 1024
"""State, health, events, receipts and gaps."""

MAX_COMMAND_BYTES = 64 * 1024
"""A signed command, signatures included."""

MAX_KEY_SET_BYTES = 1024 * 1024
"""The operators' public keys, or one key."""

MAX_ACK_BYTES = 256
"""A watermark."""

MAX_MEDIA_BYTES = 512 * 1024
"""A picture or archive that a command asked for."""
