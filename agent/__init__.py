"""The daemon: puts the rooms together, keeps them alive, and answers the person on site."""

from importlib.metadata import version

VERSION = version("kiosk-agent")
