"""Flags of the commands: made from the settings, made from options dataclasses, and shared by several commands."""
