"""Who is at the other end of a local connection."""

import asyncio
import pwd


async def user_name(uid: int) -> str:
    """Return the user's name, or ``uid N`` where the machine knows none."""
    try:
        # The directory of users may be on the network.
        return (await asyncio.to_thread(pwd.getpwuid, uid)).pw_name
    except (KeyError, OSError):
        return f"uid {uid}"
