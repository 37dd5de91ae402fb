"""What the processes of the tests run: `python -c` with one of these."""

from __future__ import annotations

import sys
from typing import Final

SERVE: Final = """
import signal, sys
print("ready to serve", flush=True)
signal.pause()
"""

SEGFAULT: Final = """
import faulthandler, sys
faulthandler.disable()
sys.stdin.read()
import ctypes
ctypes.string_at(0)
"""

LISTEN: Final = """
import socket, signal, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    signal.pause()
"""

DEAF: Final = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which is inherited
child = subprocess.Popen([sys.executable, "-c", "import signal; print('deaf', flush=True); signal.pause()"])
signal.pause()
"""

PARENT: Final = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; print('two run', flush=True); signal.pause()"])
signal.pause()
"""

POLITE: Final = """
import signal, sys, time
def leave(*_):
    time.sleep(0.2)  # it has something to finish
    print("leaving politely", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
while True:
    signal.pause()
"""

TALK: Final = """
import sys
sys.stdout.write("one\\ntwo\\r\\n" + "x" * 20000 + "\\nno newline")
sys.stdout.flush()
sys.stderr.write("bad \\xff thing\\n\\n")
sys.stderr.flush()
sys.exit(int(sys.argv[1]))
"""


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]
