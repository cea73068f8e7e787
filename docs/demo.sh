#!/bin/sh
# Deploy a CI stack in the sandbox, without an AWS account. All files are deleted at the end.
set -eu

EXASOL_CI_SETUP_SANDBOX_DIR=$(mktemp -d)
export EXASOL_CI_SETUP_SANDBOX_DIR
trap 'exasol-ci-setup sandbox stop >/dev/null 2>&1; rm -rf "$EXASOL_CI_SETUP_SANDBOX_DIR"' EXIT
trap 'exit 130' INT TERM

run() {
    if [ -t 1 ]; then printf '\n\033[1m$ %s\033[0m\n' "$*"; else printf '\n$ %s\n' "$*"; fi
    "$@"
}

run exasol-ci-setup --sandbox health

run exasol-ci-setup --sandbox deploy-source-credentials \
    --secret-name github --secret-user-key user --secret-token-key token --yes

run exasol-ci-setup --sandbox deploy-ci-build \
    --project Slc --project-url https://github.com/exasol/script-languages-release --yes

# The same command again: the stack is up to date.
run exasol-ci-setup --sandbox deploy-ci-build \
    --project Slc --project-url https://github.com/exasol/script-languages-release --yes

# Another repository, shown as a plan: nothing is changed.
run exasol-ci-setup --sandbox deploy-ci-build \
    --project Slc --project-url https://github.com/exasol/script-languages --plan

run exasol-ci-setup --sandbox list
