#!/bin/bash
#
# run-docs.sh - the documents: their examples run, and the reference is complete
#
# The tests are TAP files, regress/docs, on a server of their own with
# weir-broker.  The last line is "N passed, N failed"; the exit status says the
# same.  Logs of a failed run are kept in build/log/docs.

. "$(dirname "${BASH_SOURCE[0]}")/lib/run.sh"

prepare
prove docs "$tree"/regress/docs/*.pl
