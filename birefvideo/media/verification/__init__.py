"""Verification: reopening finished outputs and comparing them with what they should hold; never imports writing."""
