"""`python -m benchmarks peers`, `gpu` and `table`: kseg beside other libraries."""

import sys

from benchmarks.peers.command import main

sys.exit(main())
