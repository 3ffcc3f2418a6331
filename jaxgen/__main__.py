"""`python -m jaxgen`: the same as the console command."""

from jaxgen.cli import main

main()
