"""Clients of the imaging models."""
