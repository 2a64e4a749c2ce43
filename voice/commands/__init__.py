"""The subcommands of `voice`, one module each; `voice.cli` imports the one that is asked for."""
