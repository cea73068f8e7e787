"""`python -m exasol_ci_setup` is the command line."""

from exasol_ci_setup.cli.main import main

if __name__ == "__main__":
    main()
