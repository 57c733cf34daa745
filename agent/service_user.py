"""The user that the service runs as. Root works on the service's files only as this user.

So what root makes belongs to the service, and a link that somebody laid there leads root nowhere.
"""

import os
import pwd
from pathlib import Path

USER = "kiosk-agent"
STATE_FOLDER = Path("/var/lib/kiosk-agent")


def service_user(name: str = USER) -> pwd.struct_passwd | None:
    """Return the user; ``None`` where there is none, or we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def is_service_user(name: str = USER) -> bool:
    """Whether we are the user that the service runs as, started by it or by a person."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name == name
    except KeyError:
        return False


def become(user: pwd.struct_passwd, folder: Path | None = None) -> None:
    """Go on as this user, who gets the folder where one is named and missing. No way leads back.

    Raises:
        OSError: the folder cannot be made, or the rights not be given up.
    """
    if folder is not None and not folder.exists():
        folder.mkdir(parents=True, mode=0o700)
        os.chown(folder, user.pw_uid, user.pw_gid)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.umask(0o077)
