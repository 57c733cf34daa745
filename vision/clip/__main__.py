"""``python -m vision.clip SCENE OUT``: render a demo clip, or the portrait of its person.

A process of its own, for the agent.
"""

import argparse
import sys
from pathlib import Path

from vision.clip.render import SCENES, RenderError, render_demo_clip, render_portrait

PORTRAIT = "portrait"


def main() -> int:
    """Render one clip; the exit status is 1 where it cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m vision.clip", description=__doc__)
    parser.add_argument("scene", choices=(*SCENES, PORTRAIT))
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.scene == PORTRAIT:
            render_portrait(arguments.out)
        else:
            render_demo_clip(arguments.out, arguments.scene)
    except (RenderError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
