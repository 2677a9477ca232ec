"""The `medimageinsight` command, one file per subcommand."""
