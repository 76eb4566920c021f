"""`python -m benchmarks.own_data DATA`: the same images, cores and minutes for kseg, nnU-Net v2 and a plain U-Net."""

import signal
import sys

from benchmarks.own_data.command import main

# Ended like this too, a comparison ends the training that runs.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
sys.exit(main())
