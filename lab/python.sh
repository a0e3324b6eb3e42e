# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
# Find a Python of 3.11 or later, the one thing that the lab's commands need to begin with.
lab=$(dirname "$(readlink -f "$0")")
new="import sys; sys.exit(sys.version_info < (3, 11))"
python=
for candidate in /usr/bin/python3 python3; do
  if "$candidate" -c "$new" 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
  { apt-get update -q && apt-get install -qy --no-install-recommends python3; } >/dev/null 2>&1
  "/usr/bin/python3" -c "$new" 2>/dev/null && python=/usr/bin/python3
fi
[ -n "$python" ] || { echo "ERROR Python 3.11 or later is needed: install it first" >&2; exit 1; }
