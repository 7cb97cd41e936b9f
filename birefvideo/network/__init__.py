"""The network in pure torch: no I/O."""
