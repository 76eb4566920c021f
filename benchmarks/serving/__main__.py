"""`python -m benchmarks.serving`: what many requests at once cost, by the client and through the C API."""

import sys

from benchmarks.serving.load import main

sys.exit(main())
