"""`python -m benchmarks peers`, `gpu` and `table`: kseg beside other libraries."""

import signal
import sys

from benchmarks.peers.command import main

# Ended like this too, a run removes its files, which take up to a gigabyte.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
sys.exit(main())
