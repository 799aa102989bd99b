"""`python -m hearsay`, the same as the command `hearsay`.

Knows no command.
"""

from hearsay.cli import main

if __name__ == "__main__":
    main()
