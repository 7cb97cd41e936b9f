"""The parts of scripts/train.py: cut-outs, the pictures composed from them, and the losses."""
