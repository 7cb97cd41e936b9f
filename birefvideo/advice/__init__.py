"""Helping people judge: pages and sheets about mattes."""
