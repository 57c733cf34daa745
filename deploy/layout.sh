# What lies where on a kiosk: read by install.sh and by the Debian package's build. Needs $project, the project's folder.

# layout_rows: print "mode file place" for each file of deploy/layout, patterns written out; the file of a link is
# what it points to.
layout_rows() (
  cd "$project"
  set -f
  grep -v '^#' deploy/layout | while read -r mode source place; do
    case $source in
      *'*') set +f; for file in $source; do echo "$mode $file $place${file##*/}"; done; set -f ;;
      *) echo "$mode $source $place" ;;
    esac
  done
)

# layout_tree INTO PYTHON: build the virtual environment of this project for that interpreter.
layout_tree() {
  make -s -C "$project" .venv/.base
  (cd "$project" && .venv/bin/python - "$1" "$2") <<'PYTHON'
import sys
from pathlib import Path

from agent.errors import ReleaseError
from agent.release.tree import build_tree

try:  # a door on a GPIO line is part of a kiosk
    build_tree(Path(), Path(sys.argv[1]), interpreter=Path(sys.argv[2]), extras=("gpio",))
except ReleaseError as error:
    sys.exit(str(error))
PYTHON
}

# layout_release TREE PYTHON: print what the packaged release is (release.json).
layout_release() {
  PYTHONPATH=$(echo "$1"/lib/python3.*/site-packages) "$2" -s -S - <<'PYTHON'
import json
import platform
import sys

from agent import VERSION

print(json.dumps({"version": VERSION, "arch": platform.machine(), "python": "%d.%d" % sys.version_info[:2]}))
PYTHON
}
