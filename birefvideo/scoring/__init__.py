"""Scoring: how far a matte is from the true one."""
