"""The subcommands of `uncollapse`, one file each."""
