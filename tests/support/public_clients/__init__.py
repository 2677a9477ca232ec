"""Stand-ins for public clients that are on no package registry: what they send and read, written anew for the tests.

They were read in microsoft/healthcareai-examples of July 2026. `MODULES` in `FOLDER` stand under the names that the
originals have, so that the examples of docs/clients.md run with them.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = ("healthcareai_toolkit", "mi2_client.py")
