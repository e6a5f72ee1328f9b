"""`python -m stagebook` runs the command line without its installed script."""

import sys

from stagebook.cli.command_line import main

sys.exit(main())
