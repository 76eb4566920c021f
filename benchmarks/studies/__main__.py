"""`python -m benchmarks.studies DATA`: every training of every study that has no row yet."""

import signal
import sys

from benchmarks.studies.command import main

# Ended like this too, a study ends the training that runs.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
sys.exit(main())
