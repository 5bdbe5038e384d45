"""The guides' commands call curl. Where a machine has none, this stands in for it, so that the text that a
reader copies runs as it is printed on every machine.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path

# It knows what the guides use, and refuses anything else as curl refuses an option that it does not know. As
# with curl, a body that names no content type is a form, which the API does not take.
PROGRAM = """
import sys, urllib.request
arguments = iter(sys.argv[1:])
urls, headers, data, method, head = [], {}, None, None, False
for argument in arguments:
    if argument == "-H":
        name, _, value = next(arguments).partition(": ")
        headers[name] = value
    elif argument == "-X":
        method = next(arguments)
    elif argument == "-i":
        head = True
    elif argument in ("-d", "--data-raw"):
        data = next(arguments).encode()
    elif argument.startswith("-") and argument != "-s":
        sys.exit(f"curl: option {argument}: is unknown")
    elif argument != "-s":
        urls.append(argument)
(url,) = urls
with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as answer:
    sys.stdout.write(f"HTTP/1.1 {answer.status} {answer.reason}\\n{answer.headers}" if head else "")
    sys.stdout.write(answer.read().decode())
"""


def path_with_curl(folder: Path) -> str:
    """A PATH on which there is a curl: the machine's own, or else a stand-in that is put into `folder`."""
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("curl") is not None:
        return path
    stand_in = folder / "curl"
    stand_in.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -c {shlex.quote(PROGRAM)} "$@"\n')
    stand_in.chmod(0o700)
    return f"{folder}{os.pathsep}{path}"
