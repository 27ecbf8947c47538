"""The commands behind `edutrust`: each module has `main(arguments) -> exit code` and raises `CommandFailed`.

A command decides nothing of the field's: it reads settings, calls the composition root, prints.
"""
