"""kseg's networks beside the same networks in other libraries: prediction and training steps, in one run."""
