"""Run the command line with `python -m exasol_ci_setup`."""

from exasol_ci_setup.cli.main import main

if __name__ == "__main__":
    main()
