"""A module whose import takes longer than anybody waits, and that clears up after itself."""

import time

try:
    print("there", flush=True)
    time.sleep(3600)
finally:
    print("cleared up", flush=True)
