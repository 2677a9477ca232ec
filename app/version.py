"""The version of this distribution."""

from importlib.metadata import version

DISTRIBUTION = "medimageinsight-server"
VERSION = version(DISTRIBUTION)
